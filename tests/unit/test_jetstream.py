"""What a stream lacks, as the control plane finds it."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from regions import jetstream
from regions.jetstream import JetStream
from relay.core.runs import NONE, Runs

FIRST, LAST = 100, 5_000
LACKING = Runs(((1_000, 2_999), (4_000, 4_499)))


class _Server:
    """A stream's leader."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def request(self, subject: str, payload: bytes, _timeout_s: float) -> SimpleNamespace:
        api = subject.removeprefix("$JS.API.")
        self.asked.append(api)
        if api == "STREAM.INFO.EV_us":
            assert json.loads(payload) == {"deleted_details": True}
            return _answer(state={"deleted": list(LACKING)})
        assert api == "STREAM.MSG.GET.EV_us"
        seq = max(json.loads(payload)["seq"], FIRST)
        while seq in LACKING:
            seq += 1
        if seq > LAST:
            return _answer(error={"code": 404, "err_code": 10037, "description": "no message"})
        return _answer(message={"seq": seq})


def _answer(**answer: Any) -> SimpleNamespace:
    return SimpleNamespace(data=json.dumps(answer).encode())


def info(lacking: Runs) -> dict[str, Any]:
    state = {"first_seq": FIRST, "last_seq": LAST, "num_deleted": len(lacking)}
    return {"config": {"name": "EV_us"}, "state": state}


@pytest.fixture
def server() -> _Server:
    return _Server()


@pytest.fixture
def admin(server: _Server) -> JetStream:
    return JetStream("us", cast("Any", server), [])


async def test_a_whole_stream_is_not_asked(server: _Server, admin: JetStream) -> None:
    assert await admin.lacking(info(NONE)) == NONE
    assert server.asked == []


async def test_the_server_names_what_is_little(server: _Server, admin: JetStream) -> None:
    assert await admin.lacking(info(LACKING)) == LACKING
    assert server.asked == ["STREAM.INFO.EV_us"]


async def test_what_is_too_much_to_be_named_is_found_by_asking_what_follows(
    server: _Server, admin: JetStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetstream, "MOST_DELETED", len(LACKING) - 1)
    assert await admin.lacking(info(LACKING)) == LACKING
    assert set(server.asked) == {"STREAM.MSG.GET.EV_us"}
    assert len(server.asked) < 200


async def test_what_is_not_found_in_time_is_not_known(
    admin: JetStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetstream, "MOST_DELETED", 1)
    monkeypatch.setattr(jetstream, "SEARCH_S", -1.0)
    assert await admin.lacking(info(LACKING)) is None
