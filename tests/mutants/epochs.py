"""Mutants of what guards an origin that lost its newest events: the epoch, and the gate."""

from collections.abc import Iterable, Mapping, Sequence

import relay.bus.gatekeeper
import relay.core.resume
from relay.core.cursor import Position
from relay.core.event import Event
from relay.core.feed import Action, Feed
from relay.core.gate import AskMirrors, Doubt, Home, NoteFork, Open, StartEpoch, Witness
from relay.core.resume import Refuse, StreamState
from tests.mutants.mutant import Dice, patch


def ignores_epoch(dice: Dice) -> None:
    """A new epoch is taken for the old one: cursors of it go on, and nobody is told."""
    refusal = relay.core.resume._refusal
    scan_one, next_live = Feed._scan_one, Feed._next_live

    def refusal_of_now(
        presented: Mapping[str, Position], streams: Mapping[str, StreamState]
    ) -> Refuse | None:
        of_now = {
            origin: place._replace(epoch=streams[origin].epoch) if origin in streams else place
            for origin, place in presented.items()
        }
        return refusal(of_now, streams)

    def scanned(feed: Feed, event: Event) -> Sequence[Action]:
        _take(feed, event, dice)
        return scan_one(feed, event)

    def lived(feed: Feed, event: Event, now_ms: int) -> Sequence[Action]:
        _take(feed, event, dice)
        return next_live(feed, event, now_ms)

    patch(relay.core.resume, "_refusal", refusal_of_now)
    patch(Feed, "_scan_one", scanned)
    patch(Feed, "_next_live", lived)


def _take(feed: Feed, event: Event, dice: Dice) -> None:
    if event.epoch > feed.epoch and dice.strikes():
        feed.epoch = event.epoch


def opens_at_once(dice: Dice) -> None:
    """Publishes go without a look at what the home stream has lost."""

    def mutated(
        home: Home,
        witnesses: Iterable[Witness],
        doubts: Iterable[Doubt] = (),
        *,
        restarted: bool = False,
    ) -> Open | AskMirrors | StartEpoch | NoteFork:
        dice.strikes()
        return Open()

    patch(relay.bus.gatekeeper, "first_look", mutated)
