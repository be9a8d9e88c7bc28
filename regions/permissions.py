"""What each NATS user of a region's application account may publish and subscribe to.

Permission wildcards match whole tokens: `$JS.API.DIRECT.GET.EV_*` would match only that literal, so
streams are named one by one. A denied publish is a silent time-out for whoever sent it.
"""

from dataclasses import dataclass
from typing import Literal

from relay.config import NatsConfig
from relay.core import names

User = Literal["edge", "console", "control", "backend"]
USERS: tuple[User, ...] = ("edge", "console", "control", "backend")


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects a user may publish and subscribe to; `deny` takes from what `publish` allows."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    deny: tuple[str, ...] = ()


def inbox(user: User) -> str:
    """The prefix of the user's reply subjects, which no other user may read."""
    return f"_INBOX_{user}"


def inbox_of(config: NatsConfig, user: User) -> str:
    """The prefix of the reply subjects of `user` where it logs in as `config` says.

    A deployment may have one login for several: the inboxes that may be read are then the login's.
    """
    return inbox(next((known for known in USERS if known == config.user), user))


def permissions(user: User, region: str, others: tuple[str, ...]) -> Permissions:
    """What `user` may do in `region`; `others` are the regions it is linked with."""
    own = f"{inbox(user)}.>"
    match user:
        case "edge":
            return _edge(region, others, own)
        case "console":
            return Permissions(
                publish=(
                    "$JS.API.INFO",
                    "$JS.API.STREAM.INFO.*",
                    "$JS.API.STREAM.NAMES",
                    "$JS.API.STREAM.LIST",
                    "$JS.API.CONSUMER.INFO.*.*",
                    *_log_reads(region, others),
                    *(f"$JS.{o}.API.DIRECT.GET.{names.log_stream(o)}" for o in others),
                    *(f"$JS.{o}.API.DIRECT.GET.{names.minutes_stream(o)}" for o in others),
                    *_book_reads(region, others),
                    f"$JS.API.DIRECT.GET.{names.LEASE_STREAM}",
                    *(names.below("ask", each) for each in (region, *others)),
                ),
                subscribe=(
                    names.below("tele"),
                    names.below("news"),
                    names.below("lease"),
                    names.below("head"),
                    names.below("told", region),
                    "$JS.EVENT.ADVISORY.>",
                    own,
                ),
            )
        case "control":
            # What a mirror skipped is recorded before it is filled anew.
            return Permissions(
                publish=(
                    "$JS.API.>",
                    names.hole_subject(region),
                    names.below("ops", region),
                    names.below("news", region),
                    names.duty_subject(region, names.RUNNING, "*"),
                    *_asked(region, others),
                ),
                subscribe=(names.below("told", region), names.below("shown", region), own),
            )
        case "backend":
            return Permissions(
                publish=(names.below("ev", region),),
                subscribe=(own,),
                deny=(names.below("ev", region, names.SYSTEM_TENANT),),
            )


def _asked(region: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """Where edges are asked for all that they may be."""
    kinds: tuple[names.InquiryKind, ...] = ("ask", "see", "act")
    return tuple(names.below(kind, each) for kind in kinds for each in (region, *others))


def _log_reads(region: str, others: tuple[str, ...]) -> tuple[str, ...]:
    origins = (region, *others)
    logs = (stream_of(o) for stream_of in (names.log_stream, names.minutes_stream) for o in origins)
    return tuple(f"$JS.API.DIRECT.GET.{stream}" for stream in (*logs, names.TELEMETRY_STREAM))


def _book_reads(region: str, others: tuple[str, ...]) -> tuple[str, ...]:
    books = (names.book_stream(origin) for origin in (region, *others))
    return tuple(f"$JS.API.DIRECT.GET.{stream}" for stream in books)


def _edge(region: str, others: tuple[str, ...], own: str) -> Permissions:
    home = names.events_stream(region)
    readable = [
        *(names.events_stream(origin) for origin in (region, *others)),
        *(names.records_stream(origin) for origin in (region, *others)),
        *(names.log_stream(origin) for origin in (region, *others)),
        names.minutes_stream(region),
        names.LEASE_STREAM,
    ]
    return Permissions(
        publish=(
            names.below("ev", region),
            names.below("sig", region),
            names.below("rec", region),
            names.below("tele", region),
            names.below("pres", region),
            names.below("log", region),
            names.below("min", region),
            names.below("users", region),
            *(names.below("usersask", each) for each in (region, *others)),
            *(names.below("visit", each) for each in (region, *others)),
            *(names.below("visitans", each) for each in (region, *others)),
            *(names.below("presask", each) for each in (region, *others)),
            *(names.below("presans", each) for each in (region, *others)),
            *(names.below("told", each) for each in (region, *others)),
            *(names.below("shown", each) for each in (region, *others)),
            names.below("lease", region),
            names.below("slot", region),
            names.duty_subject(region, "*"),  # not the operators' own, which are longer
            names.takeover_subject(region),
            names.head_subject(region),
            names.alarm_subject(region),
            names.skipped_subject(region),
            names.witness_subject(region),
            own,  # answers to other edges
            *(f"$JS.API.DIRECT.GET.{stream}" for stream in readable),
            *(f"$JS.API.STREAM.INFO.{stream}" for stream in readable),
            f"$JS.API.DIRECT.GET.{names.TELEMETRY_STREAM}",
            *_book_reads(region, others),
            *(
                f"$JS.API.STREAM.MSG.GET.{names.events_stream(origin)}"  # what the leader has
                for origin in (region, *others)
            ),
            f"$JS.API.STREAM.MSG.GET.{names.log_stream(region)}",
            *(
                f"$JS.API.STREAM.MSG.GET.{names.records_stream(origin)}"
                for origin in (region, *others)
            ),
            f"$JS.API.STREAM.UPDATE.{home}",  # a new epoch
            *(f"$JS.{other}.API.DIRECT.GET.{names.events_stream(other)}" for other in others),
            *(f"$JS.{other}.API.DIRECT.GET.{home}" for other in others),
            *(f"$JS.{other}.API.STREAM.MSG.GET.{names.events_stream(other)}" for other in others),
            *(f"$JS.{other}.API.STREAM.MSG.GET.{home}" for other in others),
        ),
        subscribe=(
            names.below("live", region),
            names.below("siglive"),
            names.below("pres"),
            names.below("users"),
            names.below("usersask", region),
            names.below("visit", region),
            names.below("visitans", region),
            names.below("presask", region),
            names.below("presans", region),
            names.below("ask", region),
            names.below("see", region),
            names.below("act", region),
            names.below("lease"),
            names.below("takeover"),
            names.below("head"),
            names.below("alarm"),
            names.skipped_subject(region),
            names.witness_subject(region),
            own,
        ),
    )
