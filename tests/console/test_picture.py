"""The screen as SVG, without a terminal: what it shows, and that it fetches and runs nothing."""

import xml.dom.minidom
from pathlib import Path

import pytest

from console.feed import FrameHeard, LinkChanged, apply
from console.model import Fleet, LinkState
from console.picture import picture
from tests.console.nats_process import PASSWORD, nats_processes
from tests.console.scenario import START_MS, frame, troubled
from tests.console.test_cli import console
from tests.console.test_hostile import EVIL
from tests.console.test_live import fake_edges
from tests.console.test_page import fleet_of


def words(svg: str) -> str:
    found = xml.dom.minidom.parseString(svg).getElementsByTagName("text")
    texts = (node.firstChild.nodeValue for node in found if node.firstChild is not None)
    return " ".join(text or "" for text in texts).replace("\N{NO-BREAK SPACE}", " ")


async def test_it_shows_what_the_screen_shows() -> None:
    svg = await picture(fleet_of(troubled(80)), 79_600, START_MS + 79_600, "relay.test")
    shown = words(svg)
    for text in ("relay.test", "Edges (6)", "○ dark", "◑ draining", "✗ 18.1s", "11:07:59Z"):
        assert text in shown, text
    assert "http" not in svg.replace("http://www.w3.org", "").replace("https://www.textualize", "")
    assert "<script" not in svg


@pytest.mark.parametrize("evil", EVIL)
async def test_text_from_outside_stays_text(evil: str) -> None:
    name = f"<script>{evil}"[:60]
    fleet = apply(Fleet(), LinkChanged(LinkState.CONNECTED, name), 0)
    for second in (1, 2):
        heard = frame(name, name, second, state=evil, url=evil, lag_ms={name: 5.0})
        fleet = apply(fleet, FrameHeard(heard), second * 1_000)
    svg = await picture(fleet, 2_500, START_MS, name)
    assert "<script" not in svg
    xml.dom.minidom.parseString(svg.encode())


async def test_once(tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.touch(mode=0o600)
    login.write_text(f"console:{PASSWORD}")
    with nats_processes(tmp_path, 1) as (server,):
        await server.start()
        options = ("--nats", server.url, "--creds", str(login), "--once", "--format", "svg")
        async with fake_edges(server):
            code, out, err = await console(*options)
    assert (code, err) == (0, "")
    assert "6 ready" in words(out)
