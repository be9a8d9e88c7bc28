"""The table of streams, mirrors and mirror consumers, and how it differs from what a region has.

Pure: `declare` says what must be, `compare` what differs. Only declared keys are compared, so that
defaults added by the server, and keys that others own, are no differences. The epoch in a home
stream's metadata is set once, here, and owned by the edges' gate from then on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from regions.nats_config import MIRRORED
from regions.topology import Region, StreamSettings, Topology
from relay.core import names

MAX_EVENT_BYTES = 65_536
MIRROR_ACK_PENDING = 20_000  # 1,000 would hold a mirror 150 ms away to 6,000 events/s
LEASE_BYTES = 16 * 1024**2
SIGNAL_BYTES = 64 * 1024**2
SIGNAL_AGE_S = 60
TELEMETRY_AGE_S = 86_400
_SECOND = 1_000_000_000

Step = Literal["home", "mirror"]


class Republish(msgspec.Struct, frozen=True):
    """Where a stream says again what it stored."""

    src: str
    dest: str


class External(msgspec.Struct, frozen=True):
    """The JetStream API of another domain."""

    api: str
    deliver: str = ""


class MirrorConsumer(msgspec.Struct, frozen=True):
    """The durable consumer at the origin that feeds a mirror (ADR-60)."""

    name: str
    deliver_subject: str


class Mirror(msgspec.Struct, frozen=True):
    """What a stream is a mirror of."""

    name: str
    external: External
    consumer: MirrorConsumer


class StreamConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stream as the JetStream API names its keys; durations in ns. None: not declared."""

    name: str
    storage: str
    num_replicas: int
    max_age: int
    max_bytes: int
    allow_direct: bool = False
    subjects: list[str] | None = None
    retention: str | None = None
    discard: str | None = None
    compression: str | None = None
    duplicate_window: int | None = None
    max_msg_size: int | None = None
    max_msgs_per_subject: int | None = None
    allow_msg_ttl: bool | None = None
    no_ack: bool | None = None
    republish: Republish | None = None
    mirror: Mirror | None = None
    mirror_direct: bool | None = None
    metadata: dict[str, str] | None = None


class ConsumerConfig(msgspec.Struct, frozen=True):
    """A mirror's consumer at the origin."""

    name: str
    durable_name: str
    deliver_subject: str
    ack_policy: str = "flow_control"
    flow_control: bool = True
    idle_heartbeat: int = _SECOND
    max_deliver: int = -1
    max_ack_pending: int = MIRROR_ACK_PENDING
    deliver_policy: str = "all"


@dataclass(frozen=True, slots=True)
class Declared:
    """One entry of the table: a stream, or a consumer of `stream`."""

    region: str
    step: Step  # every home entry of all regions comes before any mirror
    stream: str
    config: StreamConfig | ConsumerConfig

    @property
    def name(self) -> str:
        """`EV_us`, or `EV_us/MIR_EV_us_to_eu` for a consumer."""
        if isinstance(self.config, ConsumerConfig):
            return f"{self.stream}/{self.config.name}"
        return self.stream


class Difference(msgspec.Struct, frozen=True):
    """A key whose value is not the declared one; dotted where it lies deeper."""

    key: str
    actual: str  # JSON
    declared: str


class Change(msgspec.Struct, frozen=True):
    """What has to be done to one entry, or `extra`: there, but not in the table; left alone.

    `rebuild`: a mirror that skipped events which its origin holds. `diverged`: a mirror that holds
    other events than its origin; it is filled anew once what only it holds is saved.
    """

    region: str
    name: str
    action: Literal["create", "update", "extra", "rebuild", "diverged"]
    differences: list[Difference] = []
    saved: str | None = None  # the file with what only the mirror held

    def __str__(self) -> str:
        text = f"{self.region}: {self.action} {self.name}"
        if self.saved is not None:
            return f"{text}: filled anew, what only it held is in {self.saved}"
        if not self.differences:
            return text
        keys = ", ".join(f"{one.key} {one.actual} -> {one.declared}" for one in self.differences)
        return f"{text} ({keys})"


