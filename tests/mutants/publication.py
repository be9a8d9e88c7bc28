"""Mutants of publishing: what the publisher is told, and what the stream holds."""

from collections.abc import Callable

from relay.bus.events import MSG_ID, event_headers
from relay.bus.publisher import Publication, Publisher, Stored
from relay.bus.reader import remote_api
from relay.core.answers import error
from relay.core.codes import ErrorCode
from relay.core.effects import Send, Store
from relay.core.names import DEFAULT_SHARD, event_subject
from relay.edge.connection import ClientConnection
from relay.edge.gateway import Gateway
from relay.errors import BusError
from relay.tasks import Tasks
from tests.mutants.mutant import Dice, patch

_STORE_S = 1.0
Wanted = Callable[[], bool]


def _always() -> bool:
    return True


def _expected(publisher: Publisher) -> Stored:
    """Where the next event will stand, as far as this edge can know."""
    gate = publisher._gate
    return Stored(gate.epoch, max(gate._seen, gate.delivered()) + 1, duplicate=False)


def acks_early(dice: Dice) -> None:
    """The ACK goes out before the stream's answer, with the sequence that is expected."""
    publish = Publisher.publish
    tasks = Tasks("mutant")

    async def mutated(
        publisher: Publisher, publication: Publication, wanted: Wanted = _always
    ) -> Stored:
        await publisher._gate.opened()
        if not dice.strikes():
            return await publish(publisher, publication, wanted)
        expected = _expected(publisher)
        tasks.spawn(publish(publisher, publication, wanted), "store")
        return expected

    patch(Publisher, "publish", mutated)


def acks_unstored(dice: Dice) -> None:
    """The ACK goes out, and the event is never stored."""
    publish = Publisher.publish

    async def mutated(
        publisher: Publisher, publication: Publication, wanted: Wanted = _always
    ) -> Stored:
        if publisher._gate.is_open and dice.strikes():
            return _expected(publisher)
        return await publish(publisher, publication, wanted)

    patch(Publisher, "publish", mutated)


def stores_twice(dice: Dice) -> None:
    """A publish is sent again, as after a lost answer, and without its id."""
    publish = Publisher.publish

    async def mutated(
        publisher: Publisher, publication: Publication, wanted: Wanted = _always
    ) -> Stored:
        stored = await publish(publisher, publication, wanted)
        if dice.strikes():
            tenant, room = publication.tenant, publication.room
            headers = event_headers(
                tenant, room, publication.user, publication.id, publication.session,
                stored.epoch, publication.ts_ms,
            )  # fmt: skip
            del headers[MSG_ID]
            subject = event_subject(publisher._region, tenant, DEFAULT_SHARD, room)
            await publisher._inbox.request(subject, publication.data, _STORE_S, headers)
        return stored

    patch(Publisher, "publish", mutated)


def refuses_stored(dice: Dice) -> None:
    """The publisher is told for good that an event is refused, and it is stored."""
    store = Gateway._store

    async def mutated(
        gateway: Gateway, connection: ClientConnection, effect: Store, publication: Publication
    ) -> None:
        if effect.nonce is None or not dice.strikes():
            await store(gateway, connection, effect, publication)
            return
        try:
            stored = await gateway._publisher.publish(publication)
        except BusError:
            return  # its answer is lost: the client asks again
        told = connection.session.stored(
            effect, gateway._region, stored.epoch, stored.seq, duplicate=stored.duplicate
        )
        assert isinstance(told[0], Send), "the ACK"
        refusal = error(effect.nonce, ErrorCode.INVALID_DATA, "no")
        connection.run([refusal, *told[1:]])

    patch(Gateway, "_store", mutated)


def needs_another_region(dice: Dice) -> None:
    """A publish waits for an answer from another region."""
    publish = Publisher.publish

    async def mutated(
        publisher: Publisher, publication: Publication, wanted: Wanted = _always
    ) -> Stored:
        gate = publisher._gate
        dice.strikes()
        for region in gate._others:
            api = remote_api(region)
            await gate._reader.last_by_subject(gate._stream, ">", api=api, timeout_s=0.5)
        return await publish(publisher, publication, wanted)

    patch(Publisher, "publish", mutated)
