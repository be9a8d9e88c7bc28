"""What a client says that it measured."""

import pytest

from relay.core.round_trips import parse_round_trips


def test_regions_and_milliseconds() -> None:
    assert parse_round_trips("us:31,eu-west:102.5") == {"us": 31.0, "eu-west": 102.5}
    assert parse_round_trips("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("us", "'us' is not REGION:MS"),
        ("us:", "'us:' is not REGION:MS"),
        ("us:fast", "'us:fast' is not REGION:MS"),
        ("us:1,", "'' is not REGION:MS"),
        ("us:1,us:2", "'us:2' is not REGION:MS, each region once"),
        ("U S:1", "'U S:1' is not REGION:MS"),
        ("us:-1", "0 to 60000 ms"),
        ("us:nan", "0 to 60000 ms"),
        ("us:inf", "0 to 60000 ms"),
        ("us:60001", "0 to 60000 ms"),
        (",".join(f"r{number}:1" for number in range(17)), "more than 16 regions"),
        ("u" * 513, "longer than 512 characters"),
    ],
)
def test_what_is_none_is_refused_and_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_round_trips(text)
