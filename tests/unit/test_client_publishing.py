"""Publishes: one in flight a room, in order, tried again with the same id."""

from typing import Any

from relay.client.answers import Ack
from relay.client.bodies import ErrorBody
from relay.client.effects import Effect, Publish, Reject, Resolve, SendRaw
from relay.client.errors import NotSent, Refused, Unknown
from relay.client.publishing import Outbox
from relay.client.stats import Stats

ACK = {"origin": "eu", "epoch": 1, "seq": 5, "id": "p1"}


def outbox(**settings: Any) -> Outbox:
    return Outbox(Stats(), lambda: 0.5, **settings)


def item(ticket: int, room: str = "a", ephemeral: bool = False) -> Publish:
    return Publish(ticket, room, f"p{ticket}", ephemeral, str(ticket).encode())


def sent(effects: list[Effect]) -> list[int]:
    return [int(effect.raw) for effect in effects if isinstance(effect, SendRaw)]


def failed(effects: list[Effect]) -> dict[int, type[Exception]]:
    return {each.ticket: type(each.error) for each in effects if isinstance(each, Reject)}


def test_one_is_in_flight_per_room_and_the_next_follows_its_ack() -> None:
    box = outbox()
    box.online(0)
    assert sent(box.add(item(1), 0)) == [1]
    assert sent(box.add(item(2), 0)) == []
    assert sent(box.add(item(3, "b"), 0)) == [3]
    effects = box.acknowledge(1, ACK, 1)
    assert effects[0] == Resolve(1, Ack("p1", "eu", 1, 5))
    assert sent(effects) == [2]
    assert box.acknowledge(1, ACK, 1) == []


def test_what_waits_for_the_connection_goes_out_when_it_is_there() -> None:
    box = outbox()
    assert box.add(item(1), 0) == []
    assert sent(box.online(1)) == [1]


def test_unavailable_is_tried_again_later_with_the_same_payload() -> None:
    box = outbox()
    box.online(0)
    box.add(item(1), 0)
    assert box.refuse(1, ErrorBody("unavailable"), 1) == []
    assert box.deadline == 1.2
    assert box.tick(1.1) == []
    assert sent(box.tick(1.2)) == [1]
    assert box.stats.retried == 1
    box.refuse(1, ErrorBody("unavailable"), 2)
    assert box.deadline == 2.4


def test_rate_limited_waits_as_long_as_the_edge_says() -> None:
    box = outbox()
    box.online(0)
    box.add(item(1), 0)
    box.refuse(1, ErrorBody("rate_limited", retry_after=3.0), 1)
    assert box.tick(3.9) == []
    assert sent(box.tick(4.2)) == [1]


def test_a_lost_connection_sends_again_and_an_old_back_off_still_counts() -> None:
    box = outbox()
    box.online(0)
    box.add(item(1), 0)
    box.add(item(2, "b"), 0)
    box.refuse(2, ErrorBody("unavailable"), 0)
    assert box.offline() == []
    assert sent(box.online(0.1)) == [1]
    assert sent(box.tick(0.2)) == [2]


def test_no_answer_at_all_is_tried_again() -> None:
    box = outbox()
    box.online(0)
    box.add(item(1), 0)
    assert box.tick(9.9) == []
    box.tick(10)
    assert sent(box.tick(10.2)) == [1]


def test_after_110_seconds_the_outcome_is_unknown_and_those_behind_were_not_sent() -> None:
    box = outbox()
    box.online(0)
    box.add(item(1), 0)
    box.add(item(2), 50)
    box.offline()
    assert box.tick(109.9) == []
    assert failed(box.tick(110)) == {1: Unknown, 2: NotSent}
    assert (len(box), box.deadline) == (0, None)


def test_what_never_left_is_not_sent_rather_than_unknown() -> None:
    box = outbox()
    box.add(item(1), 0)
    assert failed(box.tick(110)) == {1: NotSent}


def test_a_final_refusal_fails_those_behind_it_in_the_room_only() -> None:
    box = outbox()
    box.online(0)
    for ticket, room in ((1, "a"), (2, "a"), (3, "b")):
        box.add(item(ticket, room), 0)
    assert failed(box.refuse(1, ErrorBody("not_permitted", "no"), 1)) == {1: Refused, 2: NotSent}
    assert len(box) == 1
    assert sent(box.add(item(4), 2)) == [4]


def test_an_ephemeral_publish_is_tried_once() -> None:
    box = outbox()
    box.online(0)
    box.add(item(1, ephemeral=True), 0)
    box.add(item(2), 0)
    assert failed(box.offline()) == {1: Unknown}
    assert sent(box.online(1)) == [2]
    box.add(item(3, "b", ephemeral=True), 1)
    assert failed(box.refuse(3, ErrorBody("unavailable"), 1)) == {3: Refused}


def test_the_edge_s_ack_of_an_ephemeral_publish_has_no_place() -> None:
    box = outbox()
    box.online(0)
    box.add(item(1, ephemeral=True), 0)
    assert box.acknowledge(1, {"nonce": 1}, 1) == [Resolve(1, Ack("p1"))]
