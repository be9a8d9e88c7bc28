"""What `jetrelay swarm` refuses, before anything is sent."""

import pytest
from click.testing import CliRunner

from cli.swarm import command

LOCAL, ELSEWHERE = "ws://127.0.0.1:9/gateway", "ws://relay.example.com/gateway"


def said(*arguments: str) -> str:
    done = CliRunner().invoke(command, arguments, env={"JETRELAY_TOKEN": ""})
    assert done.exit_code != 0
    return done.output + str(done.exception or "")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--url", ELSEWHERE, "--token", "t"), "--allow relay.example.com sends load there"),
        (("--url", "http://127.0.0.1", "--token", "t"), "is not ws://HOST/gateway"),
        (("--url", LOCAL), "--url needs --token"),
        (("--url", LOCAL, "--token", "t", "--region", "eu"), "exclude each other"),
        (("--token", "t"), "--token goes with --url"),
        (("nonsense",), "is not one of"),
        (("spike", "--url", LOCAL, "--token", "t", "--find-limit", "rate"), "no even load"),
        (("--rate", "nan"), "is not a number"),
        (("--clients", "0"), "is not in the range"),
        (("--state", "nowhere"), "no world"),
    ],
)
def test_it_says_what_is_wrong(arguments: tuple[str, ...], why: str) -> None:
    assert why in said(*arguments)
