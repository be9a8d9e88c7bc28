"""What the edges tell of themselves while a drill runs: each region's, heard in that region."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from regions.errors import LedgerError
from regions.permissions import inbox_of
from relay.config import NatsConfig
from relay.core.names import telemetry_subject
from relay.core.telemetry import EdgeFrame, decode_frame
from relay.tasks import Tasks

FILE = "telemetry.jsonl"
CONNECT_S = 3.0
AGAIN_S = 0.5
PING_S = 2
CROWDED = ("rate", "full")  # why a door refuses somebody, see `relay.edge.admission`
REFUSALS = ("permissions violation", "authorization violation", "authentication expired")


class Heard(msgspec.Struct, frozen=True, gc=False):
    """A frame, and when it came: `t` is CLOCK_MONOTONIC in ns, as in the ledger."""

    t: int
    frame: EdgeFrame


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Heard).decode


class Telemetry:
    """Listens in every region at once, since a region that is cut off is not heard elsewhere.

    Args:
        doors: each region's NATS, for the user `console`.
        directory: where `telemetry.jsonl` is written.
        hear: called with each frame.
    """

    def __init__(
        self, doors: Mapping[str, NatsConfig], directory: Path, hear: Callable[[Heard], None]
    ) -> None:
        self._doors = doors
        self._hear = hear
        self.refused: dict[str, str] = {}  # region -> why its NATS lets this login hear nothing
        self._tasks = Tasks("drill.telemetry")
        path = directory / FILE
        try:
            self._file = path.open("ab")
        except OSError as error:
            raise LedgerError(f"{path}: {error.strerror}") from error

    def start(self) -> None:
        """Listen from now on."""
        for region, config in self._doors.items():
            self._tasks.spawn(self._listen(region, config), f"tele.{region}")

    async def close(self) -> None:
        """Listen no more."""
        await self._tasks.close()
        self._file.close()

    async def _listen(self, region: str, config: NatsConfig) -> None:
        while True:
            closed = asyncio.Event()
            client = Client()
            try:
                async with asyncio.timeout(CONNECT_S):
                    await self._connect(client, region, config, closed)
                    await client.subscribe(telemetry_subject(region, "*"), cb=self._message)
                await closed.wait()
            except (OSError, TimeoutError, NatsError):
                pass  # its NATS is down, or was, or refuses the login: try again
            finally:
                await client.close()
            await asyncio.sleep(AGAIN_S)

    async def _connect(
        self, client: Client, region: str, config: NatsConfig, closed: asyncio.Event
    ) -> None:
        async def on_closed() -> None:
            closed.set()

        async def on_error(error: Exception) -> None:
            text = str(error).removeprefix("nats: ").strip("'\" ")
            if any(word in text.lower() for word in REFUSALS):
                self.refused[region] = text

        await client.connect(
            list(config.servers),
            name="jetrelay drill",
            user=config.user,
            password=config.password,
            user_credentials=config.creds,
            inbox_prefix=inbox_of(config, "console"),
            allow_reconnect=False,
            connect_timeout=1,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            ping_interval=PING_S,
            error_cb=on_error,
            closed_cb=on_closed,
        )

    async def _message(self, message: Msg) -> None:
        try:
            heard = Heard(time.monotonic_ns(), decode_frame(message.data))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        self.refused.pop(heard.frame.region, None)
        self._file.write(encode(heard) + b"\n")
        self._file.flush()
        self._hear(heard)


def crowded_out(frames: Iterable[Heard], since_ns: int) -> int:
    """How many handshakes edges refused from a time on, since too many came at once, or in all."""
    seen: dict[tuple[str, int], tuple[int, int]] = {}  # edge and epoch -> the first, the newest
    for frame in (heard.frame for heard in frames if heard.t >= since_ns):
        refused = sum(frame.refused.get(reason, 0) for reason in CROWDED)
        first, _ = seen.get((frame.edge, frame.epoch), (refused, refused))
        seen[frame.edge, frame.epoch] = first, refused
    return sum(newest - first for first, newest in seen.values())


def read_telemetry(directory: Path) -> list[Heard]:
    """The frames in a report's `telemetry.jsonl`; none without one.

    Raises:
        LedgerError: a line is no frame.
    """
    path = directory / FILE
    if not path.is_file():
        return []
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        return [decode(line) for line in lines if line.endswith(b"\n")]
    except (OSError, msgspec.DecodeError) as error:
        raise LedgerError(f"{path}: {error}") from error