def declare(topology: Topology, region: Region) -> list[Declared]:
    """Everything that must stand in `region`: home streams, consumers for others, mirrors."""
    home, others = region.name, topology.others(region.name)
    table: list[Declared] = [
        Declared(home, "home", config.name, config) for config in _home(topology, region)
    ]
    for stream_of in MIRRORED:
        stream = stream_of(home)
        for other in others:
            name = names.mirror_consumer(stream, other)
            consumer = ConsumerConfig(name, name, names.mirror_delivery(stream, other))
            table.append(Declared(home, "home", stream, consumer))
    for origin in others:
        for config in _mirrors(topology, region, origin):
            table.append(Declared(home, "mirror", config.name, config))  # noqa: PERF401
    return table


def mirror_consumers(topology: Topology, region: str) -> dict[str, tuple[str, Declared]]:
    """Of each mirror in `region`: its origin, and the consumer there that feeds it."""
    found: dict[str, tuple[str, Declared]] = {}
    for origin in topology.others(region):
        for entry in declare(topology, topology.region(origin)):
            for stream_of in MIRRORED:
                stream = stream_of(origin)
                if entry.name == f"{stream}/{names.mirror_consumer(stream, region)}":
                    found[stream] = (origin, entry)
    return found


def compare(declared: Declared, actual: Mapping[str, Any] | None) -> Change | None:
    """What must be done so that `actual`, an API answer's `config`, becomes as declared."""
    if actual is None:
        return Change(declared.region, declared.name, "create")
    wanted: dict[str, Any] = msgspec.to_builtins(declared.config)
    differences = list(_differences(wanted, actual, ""))
    if not differences:
        return None
    return Change(declared.region, declared.name, "update", differences)


