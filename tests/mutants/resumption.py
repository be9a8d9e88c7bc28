"""Mutants of RESUME: what a session is sent that comes back."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

import relay.edge.membership
from relay.core.budget import Budget
from relay.core.codes import Invalid
from relay.core.cursor import Cursor, Position
from relay.core.effects import Resume
from relay.core.event import Event
from relay.core.join import Ahead
from relay.core.resume import Accept, Refuse, StreamState, judge
from relay.core.rings import Rings
from relay.edge.connection import ClientConnection
from relay.edge.hub import Hub
from relay.edge.joining import Passage, replay_all
from relay.edge.membership import Membership
from relay.edge.seat import Seat
from tests.mutants.mutant import Dice, patch

_PAUSE_S = 0.1  # in which something comes live


def skips_one(dice: Dice) -> None:
    """The replay begins one sequence too late."""
    _shift_replays(dice, 1)


def repeats_one(dice: Dice) -> None:
    """The replay begins one sequence too early."""
    _shift_replays(dice, -1)


def _shift_replays(dice: Dice, by: int) -> None:
    def mutated(
        presented: Mapping[str, Position], streams: Mapping[str, StreamState]
    ) -> Accept | Refuse:
        verdict = judge(presented, streams)
        if isinstance(verdict, Refuse) or not dice.strikes():
            return verdict
        return replace(verdict, after={o: max(seq + by, 0) for o, seq in verdict.after.items()})

    patch(relay.edge.membership, "judge", mutated)


def refuses(dice: Dice) -> None:
    """A session that could go on is refused."""

    def mutated(
        presented: Mapping[str, Position], streams: Mapping[str, StreamState]
    ) -> Accept | Refuse:
        return Refuse(Invalid.EXPIRED, missing={}) if dice.strikes() else judge(presented, streams)

    patch(relay.edge.membership, "judge", mutated)


def forgets_a_room(dice: Dice) -> None:
    """A session that resumed is in all of its rooms but one."""
    resume = Membership._resume

    async def mutated(
        membership: Membership,
        effect: Resume,
        cursor: Cursor,
        accept: Accept,
        behind: Mapping[str, int],
    ) -> None:
        await resume(membership, effect, cursor, accept, behind)
        connection = membership._connection
        if connection.alive and effect.rooms and dice.strikes():
            membership._hub.leave(connection, connection.key(effect.rooms[-1].room))

    patch(Membership, "_resume", mutated)


def deaf(dice: Dice) -> None:
    """What comes live during a replay is not held for the session."""
    enter = Passage.__enter__

    def mutated(passage: Passage) -> Passage:
        if not dice.strikes():
            return enter(passage)
        passage._id = 0  # the hub knows no join of this number
        return passage

    patch(Passage, "__enter__", mutated)


def live_first(dice: Dice) -> None:
    """What came live during a replay is sent before it."""

    async def mutated(
        passages: Iterable[Passage], budget: Budget, connection: ClientConnection
    ) -> None:
        passages = list(passages)
        if dice.strikes():
            await asyncio.sleep(_PAUSE_S)
            for passage in passages:
                held = list(passage.join._held)
                passage.join._held.clear()
                passage.join.replayed += len(held)
                await passage.send(held)
        await replay_all(passages, budget, connection)

    patch(relay.edge.membership, "replay_all", mutated)


def ring_with_holes(dice: Dice) -> None:
    """The memory from which replays are answered lacks an event."""
    append = Rings.append

    def mutated(rings: Rings, event: Event) -> None:
        if not dice.strikes():
            append(rings, event)

    patch(Rings, "append", mutated)


def miscounts(dice: Dice) -> None:
    """RESUMED says another number of events than was sent."""
    say = Membership._say_resumed

    def mutated(
        membership: Membership, effect: Resume, replayed: int, behind: Mapping[str, int]
    ) -> None:
        say(membership, effect, replayed + dice.strikes(), behind)

    patch(Membership, "_say_resumed", mutated)


def shares_at_once(dice: Dice) -> None:
    """A session that has more than its edge is sent it again when it arrives there."""
    set_ahead = Hub.set_ahead

    def mutated(hub: Hub, seat: Seat, ahead: Ahead | None) -> None:
        set_ahead(hub, seat, None if ahead is not None and dice.strikes() else ahead)

    patch(Hub, "set_ahead", mutated)
