"""What is run after each writing of `jetrelay dns export --watch`."""

import pytest

from cli import dns_export


async def test_it_may_fail_or_hang_and_the_next_writing_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await dns_export._run("exit 3")
    assert capsys.readouterr().err == "jetrelay: exit 3: exit code 3\n"
    monkeypatch.setattr(dns_export, "THEN_S", 0.2)
    await dns_export._run("sleep 600 & sleep 600")
    assert "ended, since it took over 0.2 s" in capsys.readouterr().err
