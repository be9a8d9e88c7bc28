"""The JetStream API over subjects, as far as the edges call it: one request in, answers out."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any

from relay.bus.connection import STATUS
from tests.simulation.streams import (
    LAST_SEQUENCE,
    PENDING,
    SEQUENCE,
    STAMP,
    STREAM,
    SUBJECT,
    Ack,
    Headers,
    Stored,
    Stream,
    stamp,
)

Answer = tuple[Headers, bytes]
NOBODY: Answer = ({STATUS: "503"}, b"")
NOT_FOUND: Answer = ({STATUS: "404"}, b"")
_EMPTY: Headers = {}


def status(code: str, **extra: str) -> Answer:
    """An answer that is a status line."""
    return {STATUS: code, **extra}, b""


def ack_answer(stream: Stream, ack: Ack, domain: str) -> Answer:
    """The answer to a publish."""
    if ack.error is not None:
        code, err_code, text = ack.error
        body: dict[str, Any] = {
            "error": {"code": code, "err_code": err_code, "description": text},
            "stream": stream.name,
            "seq": 0,
        }
        return _EMPTY, json.dumps(body).encode()
    duplicate = ',"duplicate": true' if ack.duplicate else ""
    text = f'{{"stream":"{stream.name}","domain":"{domain}","seq":{ack.seq}{duplicate}}}'
    return _EMPTY, text.encode()


def republished(stream: Stream, message: Stored, previous: int) -> Headers:
    """The headers with which a stored message is published again."""
    return message.headers | {
        STREAM: stream.name,
        SUBJECT: message.subject,
        SEQUENCE: str(message.seq),
        STAMP: stamp(message.at_s),
        LAST_SEQUENCE: str(previous),
    }


def direct_get(stream: Stream, body: bytes, upto: int, now_s: float) -> list[Answer]:
    """`DIRECT.GET.<stream>` (ADR-31), by a replica that holds everything up to `upto`."""
    stream.expire(now_s)
    request = json.loads(body)
    if "last_by_subj" in request:
        found = stream.last_of(request["last_by_subj"], upto)
        return [NOT_FOUND] if found is None else [(_found(stream, found), found.data)]
    start = request.get("start_time")
    seq = request.get("seq", 0)
    if start is not None:
        seq = stream.since(datetime.fromisoformat(start).timestamp())
    pattern = request.get("next_by_subj")
    if "batch" not in request:
        return [_single(stream, seq, pattern, upto)]
    messages, pending, last = stream.batch(
        seq, request["batch"], request.get("max_bytes") or 1 << 26, pattern, upto
    )
    if not messages:
        return [NOT_FOUND]
    answers: list[Answer] = []
    left, before = pending + len(messages), 0
    for message in messages:
        left -= 1
        headers = _found(stream, message)
        headers[PENDING] = str(left)
        headers[LAST_SEQUENCE] = str(before)
        before = message.seq
        answers.append((headers, message.data))
    end = {PENDING: str(pending), LAST_SEQUENCE: str(last)}
    answers.append(({STATUS: "204", **end}, b""))
    return answers


def _single(stream: Stream, seq: int, pattern: str | None, upto: int) -> Answer:
    if pattern is not None:
        found = stream.matching(seq, pattern, upto)
        message = stream.messages[found[0]] if found else None
    else:
        message = stream.messages.get(seq) if seq <= upto else None
    return NOT_FOUND if message is None else (_found(stream, message), message.data)


def _found(stream: Stream, message: Stored) -> Headers:
    return message.headers | {
        STREAM: stream.name,
        SUBJECT: message.subject,
        SEQUENCE: str(message.seq),
        STAMP: stamp(message.at_s),
    }


def info(stream: Stream, body: bytes, now_s: float) -> Answer:
    """`STREAM.INFO.<stream>`"""
    stream.expire(now_s)
    deleted = stream.deleted
    state: dict[str, Any] = {
        "messages": len(stream.seqs),
        "first_seq": stream.first if stream.seqs or stream.last else 0,
        "last_seq": stream.last,
        "last_ts": stamp(stream.last_s) if stream.last_s else "0001-01-01T00:00:00Z",
    }
    if deleted:
        state["num_deleted"] = len(deleted)
        if body and json.loads(body).get("deleted_details"):
            state["deleted"] = deleted
    config = {"name": stream.name, "metadata": stream.metadata}
    answer = {"config": config, "created": stream.created, "state": state}
    return _EMPTY, json.dumps(answer).encode()


def message_get(stream: Stream, body: bytes, now_s: float) -> Answer:
    """`STREAM.MSG.GET.<stream>`, which the stream's leader answers."""
    stream.expire(now_s)
    request = json.loads(body)
    if "last_by_subj" in request:
        found = stream.last_of(request["last_by_subj"], stream.last)
    elif "next_by_subj" in request:
        seqs = stream.matching(request.get("seq", 0), request["next_by_subj"], stream.last)
        found = stream.messages[seqs[0]] if seqs else None
    else:
        found = stream.messages.get(request["seq"])
    if found is None:
        error = {"code": 404, "err_code": 10037, "description": "no message found"}
        return _EMPTY, json.dumps({"error": error}).encode()
    message = {"subject": found.subject, "seq": found.seq, "time": stamp(found.at_s)}
    if found.data:
        message["data"] = b64encode(found.data).decode()
    if found.headers and not request.get("no_hdr"):
        lines = "".join(f"{name}: {value}\r\n" for name, value in found.headers.items())
        message["hdrs"] = b64encode(f"NATS/1.0\r\n{lines}\r\n".encode()).decode()
    return _EMPTY, json.dumps({"message": message}).encode()


def update(stream: Stream, body: bytes) -> Answer:
    """`STREAM.UPDATE.<stream>`: the only key that an edge changes is the metadata."""
    stream.metadata = dict(json.loads(body).get("metadata") or {})
    return info(stream, b"", 0.0)


def no_stream() -> Answer:
    """What the API says of a stream that is not there."""
    error = {"code": 404, "err_code": 10059, "description": "stream not found"}
    return _EMPTY, json.dumps({"error": error}).encode()


Call = Callable[[Stream, bytes], Answer]
