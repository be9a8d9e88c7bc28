"""Reading streams: batched direct get (ADR-31) and stream information, on a connection of its own.

A batch is read inline in the connection's read loop at the server, so replay never shares the
connection that carries live events or publishes.
"""

import asyncio
import json
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relay.bus.connection import STATUS, Headers, parse_headers
from relay.bus.events import LAST_SEQUENCE, SEQUENCE, stamp_ms
from relay.bus.inbox import NO_RESPONDERS, Inbox
from relay.core.runs import Runs
from relay.errors import BusError, UnavailableError

API = "$JS.API"
END_OF_BATCH, NOT_FOUND = "204", "404"
PENDING = "Nats-Num-Pending"
NO_MESSAGE = 10037  # err_code of the JetStream API: no message found


def remote_api(region: str) -> str:
    """The JetStream API of another region, across the link."""
    return f"$JS.{region}.API"


@dataclass(frozen=True, slots=True)
class Page:
    """Messages in stream order, and how many more match behind them."""

    messages: tuple[tuple[Headers, bytes], ...]
    pending: int

    @property
    def last(self) -> int:
        """Sequence of the last message; 0 when there is none."""
        return int(self.messages[-1][0][SEQUENCE]) if self.messages else 0


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a stream says of itself."""

    first: int  # last + 1 when it is empty
    last: int
    messages: int
    deleted: int  # sequences between first and last that it does not hold
    last_ms: int  # Unix ms of its last message; 0 when it never had one
    created: str
    metadata: dict[str, str]
    config: dict[str, Any]


def _info(answer: dict[str, Any]) -> StreamInfo:
    state, config = answer["state"], answer["config"]
    first = state["first_seq"] if state["messages"] else state["last_seq"] + 1
    return StreamInfo(
        first=first,
        last=state["last_seq"],
        messages=state["messages"],
        deleted=state.get("num_deleted", 0),
        last_ms=max(stamp_ms(state.get("last_ts", "")), 0),
        created=answer["created"],
        metadata=config.get("metadata") or {},
        config=config,
    )


QUESTIONS = 64  # that a server answers with one message: at once, at most
LONGEST = 8  # time-outs: as many may pass while the messages of a page come in, slowly


class Reader:
    """Reads with a limit on how many run at once.

    Args:
        inbox: for the answers.
        reads: pages at once, at most. Questions that one message answers don't wait for them.
        timeout_s: for an answer, and in a page from one message to the next.
    """

    def __init__(self, inbox: Inbox, reads: int, timeout_s: float = 2.0) -> None:
        self._inbox = inbox
        self._slots = asyncio.Semaphore(reads)
        self._questions = asyncio.Semaphore(QUESTIONS)
        self._timeout_s = timeout_s
        self.reads = 0  # total

    async def page(
        self,
        stream: str,
        seq: int,
        *,
        batch: int,
        max_bytes: int = 256 * 1024,
        subject: str | None = None,
        api: str = API,
    ) -> Page:
        """Up to `batch` messages from `seq` on, of one subject (wildcards allowed) or of all.

        Raises:
            UnavailableError: no answer in time, or nobody there to answer.
        """
        request: dict[str, Any] = {"seq": max(seq, 1), "batch": batch, "max_bytes": max_bytes}
        if subject is not None:
            request["next_by_subj"] = subject
        return await self._batch(f"{api}.DIRECT.GET.{stream}", request)

    async def since(
        self,
        stream: str,
        start_time: str,
        *,
        batch: int,
        subject: str | None = None,
        api: str = API,
    ) -> Page:
        """Up to `batch` messages stored at or after an RFC 3339 time.

        Raises:
            UnavailableError: no answer in time, or nobody there to answer.
        """
        request: dict[str, Any] = {
            "start_time": start_time,
            "batch": batch,
            "max_bytes": 256 * 1024,
        }
        if subject is not None:
            request["next_by_subj"] = subject
        return await self._batch(f"{api}.DIRECT.GET.{stream}", request)

    async def newest(
        self, stream: str, subject: str, *, up_to: str | None = None, batch: int = 1000
    ) -> Page:
        """The newest message of each subject that matches, in stream order (ADR-31, `multi_last`).

        Args:
            stream: its name.
            subject: with wildcards.
            up_to: an RFC 3339 time: the newest of those that were stored before.
            batch: messages at most.

        Raises:
            UnavailableError: no answer in time, or nobody there to answer.
        """
        request: dict[str, Any] = {"multi_last": [subject], "batch": batch}
        if up_to is not None:
            request["up_to_time"] = up_to
        return await self._batch(f"{API}.DIRECT.GET.{stream}", request)

    async def last_by_subject(
        self, stream: str, subject: str, *, api: str = API, timeout_s: float | None = None
    ) -> tuple[Headers, bytes] | None:
        """The newest message on `subject` (wildcards allowed), or None.

        Raises:
            UnavailableError: no answer in time, or nobody there to answer.
        """
        body = json.dumps({"last_by_subj": subject}).encode()
        headers, data = await self._ask(f"{api}.DIRECT.GET.{stream}", body, timeout_s)
        if headers.get(STATUS) == NOT_FOUND:
            return None
        if SEQUENCE not in headers:
            raise BusError(f"direct get of {stream}: status {headers.get(STATUS)}")
        return headers, data

    async def info(self, stream: str) -> StreamInfo:
        """The stream's state, from its leader.

        Raises:
            UnavailableError: no answer in time.
            BusError: there is no such stream.
        """
        return _info(await self.api(f"STREAM.INFO.{stream}", {}))

    async def deleted(self, stream: str) -> tuple[StreamInfo, Runs]:
        """As `info`, and the sequences between first and last that the stream does not hold.

        Raises:
            UnavailableError: no answer in time.
            BusError: there is no such stream.
        """
        answer = await self.api(f"STREAM.INFO.{stream}", {"deleted_details": True})
        return _info(answer), Runs.of(answer["state"].get("deleted") or ())

    async def next_seq(self, stream: str, seq: int, subject: str, *, api: str = API) -> int | None:
        """The first sequence from `seq` on that holds a message on `subject`, as the leader knows.

        Direct get is answered by any replica, which may lack the newest; this by the leader alone.

        Raises:
            UnavailableError: no answer in time, or there is no leader.
        """
        asked = {"seq": max(seq, 1), "next_by_subj": subject}
        found = await self._at_leader(stream, asked, api=api)
        return None if found is None else int(found["seq"])

    async def last_seq(
        self, stream: str, subject: str, *, api: str = API, timeout_s: float | None = None
    ) -> int | None:
        """The sequence of the newest message on `subject`, as the leader knows.

        Raises:
            UnavailableError: no answer in time, or there is no leader.
        """
        asked = {"last_by_subj": subject}
        found = await self._at_leader(stream, asked, api=api, timeout_s=timeout_s)
        return None if found is None else int(found["seq"])

    async def last_stored_ms(self, stream: str, subject: str) -> int | None:
        """When the newest message on `subject` was stored (Unix ms), as the leader knows.

        Raises:
            UnavailableError: no answer in time, or there is no leader.
        """
        found = await self._at_leader(stream, {"last_by_subj": subject})
        return None if found is None else stamp_ms(found["time"])

    async def last_data(self, stream: str, subject: str) -> bytes | None:
        """The body of the newest message on `subject`, as the leader knows; None: there is none.

        Raises:
            UnavailableError: no answer in time, or there is no leader.
        """
        found = await self._at_leader(stream, {"last_by_subj": subject})
        return None if found is None else b64decode(found.get("data", ""))

    async def last_headers(self, stream: str, subject: str, *, api: str = API) -> Headers | None:
        """The headers of the newest message on `subject`, as the leader knows; None: there is none.

        Raises:
            UnavailableError: no answer in time, or there is no leader.
        """
        found = await self._at_leader(stream, {"last_by_subj": subject}, api=api, headers=True)
        return None if found is None else parse_headers(b64decode(found.get("hdrs", "")))

    async def headers_at(self, stream: str, seq: int) -> Headers | None:
        """The headers of the message with this sequence, as the leader knows; None: there is none.

        Raises:
            UnavailableError: no answer in time, or there is no leader.
        """
        found = await self._at_leader(stream, {"seq": seq}, headers=True)
        return None if found is None else parse_headers(b64decode(found.get("hdrs", "")))

    async def _at_leader(
        self,
        stream: str,
        request: dict[str, Any],
        *,
        api: str = API,
        headers: bool = False,
        timeout_s: float | None = None,
    ) -> dict[str, Any] | None:
        call = f"{api}.STREAM.MSG.GET.{stream}"
        body = json.dumps(request if headers else request | {"no_hdr": True}).encode()
        _, data = await self._ask(call, body, timeout_s)
        answer: dict[str, Any] = json.loads(data)
        error = answer.get("error")
        if error is None:
            message: dict[str, Any] = answer["message"]
            return message
        if error.get("err_code") == NO_MESSAGE:
            return None
        raise UnavailableError(f"{call}: {error.get('description', 'refused')}")

    async def api(self, call: str, request: dict[str, Any]) -> dict[str, Any]:
        """A call of the JetStream API.

        Raises:
            UnavailableError: no answer in time.
            BusError: the server refused it.
        """
        body = json.dumps(request).encode() if request else b""
        _, data = await self._ask(f"{API}.{call}", body)
        answer: dict[str, Any] = json.loads(data)
        if "error" in answer:
            raise BusError(f"{call}: {answer['error'].get('description', 'refused')}")
        return answer

    async def _ask(
        self, subject: str, body: bytes, timeout_s: float | None = None
    ) -> tuple[Headers, bytes]:
        async with self._questions:
            self.reads += 1
            return await self._inbox.request(subject, body, timeout_s or self._timeout_s)

    async def _batch(self, subject: str, request: dict[str, Any]) -> Page:
        done: asyncio.Future[Headers] = asyncio.get_running_loop().create_future()
        messages: list[tuple[Headers, bytes]] = []

        def sink(headers: Headers, data: bytes) -> None:
            if STATUS in headers:
                if not done.done():
                    done.set_result(headers)
            else:
                messages.append((headers, data))

        reply = self._inbox.open(sink)
        try:
            async with self._slots:
                self.reads += 1
                await self._inbox.send(subject, json.dumps(request).encode(), reply)
                if not await self._ends(done, messages):
                    raise UnavailableError(f"no answer on {subject}")
        finally:
            self._inbox.close(reply)
        end = done.result()
        status = end[STATUS]
        if status == NO_RESPONDERS:
            raise UnavailableError(f"nobody answers on {subject}")
        if status not in (END_OF_BATCH, NOT_FOUND):
            raise BusError(f"{subject}: status {status} for {request}")
        if status == END_OF_BATCH and not _is_whole(messages, end):
            raise UnavailableError(f"a part of an answer on {subject} was lost on its way")
        return Page(tuple(messages), int(end.get(PENDING) or 0))

    async def _ends(self, done: "asyncio.Future[Headers]", messages: Sequence[object]) -> bool:
        """Wait for the end of a batch, as long as something comes: a link may be slow."""
        for _ in range(LONGEST):
            before = len(messages)
            await asyncio.wait([done], timeout=self._timeout_s)
            if done.done() or len(messages) == before:
                break
        return done.done()


def _is_whole(messages: Sequence[tuple[Headers, bytes]], end: Headers) -> bool:
    """Whether nothing of a batch was lost on its way: each message names the one before it.

    It comes as plain messages, across routes and links, any of which may break meanwhile.
    """
    before = "0"
    for headers, _ in messages:
        if headers.get(LAST_SEQUENCE, before) != before:
            return False
        before = headers.get(SEQUENCE, "")
    return end.get(LAST_SEQUENCE, before) == before
