"""How many are here: the sessions of one edge, counted as they come and go."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

UNKNOWN = "ZZ"  # a country that is not known (ISO 3166 reserves it for the user)
UserKey = tuple[str, str]  # tenant and user


class How(StrEnum):
    """How a session came to this edge."""

    IDENTIFY = "identify"
    RESUME = "resume"


class Who(NamedTuple):
    """Whose session it is, from where and over what."""

    tenant: str
    user: str
    transport: str = "websocket"
    country: str = UNKNOWN
    device: str = ""


@dataclass(slots=True)
class Tally:
    """Sessions with one label: open now, and since the edge's start."""

    now: int = 0
    opened: int = 0
    closed: int = 0

    def came(self) -> None:
        """One more."""
        self.now += 1
        self.opened += 1

    def went(self) -> None:
        """One less."""
        self.now -= 1
        self.closed += 1


class Headcount:
    """The open sessions of one edge. Each coming and each going is one of `changes`."""

    def __init__(self) -> None:
        self.changes = 0
        self.opened: Counter[str] = Counter()  # by how
        self.closed: Counter[int] = Counter()  # by close code
        self.countries: dict[str, Tally] = {}
        self.transports: dict[str, Tally] = {}
        self.user_changes: dict[UserKey, bool] = {}  # since they were taken: whether he is here
        self._sessions: dict[str, Who] = {}
        self._users: Counter[UserKey] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def sessions(self) -> list[str]:
        """The ids of the open sessions."""
        return list(self._sessions)

    @property
    def users(self) -> int:
        """How many users have a session here: exact."""
        return len(self._users)

    @property
    def who(self) -> list[UserKey]:
        """These users."""
        return list(self._users)

    def who_is(self, session_id: str) -> Who | None:
        """Whose an open session is; None: it is not here."""
        return self._sessions.get(session_id)

    def came(self, session_id: str, who: Who, how: How) -> None:
        """A session is here, that was not."""
        assert session_id not in self._sessions, "who is here does not come"
        self._sessions[session_id] = who
        self.changes += 1
        self.opened[how] += 1
        for tally in self._tallies(who):
            tally.came()
        key = (who.tenant, who.user)
        self._users[key] += 1
        if self._users[key] == 1:
            self.user_changes[key] = True

    def went(self, session_id: str, code: int) -> None:
        """A session that was here is not any more; `code`: with which its connection closed."""
        who = self._sessions.pop(session_id)
        self.changes += 1
        self.closed[code] += 1
        for tally in self._tallies(who):
            tally.went()
        key = (who.tenant, who.user)
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key]
            self.user_changes[key] = False

    def take_user_changes(self) -> dict[UserKey, bool]:
        """Which users came (True) and went (False), net, since this was asked before."""
        taken, self.user_changes = self.user_changes, {}
        return taken

    def _tallies(self, who: Who) -> tuple[Tally, Tally]:
        return (
            self.countries.setdefault(who.country, Tally()),
            self.transports.setdefault(who.transport, Tally()),
        )
