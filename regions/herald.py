"""Tells all regions what a keeper sees: news, published through the NATS of each of them."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from regions.errors import AdminError
from regions.jetstream import JetStream
from regions.news import News, Peer, StreamNews, StreamsNews, encode_news
from relay.bus.events import stamp_ms
from relay.bus.home import EPOCH
from relay.config import NatsConfig
from relay.core.names import news_subject
from relay.errors import UnavailableError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.keeper")

TELL_S = 2.0
STREAMS_S = 5.0
RETRY_S = 1.0
WAITING = 200  # messages that were not published yet; the oldest go


class Herald:
    """Publishes news of regions, again and again.

    Args:
        nats: region -> how to reach it as `control`; news are told of each of them.
        look: what is to be told now, the same of every region.
        by: the region whose keeper tells it; empty: none does.
        streams: whether each region's streams are looked at, and told of.
    """

    def __init__(
        self,
        nats: Mapping[str, NatsConfig],
        look: Callable[[], Iterable[News]],
        by: str = "",
        *,
        streams: bool = True,
    ) -> None:
        self._nats = nats
        self._look = look
        self._by = by
        self._streams = streams
        self._tasks = Tasks("herald")
        self._waiting: dict[str, deque[News]] = {region: deque(maxlen=WAITING) for region in nats}
        self._told_all = asyncio.Event()
        self._told_all.set()
        self._due = {region: asyncio.Event() for region in nats}

    def start(self) -> None:
        """Begin, and go on until it is closed."""
        for region, config in self._nats.items():
            self._tasks.keep(partial(self._run, region, config), f"tell.{region}")

    async def close(self) -> None:
        """Tell no more."""
        await self._tasks.close()

    async def delivered(self, patience_s: float) -> None:
        """Wait until all that was to be told once is told somewhere, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._told_all.wait()

    def say(self, news: News) -> None:
        """Tell something once, as soon as it can be."""
        self._told_all.clear()
        for region, waiting in self._waiting.items():
            waiting.append(news)
            self._due[region].set()

    async def _run(self, region: str, config: NatsConfig) -> None:
        while True:
            admin: JetStream | None = None
            try:
                admin = await JetStream.connect(region, config)
                await self._tell(admin)
            except (UnavailableError, AdminError, OSError, TimeoutError) as error:
                _log.info("%s hears no news: %s", region, error)
            finally:
                if admin is not None:
                    await admin.close()
            await asyncio.sleep(RETRY_S)

    async def _tell(self, admin: JetStream) -> None:
        waiting, streams_s = self._waiting[admin.region], -STREAMS_S
        while True:
            began_s = time.monotonic()
            for news in self._look():
                await self._publish(admin, news)
            while waiting:
                await self._publish(admin, waiting[0])
                waiting.popleft()
                if not waiting:
                    await admin.flush()
                    self._told_all.set()
            if self._streams and began_s - streams_s >= STREAMS_S:
                streams_s = began_s
                await self._publish(admin, await look_at_streams(admin, self._by))
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_S):
                    await self._due[admin.region].wait()
            self._due[admin.region].clear()

    async def _publish(self, admin: JetStream, news: News) -> None:
        about = type(news).__struct_config__.tag
        await admin.tell(news_subject(admin.region, str(about)), encode_news(news))


async def look_at_streams(admin: JetStream, by: str = "") -> StreamsNews:
    """All streams of a region as they stand.

    Args:
        admin: the region's.
        by: the region whose keeper looks.

    Raises:
        UnavailableError: JetStream did not answer.
    """
    account, infos = await admin.account(), await admin.streams()
    limit = int(account.get("limits", {}).get("max_storage", -1))
    return StreamsNews(
        at_ms=int(time.time() * 1000),
        streams=sorted((stream_news(info) for info in infos), key=lambda each: each.name),
        stored_bytes=int(account.get("storage", 0)),
        store_bytes=max(limit, 0),
        by=by,
    )


def stream_news(info: Mapping[str, Any]) -> StreamNews:
    """A stream, from what the JetStream API says of it."""
    config, state = info["config"], info["state"]
    mirror, cluster = info.get("mirror"), info.get("cluster") or {}
    epoch = (config.get("metadata") or {}).get(EPOCH, "")
    active_ns = -1 if mirror is None else int(mirror.get("active", -1))
    return StreamNews(
        name=config["name"],
        origin="" if mirror is None else _origin(config["name"]),
        first=state["first_seq"],
        last=state["last_seq"],
        messages=state["messages"],
        bytes=state["bytes"],
        max_bytes=max(int(config.get("max_bytes", -1)), 0),
        deleted=state.get("num_deleted", 0),
        last_ms=max(stamp_ms(state.get("last_ts", "")), 0),
        leader=cluster.get("leader", ""),
        peers=[
            Peer(
                name=peer["name"],
                current=bool(peer.get("current")),
                lag=int(peer.get("lag", 0)),
                offline=bool(peer.get("offline", False)),
            )
            for peer in cluster.get("replicas") or ()
        ],
        lag=None if mirror is None else int(mirror.get("lag", 0)),
        active_ms=None if active_ns < 0 else active_ns // 1_000_000,
        consumers=state.get("consumer_count", 0),
        epoch=int(epoch) if epoch.isdecimal() else None,
    )


def _origin(stream: str) -> str:
    return stream.partition("_")[2]
