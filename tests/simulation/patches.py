"""The doors through which an edge reaches the outside world, led to the simulation instead."""

import asyncio
import sys
import warnings
from typing import Any, cast

import relay.bus.connection
import relay.core.tokens
import relay.edge.admission
import relay.edge.clock
import relay.edge.connection
import relay.edge.edge
import relay.edge.fanout
import relay.edge.machine
from relay.bus.connection import Connection
from relay.config import NatsConfig
from relay.core.grants import Grants
from relay.core.tokens import TokenRules
from relay.edge.joining import Passage
from relay.edge.seat import Seat
from tests.simulation.loop import ProcessLoop, hashed_by_seed
from tests.simulation.nats import WALL0_S


def _loop() -> ProcessLoop:
    return cast("ProcessLoop", asyncio.get_running_loop())


class _Time:
    """`time`, as the process whose turn it is sees it."""

    @staticmethod
    def monotonic() -> float:
        return _loop().time()

    @staticmethod
    def monotonic_ns() -> int:
        return int(_loop().time() * 1e9)

    @staticmethod
    def time() -> float:
        loop = _loop()
        return WALL0_S + loop.time() + loop.skew_s


class _Secrets:
    """`secrets` of the seed."""

    @staticmethod
    def token_bytes(count: int) -> bytes:
        return _loop().dice.randbytes(count)


class _Random:
    """`random` of the seed."""

    @staticmethod
    def randint(low: int, high: int) -> int:
        return _loop().dice.randint(low, high)


async def _open_connection(config: NatsConfig, name: str, _inbox: str) -> Connection:
    connection = _loop().connect(config.servers[0], name)
    await connection.open()
    return cast("Connection", connection)


_grants: dict[str, Grants] = {}
_really_verify = relay.core.tokens.verify


def _verify(token: str, rules: TokenRules, now_s: float) -> Grants:
    """Signatures are checked once: the simulation's tokens do not change, nor run out."""
    if token not in _grants:
        _grants[token] = _really_verify(token, rules, now_s)
    return _grants[token]


def install() -> None:
    """Lead the edge's doors to the simulation, for the rest of this Python process."""
    # The coroutines of a killed process are closed when they are collected: nobody is to hear it.
    sys.unraisablehook = lambda _: None
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    modules: dict[Any, dict[str, object]] = {
        relay.edge.clock: {"time": _Time},
        relay.edge.connection: {"secrets": _Secrets},
        relay.edge.admission: {"random": _Random},
        # What goes to more than two is written in several turns of the loop.
        relay.edge.fanout: {"SLICE_MS": -1, "LOOKS_EACH": 2},
    }
    for module, names in modules.items():
        for name, value in names.items():
            if not hasattr(module, name):
                raise AttributeError(f"{module.__name__}.{name} is gone: adapt the simulation")
            setattr(module, name, value)
    for kind in (Seat, Passage):
        kind.__hash__ = hashed_by_seed  # type: ignore[method-assign]
    everywhere(relay.core.tokens.verify, _verify)
    everywhere(relay.bus.connection.open_connection, _open_connection)
    everywhere(relay.edge.machine.rss_bytes, lambda: 0)
    everywhere(relay.edge.machine.cpu_s, lambda: 0.0)


def everywhere(original: Any, instead: Any) -> None:
    """Put something else wherever a module of the edge has `original`."""
    found = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("relay."):
            for key, value in list(vars(module).items()):
                if value is original:
                    setattr(module, key, instead)
                    found += 1
    assert found, f"{original} is gone"
