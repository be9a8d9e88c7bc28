"""Going into the past and back: `T`, `:go 12:03`, and the keys that are bound there."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from console import figures
from console.backing import Backing
from console.errors import ConsoleError
from console.past.player import Player
from console.past.replay import Replay
from regions.moments import parse_moment
from relay.errors import RelayError
from relay.tasks import Tasks

if TYPE_CHECKING:
    import asyncio

    from console.app import ConsoleApp

STEP_MS, LEAP_MS = 1_000, 60_000
BACK_MS = 60_000  # where `T` begins: a minute ago


class TimeTravel:
    """The handlers.

    Args:
        app: whose time.
        backing: where the past is.
        known: region -> its edges, as far as known.
        tasks: in which it runs.
    """

    def __init__(
        self,
        app: "ConsoleApp",
        backing: Backing,
        known: Mapping[str, Sequence[str]],
        tasks: Tasks,
    ) -> None:
        self._app = app
        self._backing = backing
        self._known = known
        self._tasks = tasks
        self._journey: asyncio.Task[None] | None = None

    @property
    def handlers(self) -> Mapping[str, Callable[[str], None]]:
        """By the names of commands."""
        return {
            "time": lambda _: self.start(None),
            "go": self._go,
            "earlier": lambda _: self._player.shift(-STEP_MS),
            "later": lambda _: self._player.shift(STEP_MS),
            "minute-earlier": lambda _: self._player.shift(-LEAP_MS),
            "minute-later": lambda _: self._player.shift(LEAP_MS),
            "last-alert": lambda _: self._to_alert(later=False),
            "next-alert": lambda _: self._to_alert(later=True),
            "play": lambda _: self._player.toggle(),
            "faster": lambda _: self._player.change_speed(1),
            "slower": lambda _: self._player.change_speed(-1),
            "live": lambda _: self.stop(),
        }

    @property
    def _player(self) -> Player:
        player = self._app.scene.player
        if player is None:
            raise ConsoleError("this is now; T goes into the past")
        return player

    def _go(self, text: str) -> None:
        try:
            self.start(parse_moment(text, self._now_ms()))
        except ValueError as error:
            raise ConsoleError(str(error)) from error

    def _now_ms(self) -> int:
        """By which times of day are understood: in a recording, its end."""
        place = self._app.scene.place
        if place is not None and self._backing.recorded:
            return place.extent.last_ms
        return self._app.scene.wall_ms()

    def start(self, at_ms: int | None) -> None:
        """Go to a time (Unix ms); None: to a minute ago.

        Raises:
            ConsoleError: no past is kept here.
        """
        player = self._app.scene.player
        if player is not None:
            if at_ms is not None:
                self._tasks.spawn(self._reach(player, at_ms), "reach")
            return
        if self._backing.past is None:
            raise ConsoleError("no past is kept here")
        if self._journey is None:
            self._app.say("reading the past …")
            self._journey = self._tasks.spawn(self._travel(at_ms), "past")

    async def _reach(self, player: Player, at_ms: int) -> None:
        try:
            if not await player.reach(at_ms):
                self._say_what_is_kept(player)
        except (RelayError, OSError) as error:
            self._app.complain(str(error))

    def _say_what_is_kept(self, player: Player) -> None:
        first_ms, last_ms = player.place.extent
        self._app.complain(
            f"nothing is kept of that time: there is {figures.moment(first_ms)}"
            f" to {figures.moment(last_ms)}"
        )

    def stop(self) -> None:
        """Back to now.

        Raises:
            ConsoleError: a recording has no now.
        """
        if self._backing.recorded:
            raise ConsoleError("a recording has no now; q ends the console")
        if self._journey is not None:
            self._journey.cancel()
        self._leave()

    def _leave(self) -> None:
        self._journey = None
        self._app.scene.player = None
        self._app.changed_mode()

    def _to_alert(self, *, later: bool) -> None:
        player = self._player

        async def look() -> None:
            try:
                if not await player.to_alert(later=later):
                    self._app.complain(f"no alert {'after' if later else 'before'} that is kept")
            except (RelayError, OSError) as error:
                self._app.complain(str(error))

        self._tasks.spawn(look(), "alert")

    async def _travel(self, at_ms: int | None) -> None:
        assert self._backing.past is not None
        app, recorded = self._app, self._backing.recorded
        try:
            async with self._backing.past() as past:
                extent = await past.extent()
                replay = Replay(past, self._known, "recording" if recorded else "the past")
                player = Player(replay, extent)
                begin_ms = extent.first_ms if recorded else extent.last_ms - BACK_MS
                player.go(begin_ms if at_ms is None else at_ms)
                app.scene.player = player
                if at_ms is not None and not extent.covers(at_ms):
                    self._say_what_is_kept(player)
                app.changed_mode()
                await player.run()
        except (RelayError, OSError) as error:
            app.complain(f"the past can't be read: {error}")
            self._leave()
