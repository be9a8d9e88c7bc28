"""Who holds which fault, and what is left when one of them lets go."""

import os

import pytest

from regions.control import Client
from regions.errors import WorldError
from regions.faults import disks, spaces
from regions.faults.fault import (
    DownFault,
    Fault,
    FaultName,
    FillDiskFault,
    KillFault,
    LinkFault,
    PauseFault,
    RewindFault,
    WedgeFault,
)
from regions.faults.flow import Change
from regions.faults.leases import Effects, Leases
from regions.faults.possible import possible
from regions.faults.words import names_of, said
from regions.topology import FaultSettings

ANA, BO = Client(1, 100), Client(2, 200)
BOTH = [("us", "eu"), ("eu", "us")]


def test_what_two_hold_is_held_until_the_second_lets_go() -> None:
    leases = Leases()
    first = leases.add(ANA, DownFault(["us-1"]), Effects(down=("us-1",)), "down us-1")
    second = leases.add(BO, DownFault(["us-1", "us-2"]), Effects(down=("us-1", "us-2")), "down")
    assert leases.down() == {"us-1", "us-2"}
    leases.remove(second)
    assert leases.down() == {"us-1"}
    leases.remove(first)
    leases.remove(first)
    assert leases.down() == set()


def test_a_connection_heals_its_own_faults_the_newest_first() -> None:
    leases = Leases()
    cut = LinkFault(BOTH, Change(cut=True))
    made = [
        leases.add(client, cut, Effects(pairs=tuple(BOTH), change=cut.change), "cut")
        for client in (ANA, BO, ANA)
    ]
    assert [one.number for one in leases.of(ANA)] == [made[2].number, made[0].number]
    assert leases.of(Client(3, 100)) == []  # another connection of the same process
    assert leases.changes() == [(tuple(BOTH), Change(cut=True))] * 3


def test_only_what_is_in_effect_is_listed_with_its_holder() -> None:
    leases = Leases()
    lease = leases.add(ANA, PauseFault(["us-1"]), Effects(paused=("us-1",)), "pause us-1")
    assert leases.held() == []
    assert leases.paused() == {"us-1"}
    leases.began(lease, 12.5)
    (held,) = leases.held()
    assert (held.text, held.at_s, held.holder, held.healed_s) == ("pause us-1", 12.5, 100, None)
    assert lease.held(12.5, 14.0).healed_s == 14.0


@pytest.mark.parametrize(
    ("fault", "text", "names"),
    [
        (LinkFault(BOTH, Change(cut=True)), "cut us->eu eu->us", ["cut"]),
        (LinkFault(BOTH[:1], Change(cut=True)), "cut us->eu", ["one-way"]),
        (
            LinkFault(BOTH, Change(delay_ms=150, jitter_ms=20, loss=0.015, rate_kbit=2000)),
            "delay 150 ms, jitter 20 ms, rate 2000 kbit/s, loss 1.5 % us->eu eu->us",
            ["delay", "rate", "loss"],
        ),
        (KillFault(["us-1", "us-2"]), "kill us-1, us-2", ["kill"]),
        (FillDiskFault("us-n1", "disk"), "disk full: us-n1", ["fill-disk"]),
        (FillDiskFault("us-n1", "limit"), "store at its limit: us-n1", ["store-limit"]),
        (RewindFault("us"), "rewind us", ["rewind"]),
        (
            RewindFault("us", witnesses=False, mirrors=False),
            "rewind us without witnesses, mirrors",
            ["rewind", "cut"],
        ),
        (WedgeFault("eu", "us"), "wedge the mirror of us in eu", ["wedge"]),
    ],
)
def test_a_fault_is_said_and_named(fault: Fault, text: str, names: list[FaultName]) -> None:
    assert said(fault) == text
    assert names_of(fault) == names


def test_a_change_of_nothing_is_refused() -> None:
    with pytest.raises(WorldError, match="nothing given"):
        said(LinkFault(BOTH, Change()))


def test_who_is_not_root_is_told_what_can_be_had_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert spaces.why_not() == (
        "network namespaces need root: use TCP relays (`jetrelay up --links relay`)"
    )
    assert disks.why_not() == "mounting a file system needs root"
    found = possible(FaultSettings("relay"), regions=2, own_nats=True, no_disks=disks.why_not())
    why_not = {one.fault: one.why_not for one in found}
    assert why_not["fill-disk"] == (
        "mounting a file system needs root; JetStream's own limit can be reached: "
        "`fill-disk --limit`"
    )
    assert why_not["store-limit"] is None


def test_nats_that_is_not_ours_is_left_alone() -> None:
    found = possible(FaultSettings("direct"), regions=2, own_nats=False, no_disks=None)
    able = {one.fault for one in found if one.why_not is None}
    assert able == {"kill", "pause", "down"}
