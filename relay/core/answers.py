"""Answers of a session: ACK and ERROR, and the refusals that become them."""

from collections.abc import Iterable
from typing import Any

from relay.core.codes import ErrorCode, Op
from relay.core.effects import Effect, Refused, Send
from relay.core.wire import Nonce, Payload

MAX_NONCE = 64


class RefusalError(Exception):
    """A request is refused with an ERROR; the connection lives on."""

    def __init__(self, code: ErrorCode, message: str = "") -> None:
        super().__init__(message or code.replace("_", " "))
        self.code = code


def ack(nonce: Nonce | None, **d: Any) -> list[Effect]:
    """An ACK; nothing without a nonce."""
    return [] if nonce is None else [Send(Payload(Op.ACK, {"nonce": nonce, **d}))]


def error(
    nonce: Nonce | None,
    code: str,
    message: str,
    *,
    retry_after: float | None = None,
    **lost: str,
) -> Send:
    """An ERROR. `retry_after` is in seconds; `lost`: `room`, `presence` or `user`, what a fresh
    token takes away.
    """
    d: dict[str, Any] = {} if nonce is None else {"nonce": nonce}
    d |= {"code": code, "message": message}
    if retry_after is not None:
        d["retry_after"] = max(round(retry_after, 3), 0.001)  # 0 would say: now
    d |= lost
    return Send(Payload(Op.ERROR, d))


def nonce_refusal(nonce: Nonce | None) -> Send | None:
    """The ERROR for a nonce that is too long: it is not echoed."""
    if nonce is None or len(str(nonce)) <= MAX_NONCE:
        return None
    return error(None, ErrorCode.INVALID_DATA, f"nonce: at most {MAX_NONCE} characters")


def refused_rooms(refused: Iterable[Refused]) -> list[dict[str, str]]:
    """`refused` of READY, RESUMED and of the ACK of a SUBSCRIBE."""
    return [{"room": refusal.room, "code": refusal.code} for refusal in refused]
