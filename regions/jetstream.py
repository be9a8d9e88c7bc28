"""One region's JetStream API, raw: nats-py's typed API lacks keys that the table needs."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from regions.errors import AdminError
from regions.permissions import inbox_of
from relay.bus.copies import MOST_DELETED, SEARCH_S
from relay.bus.gaps import find_gaps
from relay.config import NatsConfig
from relay.core.runs import NONE, Runs
from relay.errors import UnavailableError

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 5.0
BATCH_BYTES = 1024 * 1024
_NOT_FOUND = (10059, 10014, 10037)  # stream, consumer, message


class JetStream:
    """A connection as user `control`, for declaring streams and looking at them."""

    def __init__(self, region: str, client: Client, denials: list[str]) -> None:
        self.region = region
        self._client = client
        self._denials = denials  # what the server said: a denied request itself just times out

    @classmethod
    async def connect(cls, region: str, config: NatsConfig) -> "JetStream":
        """Connect once, without retries.

        Raises:
            UnavailableError: no server of the region answered, or it refused the login.
        """
        client = Client()
        denials: list[str] = []

        async def hear(error: Exception) -> None:
            if "permissions violation" in str(error).lower():
                denials.append(_reason(error))

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.connect(
                    servers=config.servers,
                    user=config.user,
                    password=config.password,
                    user_credentials=config.creds,
                    name="jetrelay control",
                    inbox_prefix=inbox_of(config, "control"),
                    allow_reconnect=False,
                    connect_timeout=1,
                    max_reconnect_attempts=2,  # of each server, while connecting; 0 is no limit
                    reconnect_time_wait=0,
                    error_cb=hear,
                )
        except (NatsError, OSError, TimeoutError) as error:
            await client.close()
            where = ", ".join(config.servers)
            raise UnavailableError(f"{region}: NATS at {where}: {_reason(error)}") from error
        return cls(region, client, denials)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def config(self, stream: str, consumer: str | None = None) -> dict[str, Any] | None:
        """The `config` of a stream or of a consumer; None if there is none."""
        info = await self.info(stream, consumer)
        if info is None:
            return None
        config = info["config"]
        assert isinstance(config, dict)
        return config

    async def info(self, stream: str, consumer: str | None = None) -> dict[str, Any] | None:
        """The API's whole answer about a stream or a consumer; None if there is none."""
        api = f"STREAM.INFO.{stream}" if consumer is None else f"CONSUMER.INFO.{stream}.{consumer}"
        return await self._ask(api, None, missing_ok=True)

    async def consumers(self) -> dict[str, list[str]]:
        """Every stream of the region and the names of its consumers."""
        found: dict[str, list[str]] = {}
        for stream in await self._names("STREAM.NAMES", "streams"):
            found[stream] = await self._names(f"CONSUMER.NAMES.{stream}", "consumers")
        return found

    async def streams(self) -> list[dict[str, Any]]:
        """What the API says of every stream of the region."""
        return await self._pages("STREAM.LIST", "streams")

    async def account(self) -> dict[str, Any]:
        """What the account holds, and its limits."""
        info = await self._ask("INFO", None)
        assert info is not None
        return info

    async def tell(self, subject: str, data: bytes) -> None:
        """Publish without asking for an answer.

        Raises:
            UnavailableError: the connection is lost.
            AdminError: the login may not.
        """
        if self._denials:
            raise AdminError(f"{self.region}: {subject}: {self._denials[0]}")
        try:
            await self._client.publish(subject, data)
        except (NatsError, OSError) as error:
            raise UnavailableError(f"{self.region}: {subject}: {_reason(error)}") from error

    async def flush(self) -> None:
        """Wait until the server has what was told.

        Raises:
            UnavailableError: no answer in time.
        """
        try:
            await self._client.flush(int(REQUEST_TIMEOUT_S))
        except (NatsError, OSError, TimeoutError) as error:
            raise UnavailableError(f"{self.region}: {_reason(error)}") from error

    async def put_stream(self, config: dict[str, Any], *, exists: bool) -> None:
        """Create a stream, or update it."""
        action = "UPDATE" if exists else "CREATE"
        await self._ask(f"STREAM.{action}.{config['name']}", config)

    async def put_consumer(self, stream: str, config: dict[str, Any], *, exists: bool) -> None:
        """Create a consumer, or update it."""
        body = {
            "stream_name": stream,
            "config": config,
            "action": "update" if exists else "create",
        }
        await self._ask(f"CONSUMER.CREATE.{stream}.{config['name']}", body)

    async def lacking(self, info: Mapping[str, Any]) -> Runs | None:
        """The sequences between a stream's first and last that it does not hold.

        Args:
            info: the API's answer about the stream, of a moment ago.

        Returns:
            None where they are so many that they could not be found in time.
        """
        stream, state = info["config"]["name"], info["state"]
        count = int(state.get("num_deleted", 0))
        if not count:
            return NONE
        if count <= MOST_DELETED:
            named = await self._ask(f"STREAM.INFO.{stream}", {"deleted_details": True})
            assert named is not None
            return Runs.of(named["state"].get("deleted") or ())
        ends_s = time.monotonic() + SEARCH_S
        found = await find_gaps(
            partial(self._following, stream),
            int(state["first_seq"]),
            int(state["last_seq"]),
            count,
            NONE,
            lambda: time.monotonic() >= ends_s,
        )
        return found if len(found) >= count else None

    async def _following(self, stream: str, seq: int) -> int | None:
        """The first sequence from `seq` on that the stream holds."""
        asked = {"seq": max(seq, 1), "next_by_subj": ">", "no_hdr": True}
        found = await self._ask(f"STREAM.MSG.GET.{stream}", asked, missing_ok=True)
        return None if found is None else int(found["message"]["seq"])

    async def messages(
        self, stream: str, first: int, batch: int
    ) -> list[tuple[dict[str, str], bytes]]:
        """Up to `batch` messages from sequence `first` on, by one direct get (ADR-31).

        Raises:
            UnavailableError: no answer in time, or nobody there to answer.
            AdminError: JetStream, or the login's permissions, refused it.
        """
        self._denials.clear()
        found: list[tuple[dict[str, str], bytes]] = []
        end: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

        async def hear(message: Msg) -> None:
            headers = message.headers or {}
            if "Nats-Sequence" in headers:  # else it is the end; `Status` may be anybody's
                found.append((headers, message.data))
            elif not end.done():
                end.set_result(headers)

        reply = self._client.new_inbox()
        subscription = await self._client.subscribe(reply, cb=hear)
        body = {"seq": max(first, 1), "batch": batch, "max_bytes": BATCH_BYTES}
        try:
            subject = f"$JS.API.DIRECT.GET.{stream}"
            await self._client.publish(subject, msgspec.json.encode(body), reply)
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                ending = await end
        except (NatsError, TimeoutError, OSError) as error:
            if self._denials:
                raise AdminError(f"{self.region}: {stream}: {self._denials[0]}") from error
            raise UnavailableError(f"{self.region}: {stream}: {_reason(error)}") from error
        finally:
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()
        status = ending.get("Status", "")
        if status == "503":
            raise UnavailableError(f"{self.region}: {stream}: JetStream does not answer")
        if status not in {"204", "404"}:  # the end of a batch, nothing there
            raise AdminError(f"{self.region}: {stream}: direct get says {status}")
        newest = found[-1][0]["Nats-Sequence"] if found else "0"
        if status == "204" and ending.get("Nats-Last-Sequence", newest) != newest:
            raise UnavailableError(f"{self.region}: {stream}: a part of the answer was lost")
        return found

    async def has_room(self) -> bool:
        """Whether the account's limit has room for the streams that stand: one could be made anew.

        Raises:
            UnavailableError: no answer in time.
        """
        info = await self.account()
        limit = int(info.get("limits", {}).get("max_storage", -1))
        used = max(int(info.get("reserved_storage", 0)), int(info.get("storage", 0)))
        return limit < 0 or used <= limit

    async def delete_message(self, stream: str, seq: int) -> None:
        """Delete one message from this region's copy of a stream."""
        await self._ask(f"STREAM.MSG.DELETE.{stream}", {"seq": seq})

    async def store(self, subject: str, data: bytes) -> None:
        """Store a message in the stream that takes this subject.

        Raises:
            UnavailableError: no answer in time.
            AdminError: it was refused.
        """
        self._denials.clear()
        try:
            reply = await self._client.request(subject, data, REQUEST_TIMEOUT_S)
        except (NatsError, TimeoutError, OSError) as error:
            if self._denials:
                raise AdminError(f"{self.region}: {subject}: {self._denials[0]}") from error
            raise UnavailableError(f"{self.region}: {subject}: {_reason(error)}") from error
        failure = msgspec.json.decode(reply.data).get("error")
        if failure is not None:
            raise AdminError(f"{self.region}: {subject}: {failure.get('description')}")

    async def purge(self, stream: str, seq: int) -> None:
        """Drop what this region's copy of a stream holds below a sequence."""
        await self._ask(f"STREAM.PURGE.{stream}", {"seq": seq})

    async def delete_stream(self, stream: str) -> None:
        """Delete a stream and all it holds; none is as good."""
        await self._ask(f"STREAM.DELETE.{stream}", None, missing_ok=True)

    async def delete_consumer(self, stream: str, consumer: str) -> None:
        """Delete a consumer; none is as good."""
        await self._ask(f"CONSUMER.DELETE.{stream}.{consumer}", None, missing_ok=True)

    async def pause_consumer(self, stream: str, consumer: str, until: datetime | None) -> None:
        """Let a consumer deliver nothing until then; None: let it deliver."""
        body = {} if until is None else {"pause_until": until.isoformat()}
        await self._ask(f"CONSUMER.PAUSE.{stream}.{consumer}", body)

    async def _names(self, api: str, key: str) -> list[str]:
        return await self._pages(api, key)

    async def _pages(self, api: str, key: str) -> list[Any]:
        found: list[Any] = []
        while True:
            answer = await self._ask(api, {"offset": len(found)})
            assert answer is not None
            page = answer.get(key) or []
            found += page
            if not page or len(found) >= answer["total"]:
                return found

    async def _ask(
        self, api: str, body: dict[str, Any] | None, *, missing_ok: bool = False
    ) -> dict[str, Any] | None:
        self._denials.clear()
        payload = b"" if body is None else msgspec.json.encode(body)
        try:
            reply = await self._client.request(f"$JS.API.{api}", payload, REQUEST_TIMEOUT_S)
        except NoRespondersError as error:
            raise UnavailableError(f"{self.region}: JetStream does not answer") from error
        except (NatsError, TimeoutError, OSError) as error:
            if self._denials:
                raise AdminError(f"{self.region}: {api}: {self._denials[0]}") from error
            raise UnavailableError(f"{self.region}: {api}: {_reason(error)}") from error
        answer: dict[str, Any] = msgspec.json.decode(reply.data)
        failure = answer.get("error")
        if failure is None:
            return answer
        if missing_ok and failure.get("err_code") in _NOT_FOUND:
            return None
        text = f"{self.region}: {api}: {failure.get('description')} ({failure.get('err_code')})"
        if failure.get("code") == 503:
            raise UnavailableError(text)
        raise AdminError(text)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error).removeprefix("nats: ") or type(error).__name__
