"""The line of keys at the foot: what can be pressed now, in one widget.

Textual's own footer makes a widget of each key anew whenever another table has the cursor: that
was most of what a key cost, and it kept the old ones.
"""

from itertools import groupby

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen

from console.commands import BY_NAME
from console.literal import clean
from console.views.drawn import Drawn

KEY_STYLE = "bold $footer-key-foreground"
WORD_STYLE = "$footer-description-foreground"
KEY_LIMIT, WORD_LIMIT = 8, 24  # cells
MORE = "…"  # keys than there is room for; ? tells all


def _rank(binding: Binding) -> int:
    """Screens first, then what changes the fleet, while it can be changed."""
    if binding.group is not None:
        return 0
    command = BY_NAME.get(binding.id or "")
    return 1 if command is not None and command.when == "armed" else 2


class KeyBar(Drawn):
    """The keys of the bindings that apply and are shown; a click presses one."""

    def __init__(self) -> None:
        super().__init__(name="keys")
        self._keys: list[tuple[range, str]] = []  # the cells of each key and its word

    def on_mount(self) -> None:
        """Follow what applies."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen:
            self._draw()

    def _draw(self) -> None:
        bindings: dict[str, Binding] = {}  # by what they do: one key stands for it
        for _, binding, _, _ in self.screen.active_bindings.values():
            if binding.show:
                bindings.setdefault(binding.action, binding)
        self._keys = []
        parts: list[tuple[str, str]] = []
        at = 0
        shown = sorted(bindings.values(), key=_rank)
        for group, found in groupby(shown, lambda each: each.group):
            together = list(found)
            if group is not None:
                parts.append((" ", ""))
                at += 1
                for binding in together:
                    at = self._put(parts, at, binding)
                word = f" {clean(group.description, WORD_LIMIT)} "
                parts.append((word, WORD_STYLE))
                at += Content(word).cell_length
                continue
            for binding in together:
                word = f" {clean(binding.description, WORD_LIMIT)} "
                width = Content(f" {self._key(binding)}{word}").cell_length
                if self.size.width and at + width > self.size.width - 1:
                    parts.append((MORE, WORD_STYLE))
                    self.say(Content.assemble(*parts))
                    return
                parts.append((" ", ""))
                self._put(parts, at + 1, binding)
                parts.append((word, WORD_STYLE))
                self._keys[-1] = (range(at + 1, at + width), binding.key)  # its word as well
                at += width
        self.say(Content.assemble(*parts))

    def on_resize(self) -> None:
        """More keys fit, or fewer."""
        self._draw()

    def _put(self, parts: list[tuple[str, str]], at: int, binding: Binding) -> int:
        """Write a key at a cell; where it ends."""
        key = self._key(binding)
        end = at + Content(key).cell_length
        parts.append((key, KEY_STYLE))
        self._keys.append((range(at, end), binding.key))
        return end

    def _key(self, binding: Binding) -> str:
        return clean(self.app.get_key_display(binding), KEY_LIMIT)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key that was clicked."""
        for cells, key in self._keys:
            if event.x in cells:
                self.app.simulate_key(key)
