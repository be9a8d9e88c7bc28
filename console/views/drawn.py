"""Texts and titles on the screen that cost only what changed of them."""

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

NOTHING = Content("")


def is_same(one: Content, other: Content) -> bool:
    """Whether they look the same; `==` compares the words alone."""
    return one.plain == other.plain and one.spans == other.spans


class Titled(Widget):
    """A box whose border says what is in it; it is drawn anew only where that changes.

    Stands behind the other bases of a class: styles come from the first one.
    """

    _titles = (NOTHING, NOTHING)

    def entitle(self, title: Content, subtitle: Content = NOTHING) -> None:
        """Write into the upper and the lower border."""
        before, self._titles = self._titles, (title, subtitle)
        if not is_same(before[0], title):
            self.border_title = title
        if not is_same(before[1], subtitle):
            self.border_subtitle = subtitle


class Drawn(Static, Titled):
    """Text that is said again at every repaint.

    What is on the screen already is not drawn again, and the screen is laid out anew only where
    the widget may become higher or lower by what it says: to lay out costs more than all the rest.

    Args:
        text: what stands there first.
        name: the widget's id.
        classes: its classes.
    """

    def __init__(self, text: Content = NOTHING, *, name: str = "", classes: str = "") -> None:
        super().__init__(text, id=name or None, classes=classes, markup=False)
        self._said = text

    def say(self, text: Content) -> None:
        """Show `text`."""
        said = self._said
        if is_same(said, text):
            return
        self._said = text
        self.update(text, layout=not self._fits(said, text))

    def _fits(self, before: Content, text: Content) -> bool:
        """Whether it takes as many rows as what stands there."""
        height, width = self.styles.height, self.content_size.width
        if height is not None and not height.is_auto:
            return True
        if not width:
            return False
        rules = self.styles.get_rules()
        return before.get_height(rules, width) == text.get_height(rules, width)
