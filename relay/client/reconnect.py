"""Which address next, and how long to wait: the client's half of protocol section 4."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from relay.client.bodies import Place, ReconnectRule

TRIES_A_REGION = 2
PROTOCOL_VERSION = "10"


@dataclass(frozen=True, slots=True)
class Hop:
    """The next attempt: `attempt` counts the failures in a row before it.

    `first_round`: other addresses that were given have not been tried at all.
    """

    url: str
    delay_s: float
    attempt: int
    first_round: bool = False


def gateway_url(url: str, encoding: str, resume: bool) -> str:
    """`url` with the query that the gateway expects; what it has besides is kept."""
    parts = urlsplit(url)
    ours = {"v": PROTOCOL_VERSION, "encoding": encoding} | ({"resume": "1"} if resume else {})
    kept = [(key, value) for key, value in parse_qsl(parts.query) if key not in {*ours, "resume"}]
    return urlunsplit(parts._replace(query=urlencode([*kept, *ours.items()])))


def backoff_s(rule: ReconnectRule, attempt: int, dice: Callable[[], float]) -> float:
    """`min(base * 2^attempt + random(0, jitter), max)`, in seconds."""
    base_ms = rule.base_ms * (1 << min(attempt, 30))
    return min(base_ms + rule.jitter_ms * dice(), rule.max_ms) / 1000


class Route:
    """Where the client is, what other places it knows, and how often it has just failed.

    Args:
        urls: the addresses given by the application, in order of preference.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.given = tuple(dict.fromkeys(urls))
        self.regions: tuple[Place, ...] = ()
        self.rule = ReconnectRule()
        self.region: str | None = None  # where the session is, or was last
        self.home: str | None = None  # where it was first
        self.failures = 0  # in a row
        self._url: str | None = None  # last one that became ready
        self._resume_url: str | None = None
        self._region_of: dict[str, str] = {}  # of given addresses, as HELLO said
        self._at_once = False
        self._not_before_s: tuple[str, float] | None = None

    @property
    def away(self) -> bool:
        """Whether the session is outside its home region."""
        return self.region != self.home

    @property
    def home_url(self) -> str | None:
        """An address in the home region, if it is (still) in the list of regions."""
        return self._listed(self.home)

    def _listed(self, region: str | None) -> str | None:
        return next((place.url for place in self.regions if place.name == region), None)

    def learn(self, url: str, region: str, regions: tuple[Place, ...], rule: ReconnectRule) -> None:
        """HELLO came from `url`."""
        self.rule = rule
        if regions:
            self.regions = regions
        if url in self.given and region:
            self._region_of[url] = region

    def relist(self, regions: tuple[Place, ...]) -> None:
        """REGIONS came. A new address of the session's own region is where the edge wants it."""
        before = self._listed(self.region)
        self.regions = regions
        now = self._listed(self.region)
        if now is not None and now != before:
            self._resume_url = now

    def settle(self, url: str, region: str, resume_url: str) -> None:
        """READY or RESUMED came from `url`: the next loss starts counting anew."""
        self.failures = 0
        self._not_before_s = None
        self.region = region
        if self.home is None:
            self.home = region
        self._url = url
        if resume_url:
            self._resume_url = resume_url
        self._at_once = False

    def lose(self, at_once: bool) -> None:
        """A ready connection ended; `at_once`: the edge asked to come back without a wait."""
        self._at_once = at_once

    def fail(self, url: str, retry_after_s: float | None = None, *, at_once: bool = False) -> None:
        """An attempt at `url` did not become ready; `at_once`: as the edge asked to."""
        self.failures += 1
        self._at_once = at_once
        self._not_before_s = (url, retry_after_s) if retry_after_s is not None else None

    def go_home(self) -> None:
        """The next attempt goes to the home region, without a wait."""
        self.failures = 0
        self.region = self.home
        self._url = self._resume_url = self.home_url
        self._at_once = True

    def next(self, dice: Callable[[], float]) -> Hop:
        """The next attempt.

        The region of the session comes first (there, the edge that READY named, then the one in
        the list), the others after two failures each, at last the addresses given, and so on. A
        region that is no longer in the edges' list (its NATS is gone) comes after those that are.
        """
        attempt = self.failures
        first_round = self.region is None and attempt + 1 < len(self.given)
        if self.region is None:
            url = self.given[attempt % len(self.given)]
            # Each address once without a wait; only then is there a reason to slow down.
            waited = max(0, attempt - len(self.given))
            delay_s = 0.0 if attempt < len(self.given) else backoff_s(self.rule, waited, dice)
        else:
            turns = self._turns(self.region)
            urls = turns[attempt // TRIES_A_REGION % len(turns)]
            url = urls[attempt % TRIES_A_REGION % len(urls)]
            delay_s = 0.0 if self._at_once else backoff_s(self.rule, attempt, dice)
        if self._not_before_s is not None and self._not_before_s[0] == url:
            delay_s = max(delay_s, self._not_before_s[1])
        return Hop(url, delay_s, attempt, first_round)

    def _turns(self, region: str) -> list[list[str]]:
        """The addresses to try, a list for each region in order, from `region` on."""
        names = [place.name for place in self.regions]
        at = names.index(region) if region in names else 0
        order = [region, *(name for name in names[at:] + names[:at] if name != region)]
        if names and region not in names:
            order = [*order[1:], region]
        turns = []
        for name in order:
            urls = [self._resume_url, self._listed(name), self._url] if name == region else []
            urls += [self._listed(name)]
            urls += [url for url in self.given if self._region_of.get(url) == name]
            turns.append([*dict.fromkeys(url for url in urls if url)])
        turns.append([url for url in self.given if self._region_of.get(url) not in order])
        return [turn for turn in turns if turn]
