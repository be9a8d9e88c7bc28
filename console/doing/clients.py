"""What is done with a client: it is opened, traced, and its connection closed."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from console import figures
from console.armed import TOO_LATE
from console.asking import asked_edges
from console.backing import Backing
from console.dialogs.kick import Kick, KickScreen
from console.doing.options import read_option
from console.errors import ConsoleError
from console.look import Look, Subject
from console.panes.trace import TracePane
from console.signs import Tone
from console.views.cell import cell, line
from console.views.standing import without
from regions.inquiries.fleet import FleetClient
from regions.operations.acts import ACTS
from relay.core.inquiry import LEAST_HANDLE
from relay.core.names import DEFAULT_TENANT, is_room, is_tenant
from relay.errors import RelayError
from relay.tasks import Tasks

if TYPE_CHECKING:
    from console.app import ConsoleApp

GOES = "its connection is being closed …"


@dataclass(slots=True)
class Outcome:
    """What became of a connection that was to be closed."""

    kick: Kick
    at_ms: int  # Unix ms
    text: str = GOES
    tone: Tone = Tone.PLAIN


class Clients:
    """The handlers.

    Args:
        app: the console.
        backing: with the ways to the edges.
        tasks: in which connections are closed.
        stay: is called when something was done: the console stays armed.
    """

    def __init__(
        self, app: "ConsoleApp", backing: Backing, tasks: Tasks, stay: Callable[[], None]
    ) -> None:
        self._app = app
        self._backing = backing
        self._tasks = tasks
        self._stay = stay
        self._kicking: asyncio.Task[None] | None = None
        self._outcome: Outcome | None = None

    @property
    def handlers(self) -> Mapping[str, Callable[[str], None]]:
        """By the names of commands."""
        return {
            "client": self._client,
            "room": self._room,
            "kick": self._kick,
            "trace": self._trace,
        }

    @property
    def may_see(self) -> bool:
        """Whether payloads may be seen: by a login that may, while the console is armed."""
        return self._app.acting.armed is not None and self._backing.control is not None

    # --- looked at -----------------------------------------------------------------------------

    def open(self, client: Subject | None) -> None:
        """One client in detail.

        Raises:
            ConsoleError: it has no name yet.
        """
        if client is not None:
            self._app.navigation.go("client", _named(client))

    def _client(self, session: str) -> None:
        if len(session) < LEAST_HANDLE:
            raise ConsoleError(f"client SESSION: {LEAST_HANDLE} characters of it at least")
        self.open(Subject("client", "", session))

    def _room(self, text: str) -> None:
        name, _, tenant = text.partition(" ")
        tenant = tenant.strip() or DEFAULT_TENANT
        if not is_room(name) or not is_tenant(tenant):
            raise ConsoleError("room ROOM [TENANT]: no room can be called so")
        self._app.navigation.go("room", Subject("room", tenant, name))

    def _trace(self, session: str) -> None:
        if not self._app.asking.is_possible:
            raise ConsoleError("this console has no way to ask edges")
        client = self._meant("trace", session)
        if not isinstance(self._app.pane, TracePane) or session:
            self._app.navigation.go("trace", client)
        pane = self._app.pane
        if isinstance(pane, TracePane):
            pane.toggle()

    def _meant(self, act: str, session: str) -> Subject:
        if session:
            if len(session) < LEAST_HANDLE:
                raise ConsoleError(f"a session is named by {LEAST_HANDLE} characters at least")
            return Subject("client", "", session)
        subject = self._app.pane.subject
        if subject is None or subject.kind != "client":
            raise ConsoleError(f"{act} which client? Put the cursor on it, or name its session")
        return _named(subject)

    # --- closed --------------------------------------------------------------------------------

    def _kick(self, text: str) -> None:
        if self._backing.control is None:
            raise ConsoleError("this console has no login that may close connections")
        if self._kicking is not None and not self._kicking.done():
            raise ConsoleError("a connection is being closed: see what becomes of it first")
        client, code = self._read(text)
        armed, look = self._app.acting.armed, self._app.scene.look()
        assert armed is not None

        async def find() -> FleetClient:
            asker = await self._app.asking.asker()
            return await asker.client(client.name, edges=asked_edges(look))

        screen = KickScreen(client.name, code, armed.why, find, look)
        self._app.push_screen(screen, self._confirmed)

    def _read(self, text: str) -> tuple[Subject, int]:
        (option,) = ACTS["kick"].options
        given = option.default
        words = []
        for word in text.split():
            if word.startswith(f"{option.name}="):
                given = read_option(option, word.partition("=")[2])
            else:
                words.append(word)
        if len(words) > 1:
            raise ConsoleError(f"kick {ACTS['kick'].usage}: what is {words[1]!r}?")
        return self._meant("kick", "".join(words)), int(given or 0)

    def _confirmed(self, kick: Kick | None) -> None:
        armed = self._app.acting.armed
        if kick is None:
            return
        if armed is None:
            self._app.complain(TOO_LATE)
            return
        self._stay()
        self._outcome = Outcome(kick, self._app.scene.wall_ms())
        self._kicking = self._tasks.spawn(self._close(self._outcome, armed.why), "kick")
        self._app.repaint()

    async def _close(self, outcome: Outcome, why: str) -> None:
        assert self._backing.control is not None
        kick = outcome.kick
        try:
            async with self._backing.control() as asker:
                edge, kicked = await asker.kick(kick.session, why, kick.code)
        except (RelayError, OSError) as error:
            outcome.text, outcome.tone = f"✗ {error}", Tone.BAD
        except asyncio.CancelledError:
            outcome.text, outcome.tone = "✗ left: it may be closed, or not", Tone.BAD
            raise
        else:
            outcome.text = f"✓ its connection at {edge.edge} was closed with {kicked.code}"
            outcome.tone = Tone.GOOD
        self._app.asking.tell()

    def outcome_lines(self, look: Look) -> list[Content]:
        """What became of the last one: it stays until it was seen (`O`)."""
        outcome = self._outcome
        if outcome is None:
            return []
        kick = outcome.kick
        names = (kick.session, kick.user)
        return [
            line(
                cell(f"{figures.clock(outcome.at_ms)}  kick ", Tone.MUTED),
                cell(f"{look.name(kick.user)}  ", Tone.STRONG),
                cell(without(outcome.text, look, names), outcome.tone, 160),
                cell("   O: seen", Tone.MUTED),
            )
        ]

    def acknowledge(self) -> bool:
        """What became of it was seen; whether there was anything to see."""
        if self._outcome is None or self._outcome.text == GOES:
            return False
        self._outcome = None
        return True


def _named(client: Subject) -> Subject:
    if not client.name:
        raise ConsoleError("this client has not said who it is: nothing names it yet")
    return client
