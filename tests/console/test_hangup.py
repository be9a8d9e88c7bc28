"""A console whose terminal is closed ends, also where nobody tells it."""

import subprocess
import sys

import pytest

from tests.terminal import PATIENCE_S, Terminal

NOBODY = "nats://127.0.0.1:1"


def test_it_ends_with_its_terminal() -> None:
    command = [sys.executable, "-m", "cli", "console", "--nats", NOBODY, "--region", "eu"]
    terminal = Terminal(command, (100, 30))
    try:
        terminal.wait("Mirror lag")
        with pytest.raises(subprocess.TimeoutExpired):
            terminal.process.wait(2.0)  # it does not, as long as somebody may look
        terminal.hang_up()
        assert terminal.process.wait(PATIENCE_S) == 0
    finally:
        terminal.close()