def merged(declared: Declared, actual: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration to send: what is there, with what is declared over it."""
    wanted: dict[str, Any] = msgspec.to_builtins(declared.config)
    result = dict(actual) | wanted
    if "metadata" in wanted or "metadata" in actual:
        kept = {
            key: value
            for key, value in actual.get("metadata", {}).items()
            if not key.startswith("_nats.")
        }
        result["metadata"] = {**wanted.get("metadata", {}), **kept}
    return result


def extras(region: str, table: list[Declared], found: Mapping[str, list[str]]) -> list[Change]:
    """What stands in `region` beyond the table; `found` is stream -> its consumers."""
    known = {entry.name for entry in table}
    there = [*found, *(f"{stream}/{name}" for stream in found for name in found[stream])]
    return [Change(region, name, "extra") for name in sorted(there) if name not in known]


def _home(topology: Topology, region: Region) -> list[StreamConfig]:
    home, replicas, settings = region.name, len(region.servers), topology.streams
    age = settings.max_age_s * _SECOND

    def kept_as_log(stream: str, kind: names.Kind, max_bytes: int) -> StreamConfig:
        return StreamConfig(
            name=stream,
            subjects=[names.below(kind, home)],
            storage="file",
            num_replicas=replicas,
            retention="limits",
            discard="old",
            compression="s2",
            max_age=settings.log_max_age_s * _SECOND,
            max_bytes=max_bytes,
            max_msg_size=MAX_EVENT_BYTES,
            duplicate_window=settings.duplicate_window_s * _SECOND,
            allow_direct=True,
        )

    return [
        StreamConfig(
            name=names.events_stream(home),
            subjects=[names.below("ev", home)],
            storage="file",
            num_replicas=replicas,
            retention="limits",
            discard="old",
            compression="s2",
            max_age=age,
            max_bytes=settings.max_bytes,
            max_msg_size=MAX_EVENT_BYTES,
            duplicate_window=settings.duplicate_window_s * _SECOND,
            allow_direct=True,
            republish=Republish(names.below("ev", home), names.below("live", home, home)),
            metadata={"epoch": "1"},
        ),
        StreamConfig(
            name=names.records_stream(home),
            subjects=[names.below("rec", home)],
            storage="file",
            num_replicas=replicas,
            retention="limits",
            discard="old",
            compression="s2",
            max_age=age,
            max_bytes=settings.max_bytes,
            max_msg_size=MAX_EVENT_BYTES,
            allow_direct=True,
        ),
        kept_as_log(names.log_stream(home), "log", settings.log_max_bytes),
        kept_as_log(names.minutes_stream(home), "min", settings.minutes_max_bytes),
        StreamConfig(
            name=names.book_stream(home),
            subjects=[names.below("ops", home)],
            storage="file",
            num_replicas=replicas,
            retention="limits",
            discard="new",  # what is ordered stands until something else is: nothing old may go
            compression="s2",
            max_age=0,
            max_bytes=settings.book_max_bytes,
            max_msg_size=MAX_EVENT_BYTES,
            duplicate_window=settings.duplicate_window_s * _SECOND,
            allow_direct=True,
        ),
        StreamConfig(
            name=names.TELEMETRY_STREAM,
            subjects=[names.below("tele"), names.below("news")],
            storage="file",
            num_replicas=replicas,
            retention="limits",
            discard="old",
            compression="s2",
            max_age=TELEMETRY_AGE_S * _SECOND,
            max_bytes=settings.telemetry_max_bytes,
            max_msg_size=MAX_EVENT_BYTES,
            allow_direct=True,
            no_ack=True,  # each region holds one, as with signals
        ),
        StreamConfig(
            name=names.LEASE_STREAM,
            subjects=[names.below("slot", home), names.below("duty", home)],
            storage="file",
            num_replicas=replicas,
            max_age=0,
            max_bytes=LEASE_BYTES,
            max_msgs_per_subject=1,
            allow_direct=True,
            allow_msg_ttl=True,
        ),
        StreamConfig(
            name=names.SIGNAL_STREAM,
            subjects=[names.below("sig")],
            storage="memory",
            num_replicas=replicas,
            max_age=SIGNAL_AGE_S * _SECOND,
            max_bytes=SIGNAL_BYTES,
            max_msg_size=MAX_EVENT_BYTES,
            allow_direct=True,
            no_ack=True,  # each region holds one: all would answer one publisher's reply subject
            republish=Republish(names.below("sig"), names.below("siglive")),
        ),
    ]


def _mirrors(topology: Topology, region: Region, origin: str) -> list[StreamConfig]:
    home, settings = region.name, topology.streams
    configs: list[StreamConfig] = []
    for stream_of in MIRRORED:
        stream = stream_of(origin)
        age_s, size = _kept(settings, stream_of)
        live = (
            Republish(names.below("ev", origin), names.below("live", home, origin))
            if stream_of is names.events_stream
            else None
        )
        configs.append(
            StreamConfig(
                name=stream,
                storage="file",
                num_replicas=len(region.servers),
                discard="old",
                compression="s2",
                max_age=age_s * _SECOND,
                max_bytes=size,
                allow_direct=True,
                mirror_direct=False,
                mirror=Mirror(
                    stream,
                    External(f"$JS.{origin}.API"),
                    MirrorConsumer(
                        names.mirror_consumer(stream, home), names.mirror_delivery(stream, home)
                    ),
                ),
                republish=live,
            )
        )
    return configs


def _kept(settings: StreamSettings, stream_of: Callable[[str], str]) -> tuple[int, int]:
    """How long a mirror keeps what it holds, in seconds, and how many bytes."""
    if stream_of is names.book_stream:
        return 0, 2 * settings.book_max_bytes  # its home is full first
    if stream_of is names.log_stream:
        return settings.log_max_age_s, settings.log_max_bytes
    if stream_of is names.minutes_stream:
        return settings.log_max_age_s, settings.minutes_max_bytes
    return settings.max_age_s, settings.max_bytes


def _differences(
    wanted: Mapping[str, Any], actual: Mapping[str, Any], path: str
) -> list[Difference]:
    found: list[Difference] = []
    for key, value in wanted.items():
        there = actual.get(key)
        if path == "metadata." and key in actual:
            continue  # the epoch is the gate's once it stands
        if isinstance(value, dict):
            found += _differences(value, there or {}, f"{path}{key}.")
        elif there != value and not (not there and not value):  # the API leaves out zero values
            found.append(Difference(f"{path}{key}", _json(there), _json(value)))
    return found


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
