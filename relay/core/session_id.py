"""Session ids: signed by the edges' shared key, so any edge can check one and none remembers it."""

import base64
import binascii
import hashlib
import hmac

RANDOM_BYTES = 16
_MAC_BYTES = 16


class SessionIds:
    """Makes and checks session ids over tenant, user and 128 random bits."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("session key: 32 bytes at least")
        self._key = key[:64]

    def make(self, tenant: str, user: str, random: bytes) -> str:
        """A session id; `random` is 16 random bytes."""
        if len(random) != RANDOM_BYTES:
            raise ValueError(f"{RANDOM_BYTES} random bytes")
        raw = random + self._mac(tenant, user, random)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    def belongs(self, session_id: str, tenant: str, user: str) -> bool:
        """Whether `session_id` was made by our edges for this user of this tenant."""
        if len(session_id) != 43 or not session_id.isascii():
            return False
        try:
            raw = base64.b64decode(session_id + "=", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return False
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != session_id:
            return False  # another spelling of the same bytes would be another session elsewhere
        random, mac = raw[:RANDOM_BYTES], raw[RANDOM_BYTES:]
        return hmac.compare_digest(mac, self._mac(tenant, user, random))

    def _mac(self, tenant: str, user: str, random: bytes) -> bytes:
        text = random + tenant.encode() + b"\x00" + user.encode()
        return hashlib.blake2b(text, digest_size=_MAC_BYTES, key=self._key).digest()
