"""A glyph and a word for every state, and the tone they are drawn in: never colour alone."""

from dataclasses import dataclass
from enum import Enum

from console.model import LagLevel, LinkState
from console.model.copies import Agreement


class Tone(Enum):
    """What a text is about; a theme gives each a colour."""

    PLAIN = "plain"
    MUTED = "muted"
    STRONG = "strong"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    TREND = "trend"


@dataclass(frozen=True, slots=True)
class Sign:
    """How a state is shown."""

    glyph: str
    word: str
    tone: Tone
    meaning: str


EDGE_SIGNS = {
    "ready": Sign("●", "ready", Tone.GOOD, "serves clients"),
    "starting": Sign("◔", "starting", Tone.WARN, "not serving yet"),
    "draining": Sign("◑", "draining", Tone.WARN, "sends its clients elsewhere"),
    "cordoned": Sign("◇", "cordoned", Tone.WARN, "takes nobody new, as ordered"),
    "drained": Sign("□", "drained", Tone.WARN, "empty, and takes nobody, as ordered"),
    "full": Sign("◕", "full", Tone.WARN, "refuses new connections"),
    "cut_off": Sign("⊘", "cut off", Tone.BAD, "does not reach its NATS"),
    "ended": Sign("◌", "ended", Tone.MUTED, "was ended in order"),
    "dark": Sign("○", "dark", Tone.BAD, "nothing heard for 10 s"),
    "unknown": Sign("?", "unknown", Tone.MUTED, "the console can't tell"),
}
REGION_SIGNS = {
    "ok": Sign("●", "ok", Tone.GOOD, "all edges ready, mirrors current"),
    "degraded": Sign("◐", "degraded", Tone.WARN, "an edge is not ready, or a mirror is late"),
    "cut_off": EDGE_SIGNS["cut_off"],
    "dark": EDGE_SIGNS["dark"],
    "down": Sign("▼", "down", Tone.BAD, "dark, and keepers of other regions confirm it"),
    "unknown": EDGE_SIGNS["unknown"],
}
LAG_SIGNS = {
    LagLevel.OK: Sign(" ", "ok", Tone.PLAIN, "up to 1,000 ms"),
    LagLevel.WARN: Sign("▲", "late", Tone.WARN, "over 1,000 ms"),
    LagLevel.BAD: Sign("✗", "very late", Tone.BAD, "over 3,000 ms"),
    LagLevel.NONE: Sign(" ", "unknown", Tone.MUTED, "no figure"),
}
ALERT_SIGNS = {
    "page": Sign("✗", "page", Tone.BAD, "somebody has to act now"),
    "ticket": Sign("▲", "ticket", Tone.WARN, "somebody has to look at it"),
    "acked": Sign("✓", "looked after", Tone.MUTED, "it fires, and somebody looks after it"),
    "pending": Sign("◌", "pending", Tone.MUTED, "its condition has not lasted yet"),
}
HAPPENING_SIGNS = {
    "good": Sign("✓", "good", Tone.GOOD, "is well again, or ended well"),
    "plain": Sign("·", "plain", Tone.MUTED, "something to know"),
    "warn": Sign("▲", "warning", Tone.WARN, "something to look at"),
    "bad": Sign("✗", "bad", Tone.BAD, "something is wrong"),
}
STREAM_SIGNS = {
    "ok": Sign("●", "ok", Tone.GOOD, "it is led, and its copies are current"),
    "late": Sign("▲", "late", Tone.WARN, "a mirror that is read over 1,000 ms late"),
    "behind": Sign("▲", "behind", Tone.WARN, "a replica is not current"),
    "full": Sign("▲", "full", Tone.WARN, "over 95 % of what it may take, and that hurts"),
    "offline": Sign("✗", "offline", Tone.BAD, "a replica is gone"),
    "cut": Sign("⊘", "cut", Tone.BAD, "a mirror that hears nothing of its origin"),
    "wedged": Sign("✗", "wedged", Tone.BAD, "a mirror that stands still behind its origin"),
    "diverged": Sign("✗", "diverged", Tone.BAD, "a mirror that holds other events than its origin"),
    "no leader": Sign("✗", "no leader", Tone.BAD, "nothing is stored: see enter"),
    "silent": Sign("?", "silent", Tone.MUTED, "nobody has told of it for 20 s"),
}
AGREEMENT_SIGNS = {
    Agreement.HOME: Sign("·", "home", Tone.MUTED, "what the others are compared with"),
    Agreement.AGREES: Sign("✓", "agrees", Tone.GOOD, "it holds what its origin holds"),
    Agreement.DIVERGES: Sign("✗", "diverges", Tone.BAD, "it holds other events than its origin"),
    Agreement.NOT_COMPARED: Sign("?", "not compared", Tone.MUTED, "nobody compares it now"),
}
STEER_SIGNS = {
    "ok": Sign("●", "ok", Tone.GOOD, "half of its edges at least are as they should be"),
    "degraded": Sign("◐", "degraded", Tone.WARN, "it is there, and not as it should be"),
    "dark": Sign("○", "dark", Tone.BAD, "nobody hears it"),
    "down": Sign("✗", "down", Tone.BAD, "others confirm that it is not there"),
}
DRILL_SIGNS = {
    "goes on": Sign("◑", "goes on", Tone.WARN, "it runs"),
    "pass": Sign("✓", "pass", Tone.GOOD, "every promise kept, every objective met"),
    "missed": Sign("✗", "missed", Tone.BAD, "an objective was missed"),
    "violated": Sign("✗", "violated", Tone.BAD, "a promise was broken"),
    "interrupted": Sign("▲", "interrupted", Tone.WARN, "somebody ended it early"),
    "failed": Sign("✗", "failed", Tone.BAD, "it could not run to its end, or proves nothing"),
    "silent": Sign("?", "silent", Tone.MUTED, "no word for 3 min: it may be gone"),
}
CLIENT_SIGNS = {
    "new": Sign("◌", "new", Tone.MUTED, "has not said who it is"),
    "entering": Sign("◔", "entering", Tone.WARN, "is on its way in"),
    "replaying": Sign("◔", "replaying", Tone.WARN, "gets what it missed"),
    "live": Sign("●", "live", Tone.GOOD, "hears what happens"),
    "closing": Sign("◑", "closing", Tone.WARN, "is on its way out"),
}
LINK_SIGNS = {
    LinkState.CONNECTING: Sign("◌", "connecting", Tone.WARN, "the console has no link yet"),
    LinkState.CONNECTED: Sign("●", "link", Tone.GOOD, "the console hears the fleet"),
    LinkState.LOST: Sign("✗", "link lost", Tone.BAD, "the console hears nothing"),
}


def edge_sign(state: str) -> Sign:
    """The sign of an edge's state; a word that is not known here is shown as it is."""
    return EDGE_SIGNS.get(state) or Sign("◇", state, Tone.WARN, "a state of a newer edge")


def client_sign(phase: str) -> Sign:
    """The sign of where a connection is in its life."""
    return CLIENT_SIGNS.get(phase) or Sign("◇", phase, Tone.WARN, "a word of a newer edge")


def region_sign(state: str) -> Sign:
    """The sign of a region's state."""
    return REGION_SIGNS[state]


def stream_sign(state: str) -> Sign:
    """The sign of a stream's state."""
    return STREAM_SIGNS[state]


def steer_sign(state: str) -> Sign:
    """The sign of how steering sees something; a word that is not known here is shown as it is."""
    return STEER_SIGNS.get(state) or Sign("◇", state, Tone.WARN, "a state of a newer keeper")


def drill_sign(state: str) -> Sign:
    """The sign of a drill's state; a word that is not known here is shown as it is."""
    return DRILL_SIGNS.get(state) or Sign("◇", state, Tone.WARN, "a word of a newer drill")
