"""The small world of these tests, and how they speak to it."""

import base64
import re
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding
from cryptography.hazmat.primitives.serialization import PublicFormat

from relay.core import numbering
from relay.core.cursor import CursorCodec, Position
from relay.core.grants import RoomGrant
from tests.raw import Encoding, Payload, Raw, token
from tests.world import World

ED_KEY = Ed25519PrivateKey.generate()
ED_PEM = ED_KEY.public_key().public_bytes(KeyEncoding.PEM, PublicFormat.SubjectPublicKeyInfo)
TOPOLOGY = f"""
[[regions]]
name = "us"
edges = 1

[limits]
identify_timeout_s = 3.0
resume_timeout_s = 1.0
heartbeat_interval_ms = 4000
publishes_per_s = 20.0
publish_burst = 40

[[tokens.keys]]
kid = "ed"
alg = "EdDSA"
key = '''{ED_PEM.decode()}'''
"""
BAD_ROOMS = [
    "a.b", "*", ">", "chat.*", "chat.>", "a b", " ", "a\r\nPUB ev.us._.0.x 1\r\n1", "a\n", "\n",
    "a\x00b", "", "r" * 129, "é", "室", "a/b", "a\u2028", "\ufeffa", "-.-",
    "$JS.API.STREAM.DELETE.EV_us",
]  # fmt: skip
PLAIN_SUBJECT = re.compile(
    r"(ev\.us|sig\.us|live\.us\.(us|\*)|siglive\.(us|\*))\.[_-]\.0\.[A-Za-z0-9_:-]{1,128}\Z"
)


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@asynccontextmanager
async def live(
    world: World, *grants: RoomGrant, encoding: Encoding = "json", user: str = "ana"
) -> AsyncIterator[Raw]:
    """A connection after its READY."""
    async with Raw(world.edges["us-1"].url, encoding) as raw:
        await raw.identify(token(world, user, *grants))
        yield raw


def cursors(world: World) -> CursorCodec:
    return CursorCodec(bytes.fromhex(world.found().secrets.cursor_key))


def place(world: World, ready: Payload) -> Position:
    """Where the home stream stands, from a READY."""
    return cursors(world).decode(ready["d"]["cursor"]).positions["us"]


def now_s(slot: int = 0, ahead_ms: int = 0) -> int:
    """`s` of this moment."""
    return numbering.s_at(int(time.time() * 1000) + ahead_ms, slot)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
