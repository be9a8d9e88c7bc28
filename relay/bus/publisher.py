"""Publishing: an event is stored in the region's stream, or said not to be, within a deadline.

Asynchronous JetStream publishing with a bounded window. (nats-py's own keeps the slot of a publish
that was in flight when a server died for ever; here each has a deadline.) A publish that got no
answer is unknown, neither done nor failed: it is sent again with its id, which the stream's
de-duplication makes harmless.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from relay.bus.ack import read_ack
from relay.bus.events import event_headers, signal_headers
from relay.bus.gatekeeper import Gatekeeper
from relay.bus.inbox import Inbox
from relay.core.names import DEFAULT_SHARD, event_subject, signal_subject
from relay.errors import UnavailableError

_RETRY_PAUSE_S = 0.1
_ATTEMPT_S = 1.0
SIGNALS_PENDING_BYTES = 4 * 1024 * 1024  # behind a NATS that takes nothing


@dataclass(frozen=True, slots=True)
class Publication:
    """What a client gave to publish."""

    tenant: str
    room: str
    user: str
    id: str
    session: str
    data: bytes
    ts_ms: int
    received_s: float  # by the event loop's clock


@dataclass(frozen=True, slots=True)
class Stored:
    """Where it was stored; `duplicate`: it had been before."""

    epoch: int
    seq: int
    duplicate: bool


class Publisher:
    """Stores events of one region's clients."""

    def __init__(
        self, inbox: Inbox, gate: Gatekeeper, region: str, window: int, deadline_s: float
    ) -> None:
        self._inbox = inbox
        self._gate = gate
        self._region = region
        self._window = asyncio.Semaphore(window)
        self._deadline_s = deadline_s
        self.in_flight = 0
        self.stored = 0
        self.failed = 0

    async def publish(
        self, publication: Publication, wanted: Callable[[], bool] = lambda: True
    ) -> Stored:
        """Store an event, after all that were given before it had their turn.

        The deadline counts from when it was received, whatever it waited for since.

        Args:
            publication: what to store.
            wanted: asked before it is sent later than at once. Who has gone elsewhere publishes it
                there: sent here again it could come after what its publisher said since.

        Raises:
            UnavailableError: it was not stored, or nobody knows, within the deadline.
        """
        due_s = publication.received_s + self._deadline_s
        if asyncio.get_running_loop().time() >= due_s:
            self.failed += 1
            raise UnavailableError("not stored in time; retry with the same id")
        self.in_flight += 1
        waits = self._window.locked() or not self._gate.is_open
        try:
            async with asyncio.timeout_at(due_s), self._window:
                stored = await self._until_stored(publication, wanted, late=waits)
        except UnavailableError:
            self.failed += 1
            raise
        except TimeoutError as error:
            self.failed += 1
            raise UnavailableError("not known to be stored; retry with the same id") from error
        finally:
            self.in_flight -= 1
        self.stored += 1
        return stored

    async def _until_stored(
        self, publication: Publication, wanted: Callable[[], bool], *, late: bool
    ) -> Stored:
        subject = event_subject(self._region, publication.tenant, DEFAULT_SHARD, publication.room)
        while True:
            await self._gate.opened()
            if late and not wanted():
                raise UnavailableError("its session has ended here")
            late = True
            epoch = self._gate.epoch
            headers = event_headers(
                publication.tenant,
                publication.room,
                publication.user,
                publication.id,
                publication.session,
                epoch,
                publication.ts_ms,
            )
            try:
                ack = read_ack(
                    *await self._inbox.request(subject, publication.data, _ATTEMPT_S, headers)
                )
            except UnavailableError:
                await asyncio.sleep(_RETRY_PAUSE_S)
                continue
            if ack.error is not None:
                await asyncio.sleep(_RETRY_PAUSE_S)
                continue
            self._gate.saw(ack.seq)
            if ack.duplicate:
                # Stored before, maybe in another epoch: the answer names that very event.
                try:
                    epoch = await self._gate.epoch_of(ack.seq)
                except UnavailableError:
                    await asyncio.sleep(_RETRY_PAUSE_S)
                    continue
            return Stored(epoch, ack.seq, ack.duplicate)

    async def signal(self, publication: Publication) -> None:
        """Send an ephemeral event: at most once, to whoever is there.

        Raises:
            UnavailableError: not connected, or so much waits already that it would be stale.
        """
        if self._inbox.pending_bytes > SIGNALS_PENDING_BYTES:
            raise UnavailableError("NATS takes nothing: an ephemeral event is not kept")
        subject = signal_subject(self._region, publication.tenant, DEFAULT_SHARD, publication.room)
        headers = signal_headers(publication.user, publication.id, publication.ts_ms)
        await self._inbox.send(subject, publication.data, "", headers)
