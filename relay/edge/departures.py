"""Who went from this edge lately, and how: remembered for operators who ask."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from relay.core.codes import known_code
from relay.core.inquiry_answers import Ended
from relay.core.masking import HANDLE, handle_of
from relay.core.session import Session

REMEMBERED = 4_096  # connections, of all users
TOLD = 16  # of one user


class Departure(NamedTuple):
    """A connection that ended."""

    at_ms: int  # Unix ms
    tenant: str
    user: str
    session: str  # its handle
    code: int


class Departures:
    """The newest of them, bounded."""

    def __init__(self) -> None:
        self._gone: deque[Departure] = deque(maxlen=REMEMBERED)

    def note(self, session: Session, code: int, at_ms: int) -> None:
        """A connection ended; of one that has not identified nothing is remembered.

        Args:
            session: of it.
            code: with which it was closed.
            at_ms: Unix ms.
        """
        grants = session.grants
        if grants is not None:
            handle = handle_of(session.session_id)
            gone = Departure(at_ms, grants.tenant, grants.user, handle, known_code(code))
            self._gone.append(gone)

    def of(self, tenant: str, user: str) -> list[Ended]:
        """Those of a user, newest first."""
        return _ended(one for one in self._newest if (one.tenant, one.user) == (tenant, user))

    def under(self, handle: str) -> list[Ended]:
        """Those of sessions whose handles begin so, newest first."""
        return _ended(one for one in self._newest if one.session.startswith(handle[:HANDLE]))

    @property
    def _newest(self) -> Iterator[Departure]:
        return reversed(self._gone)


def _ended(gone: Iterable[Departure]) -> list[Ended]:
    return [Ended(one.at_ms, one.session, one.code) for one in islice(gone, TOLD)]
