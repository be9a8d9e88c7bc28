"""The gate: when an edge may let publishes into its home stream after (re)connecting to it.

An origin that lost its tail would give out sequences a second time, and its mirrors would ignore
the new events without an error. So after every connection writes stay shut until the stream is
shown to hold all that anybody saw in it; a lost tail is written back from a mirror; where that
can't be done, a new epoch starts above all known sequences.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Home:
    """The home stream, as it stands now."""

    epoch: int
    last: int
    created: str
    above: int = 0  # the epoch starts after this sequence
    empty: bool = False  # it holds nothing, whatever its last sequence is
    restored: tuple[tuple[str, int], ...] = ()  # streams that were lost: `created`, all up to
    forks: tuple[int, ...] = ()  # sequences from which on some mirror was found to differ


@dataclass(frozen=True, slots=True)
class Witness:
    """What somebody saw of the home stream: an edge of the region, or this one before."""

    last: int
    created: str
    epoch: int = 1

    def knows(self, home: Home) -> bool:
        """Whether it saw this very stream, one of an epoch that is over, or one that was lost, and
        all that it saw of it was written back.
        """
        if self.created == home.created or self.epoch < home.epoch:
            return True
        return any(self.created == made and self.last <= upto for made, upto in home.restored)


@dataclass(frozen=True, slots=True)
class Held:
    """What a mirror holds of it."""

    last: int
    epoch: int = 1
    agrees: bool = True  # its event under the home stream's last sequence is the same


@dataclass(frozen=True, slots=True)
class Doubt:
    """A region says that its mirror differs, from `first` on and at least up to `last`."""

    first: int
    last: int

    def settled(self, home: Home) -> bool:
        """Whether the stream knows: an epoch has started since, and the fork is noted."""
        return self.last <= home.above and self.first in home.forks


@dataclass(frozen=True, slots=True)
class Open:
    """Writes may go."""


@dataclass(frozen=True, slots=True)
class AskMirrors:
    """Nobody here can vouch for the stream, or it is shorter than was seen: ask the mirrors."""


@dataclass(frozen=True, slots=True)
class Repair:
    """Write the events after `after` up to `upto` back from the mirror in `region`, and what that
    one lacks from those in `others`.

    `lost`: the streams, by `created`, of which that is all that anybody saw. `epoch`: starts where
    some of it is held nowhere. `resumed`: the epoch that it was in, where it does not say so.
    """

    region: str
    after: int
    upto: int
    others: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    epoch: int = 0
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class StartEpoch:
    """Start `epoch`: events may be gone, and are declared so. Its first sequence is > `above`.

    `fork` is a sequence from which on mirrors may differ; `unlike` names a mirror that holds
    another event under the stream's last sequence: where they part is to be found. 0, "": neither.
    """

    epoch: int
    above: int
    fork: int = 0
    unlike: str = ""


@dataclass(frozen=True, slots=True)
class NoteFork:
    """A mirror differs below the present epoch: it is to be filled anew, nothing else."""

    fork: int


@dataclass(frozen=True, slots=True)
class NoteEpoch:
    """The stream holds everything, and its own word of the epoch that it is in was lost."""

    epoch: int


Decision = Open | AskMirrors | Repair | StartEpoch | NoteFork | NoteEpoch


def first_look(
    home: Home,
    witnesses: Iterable[Witness],
    doubts: Iterable[Doubt] = (),
    *,
    restarted: bool = False,
) -> Open | AskMirrors | StartEpoch | NoteFork:
    """Decide from what is known in the region itself, and what others doubt.

    Args:
        home: the home stream now.
        witnesses: what was seen of it in this region.
        doubts: what other regions say of their mirrors.
        restarted: the nats-server is another one, or another process, than the one before: it may
            have lost what it had given to a mirror, and to nobody here.
    """
    if home.last < home.above:
        return StartEpoch(home.epoch, home.above)  # was begun and not finished
    for doubt in doubts:
        if doubt.last > home.above:
            return AskMirrors()
        if not doubt.settled(home):
            return NoteFork(doubt.first)
    seen = list(witnesses)
    if (
        seen
        and not restarted
        and all(witness.knows(home) and witness.last <= home.last for witness in seen)
        and all(witness.epoch <= home.epoch for witness in seen)
    ):
        return Open()
    return AskMirrors()


def second_look(
    home: Home,
    witnesses: Iterable[Witness],
    mirrors: Mapping[str, Held],
    *,
    asked: int,
    doubts: Iterable[Doubt] = (),
) -> Open | Repair | StartEpoch | NoteEpoch:
    """Decide when the mirrors were asked.

    Args:
        home: the home stream now.
        witnesses: what was seen of it in this region.
        mirrors: region -> what its mirror holds, of those that answered.
        asked: how many were asked.
        doubts: what other regions say of their mirrors.
    """
    known = list(witnesses)
    seen = max((w.last for w in known), default=0)
    held = max((mirror.last for mirror in mirrors.values()), default=0)
    epochs = [home.epoch, *(w.epoch for w in known), *(m.epoch for m in mirrors.values())]
    above = max(seen, held, home.last)
    anew = StartEpoch(max(epochs) + 1, above)
    doubted = [doubt.first for doubt in doubts if doubt.last > home.above]
    if doubted:
        return StartEpoch(anew.epoch, above, fork=min(doubted))
    if not home.empty and not all(witness.knows(home) for witness in known):
        return anew  # made anew, and written to: its sequences are not those that were seen
    ahead = {region: mirror for region, mirror in mirrors.items() if mirror.last > home.last}
    unlike = [region for region, mirror in ahead.items() if not mirror.agrees]
    if unlike and not home.empty:
        return StartEpoch(anew.epoch, above, unlike=unlike[0])
    if ahead and held >= seen:
        best = max(ahead, key=lambda region: ahead[region].last)
        others = tuple(sorted(region for region in ahead if region != best))
        lost = tuple(sorted({witness.created for witness in known if not witness.knows(home)}))
        resumed = max(epochs) if max(epochs) > home.epoch else 0
        return Repair(best, home.last, held, others, lost, anew.epoch, resumed)
    if above > home.last:
        return anew
    if max(epochs) > home.epoch:
        return NoteEpoch(max(epochs))
    if mirrors or known or asked == 0:
        return Open()
    # Nobody saw the stream before and no mirror answers: what it may have lost is unknown.
    return anew
