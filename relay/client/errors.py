"""What the client raises. Every text is meant for the person who reads it."""

from relay.errors import RelayError


class ClientError(RelayError):
    """Anything that the client raises on purpose."""


class ConnectFailed(ClientError):  # noqa: N818
    """No address let the client in; `reasons` has (address, what happened), in order.

    `later`: every one of them is there, and asked to come later.
    """

    def __init__(
        self,
        reasons: tuple[tuple[str, str], ...],
        why: str = "no address worked",
        *,
        later: bool = False,
    ) -> None:
        self.reasons = reasons
        self.later = later
        told = "; ".join(f"{url}: {reason}" for url, reason in reasons)
        super().__init__(f"{why}: {told}" if told else why)


class SessionEnded(ClientError):  # noqa: N818
    """The edge ended the session for good; reconnecting would not help.

    `code` is the close code (`relay.core.codes.CLOSES`).
    """

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"{message} (close code {code})")


class AuthenticationFailed(SessionEnded):
    """4004: the token is missing, broken, expired or signed by an unknown key."""


class NothingGranted(SessionEnded):
    """4014: the token grants none of the rooms asked for."""


class Replaced(SessionEnded):
    """4022: a newer connection resumed this session."""


class Closed(ClientError):  # noqa: N818
    """The client was closed, by `close()` or by leaving `async with`."""


class Refused(ClientError):  # noqa: N818
    """The edge said no; `code` is one of `relay.core.codes.ErrorCode`."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{message} ({code})" if message else code)


class TimedOut(ClientError):  # noqa: N818
    """No answer within the time-out of a request that changes nothing when repeated."""


class Unknown(ClientError):  # noqa: N818
    """A publish that was sent and never acknowledged: it may be stored, or not.

    `id` is the publish's id: within 120 s of the first try the same id can be published again
    without storing it twice in that region.
    """

    def __init__(self, publish_id: str, message: str) -> None:
        self.id = publish_id
        super().__init__(message)


class NotSent(ClientError):  # noqa: N818
    """A publish that was certainly not stored: it never left, as one before it in its room failed
    or no connection came in time.
    """


class Undecodable(ClientError):  # noqa: N818
    """The edge sent something that is not a payload of the protocol."""
