"""Whether consoles named each fault in time, and were never green while a canary failed. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from console.report import FleetReport
from regions.drills.places import Places
from tests.truth.doors import Doors
from tests.truth.expectations import Expected
from tests.truth.statements import Statement, statements
from tests.truth.witness import Sample

NAMED_S = 5.0
PATIENCE_S = 5.0  # a canary fails when none came through for so long
AFTER_S = 20.0  # behind a healing something may still be wrong
LOOK_S = 15.0  # for what is named late, so that it is said how late


class Fault(msgspec.Struct, frozen=True):
    """A fault as the drill did it; monotonic seconds. `healed_s`: None, by itself."""

    text: str
    at_s: float
    healed_s: float | None
    expected: Expected


class Named(msgspec.Struct, frozen=True):
    """By which words a console named a fault, and when."""

    after_s: float
    kind: str
    on: str
    text: str

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.on} {self.text}" if self.kind != "link" else self.text


class FaultFound(msgspec.Struct, frozen=True):
    """What consoles said of one fault."""

    text: str
    lasted_s: float | None
    named: dict[str, Named | None]  # by the region through which the console listens first
    red_s: float | None  # until no console said that all is well; None: one did all the time
    need_not: str

    @property
    def missed(self) -> list[str]:
        """The consoles that named it late, or not."""
        if self.need_not:
            return []
        return [
            via for via, named in self.named.items() if named is None or named.after_s > NAMED_S
        ]


class Green(msgspec.Struct, frozen=True):
    """A second in which a console said that all is well, and it was not."""

    t_s: float  # since the first sample
    via: str
    failing: list[str]


class Alarm(msgspec.Struct, frozen=True):
    """A second in which a console said that something is wrong, and nothing was."""

    t_s: float
    via: str
    reasons: list[str]


class Findings(msgspec.Struct, frozen=True):
    """All of it. Seconds are counted for each console."""

    seconds: int
    failing: int  # in which a canary failed
    faults: list[FaultFound]
    lies: list[Green]  # green while a canary failed
    ignored: list[Green]  # green while the console's own keeper said that one fails
    longest_green_s: float  # after a canary had begun to fail
    alarms: list[Alarm]

    @property
    def passed(self) -> bool:
        """Whether everything was named in time, and nobody was green who had better not be."""
        missed = any(fault.missed for fault in self.faults)
        return bool(self.faults) and not (missed or self.lies or self.ignored)


def is_green(said: FleetReport) -> bool:
    """Whether a console says that all is well."""
    return (
        said.status == "ok"
        and all(region.state == "ok" for region in said.regions)
        and not any(alert.state == "firing" for alert in said.alerts)
    )


def judge(samples: Sequence[Sample], faults: Sequence[Fault], places: Places) -> Findings:
    """What the samples of a drill show.

    Args:
        samples: one a second.
        faults: in the order in which they began.
        places: the world.
    """
    first_s = samples[0].t_s
    doors = Doors(going for sample in samples for going in sample.doors)
    lies, ignored, alarms = list[Green](), list[Green](), list[Alarm]()
    longest_s, failing_seconds = 0.0, 0
    for sample in samples:
        ages = _ages(sample, doors)
        failing = [name for name, age_s in ages.items() if age_s > PATIENCE_S]
        failing_seconds += bool(failing)
        quiet = not failing and not any(
            fault.at_s <= sample.t_s <= (fault.healed_s or fault.at_s) + AFTER_S for fault in faults
        )
        at_s = round(sample.t_s - first_s, 1)
        for via, said in sample.reports.items():
            if not is_green(said):
                if quiet:
                    alarms.append(Alarm(at_s, via, said.reasons))
                continue
            longest_s = max((longest_s, *ages.values()))
            if failing:
                lies.append(Green(at_s, via, failing))
            if told := [f"{canary.on}: {canary.why}" for canary in said.canaries]:
                ignored.append(Green(at_s, via, told))
    return Findings(
        len(samples),
        failing_seconds,
        [_found(fault, samples, places) for fault in faults],
        lies,
        ignored,
        round(longest_s, 1),
        alarms,
    )


def _ages(sample: Sample, doors: Doors) -> dict[str, float]:
    """For how long each canary has not come through, s."""
    shut = doors.failing(sample.t_s)
    return {f"the door of {edge}": age_s for edge, (age_s, _) in shut.items()} | sample.flights


def _found(fault: Fault, samples: Sequence[Sample], places: Places) -> FaultFound:
    before = [sample for sample in samples if sample.t_s < fault.at_s][-1]
    until_s = fault.at_s + LOOK_S
    after = [sample for sample in samples if fault.at_s <= sample.t_s <= until_s]
    named: dict[str, Named | None] = {}
    for via in before.reports:
        earlier = before.reports[via]
        stood = {(each.kind, each.on) for each in statements(earlier, earlier)}
        named[via] = next(
            (
                Named(round(sample.t_s - fault.at_s, 1), said.kind, said.on, said.text)
                for sample in after
                for said in _fitting(sample.reports, via, earlier, fault.expected, places)
                if (said.kind, said.on) not in stood
            ),
            None,
        )
    lasted_s = None if fault.healed_s is None else round(fault.healed_s - fault.at_s, 1)
    red = next(
        (
            round(sample.t_s - fault.at_s, 1)
            for sample in after
            if not any(is_green(said) for said in sample.reports.values())
        ),
        None,
    )
    return FaultFound(fault.text, lasted_s, named, red, fault.expected.need_not)


def _fitting(
    reports: Mapping[str, FleetReport],
    via: str,
    before: FleetReport,
    expected: Expected,
    places: Places,
) -> list[Statement]:
    now = reports[via]
    said = statements(now, before)
    return [each for each in said if expected.fits(each, now.link.via, places)]
