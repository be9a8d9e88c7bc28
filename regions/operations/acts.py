"""What operators can do to a fleet: one table, from which `jetrelay ctl`, the console's keys, its
`:` line and its palette are made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relay.core.inquiry import KICK_CODES

Impact = Literal["reading", "reversible", "disruptive"]
On = Literal["region", "edge", "client", "alert", "operation", "drill"]


@dataclass(frozen=True, slots=True)
class Option:
    """Something that may be said with an act.

    `name` is also how the command line calls it; `field` is one of `Request`, of a drill's one of
    `Order`.
    """

    name: str
    field: str
    metavar: str
    meaning: str
    default: float | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to do.

    One that only reads is not confirmed; a reversible one is with a key, a disruptive one by typing
    the name of what it is done to.
    """

    name: str
    key: str  # in the console
    impact: Impact
    on: tuple[On, ...]
    meaning: str
    help: str = ""  # more of it
    options: tuple[Option, ...] = ()

    @property
    def usage(self) -> str:
        """What follows the name on a command line."""
        scope = "|".join(self.on).upper()
        return " ".join([f"[{scope}]", *(_usage(option) for option in self.options)])


def _usage(option: Option) -> str:
    return option.metavar if option.required else f"[{option.name}={option.metavar}]"


_WITHIN = Option(
    "within", "within_s", "S", "Spread over so many seconds; without, as fast as the others let in."
)
_OVER = Option(
    "over", "over_s", "S", "Seconds until it takes all that would come.", default=300.0
)  # fmt: skip
_PERCENT = Option(
    "percent", "weight", "PERCENT", "Of what would come there, 0 to 100; or `topology`.",
    required=True,
)  # fmt: skip

_DRILL = (
    Option("clients", "clients", "N", "Clients of its own.", default=300),
    Option("rate", "rate", "N", "Events/s that they publish, all together.", default=200),
    Option("seed", "seed", "N", "Chooses who is where, and what is broken.", default=1),
    Option("for", "hold_s", "S", "How long the fault lasts."),
    Option("region", "region", "REGION", "Break this one; the seed chooses without."),
)
_CODE = Option(
    "code", "code", "CODE",
    "4000: it comes back and resumes; 4021: at once, elsewhere; 4004: it is told to stay away.",
    default=float(KICK_CODES[0]),
)  # fmt: skip

OPERATIONS: tuple[Act, ...] = (
    Act("cordon", "c", "reversible", ("edge", "region"), "send nobody new to an edge or region",
        "Who is there stays, and may come back."),
    Act("uncordon", "u", "reversible", ("edge", "region"),
        "open an edge or region: cordon, drain and ramp end"),
    Act("drain", "D", "disruptive", ("edge", "region"),
        "send the clients of an edge or region elsewhere", "It is empty until `uncordon`.",
        (_WITHIN,)),
    Act("weight", "M", "reversible", ("region",),
        "let a region take only a part of what would come", "`topology`: what stands in it.",
        (_PERCENT,)),
    Act("ramp", "R", "reversible", ("region",),
        "let a region take nothing, and more and more from now on", "", (_OVER,)),
    Act("evacuate", "E", "disruptive", ("region",),
        "cordon a region, and send all its clients elsewhere",
        "No faster than the others let in.", (_WITHIN,)),
    Act("return", "B", "reversible", ("region",),
        "open a region's edges, and let it take more and more", "", (_OVER,)),
)  # fmt: skip

OTHERS: tuple[Act, ...] = (
    Act("abort", "A", "reversible", ("operation",), "stop an operation where it is, or a drill",
        "Who was not sent away yet, stays."),
    Act("resume", "", "reversible", ("operation",),
        "go on with an operation that nobody carries out any more"),
    Act("ack", "a", "reversible", ("alert",), "say that somebody looks after an alert"),
    Act("drill", "X", "disruptive", ("drill",), "break the running world on purpose, and heal it",
        "What clients feel is measured, and held against objectives.", _DRILL),
    Act("kick", "K", "disruptive", ("client",), "close a client's connection",
        "It comes back and misses nothing, unless it is told to stay away.", (_CODE,)),
    Act("trace", "r", "reading", ("client",), "what passes over a client's connection, for 60 s"),
)  # fmt: skip

ACTS: Mapping[str, Act] = {act.name: act for act in (*OPERATIONS, *OTHERS)}
