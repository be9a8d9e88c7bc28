"""The command palette: the console's own commands, and nothing else."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from console.commands import COMMANDS, Command

if TYPE_CHECKING:
    from console.app import ConsoleApp


class CommandProvider(Provider):
    """Those that make sense now."""

    @property
    def _console(self) -> "ConsoleApp":
        return cast("ConsoleApp", self.app)

    def _possible(self) -> Iterable[Command]:
        return (each for each in COMMANDS if each.name != "palette" and self._console.applies(each))

    async def discover(self) -> Hits:
        """All of them."""
        for command in self._possible():
            yield DiscoveryHit(
                Content(_title(command)),
                partial(self._console.choose, command),
                _title(command),
                command.meaning,
            )

    async def search(self, query: str) -> Hits:
        """Those that match what is typed."""
        matcher = self.matcher(query)
        for command in self._possible():
            score = matcher.match(f"{command.name} {command.meaning}")
            if score > 0:
                yield Hit(
                    score,
                    Content(_title(command)),
                    partial(self._console.choose, command),
                    _title(command),
                    command.meaning,
                )


def _title(command: Command) -> str:
    key = command.shown or command.key
    return f"{command.name}  ({key})" if key else command.name
