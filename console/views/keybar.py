"""The line of keys at the foot: what can be pressed now, in one widget.

Textual's own footer makes a widget of each key anew whenever another table has the cursor: that
was most of what a key cost, and it kept the old ones.
"""

from itertools import groupby

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen

from console.literal import clean
from console.views.drawn import Drawn

KEY_STYLE = "bold $footer-key-foreground"
WORD_STYLE = "$footer-description-foreground"
KEY_LIMIT, WORD_LIMIT = 8, 24  # cells


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
        for group, found in groupby(bindings.values(), lambda each: each.group):
            together = list(found)
            if group is None:
                for binding in together:
                    key, word = self._key(binding), f" {clean(binding.description, WORD_LIMIT)} "
                    parts += [(" ", ""), (key, KEY_STYLE), (word, WORD_STYLE)]
                    width = Content(key + word).cell_length
                    self._keys.append((range(at + 1, at + width), binding.key))
                    at += 1 + width
            else:
                parts.append((" ", ""))
                at += 1
                for binding in together:
                    key = self._key(binding)
                    width = Content(key).cell_length
                    parts.append((key, KEY_STYLE))
                    self._keys.append((range(at, at + width), binding.key))
                    at += width
                word = f" {clean(group.description, WORD_LIMIT)} "
                parts.append((word, WORD_STYLE))
                at += Content(word).cell_length
        self.say(Content.assemble(*parts))

    def _key(self, binding: Binding) -> str:
        return clean(self.app.get_key_display(binding), KEY_LIMIT)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key that was clicked."""
        for cells, key in self._keys:
            if event.x in cells:
                self.app.simulate_key(key)
