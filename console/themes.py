"""The console's colours: dark, light, with high contrast, and those of 16-colour terminals."""

from textual.theme import Theme

from console.theme_names import OWN

# What Textual's own themes do not name.
VARIABLES = {
    "console-muted": "ansi_bright_black",
    "console-border": "ansi_bright_black",
    "console-focus": "ansi_cyan",
    "console-bar": "ansi_default",
    "console-cursor": "ansi_blue",
    "console-past": "ansi_blue",
    "console-armed": "ansi_red",
}


def _theme(name: str, *, dark: bool, colors: dict[str, str]) -> Theme:
    bar, focus = colors["bar"], colors["focus"]
    return Theme(
        name=name,
        dark=dark,
        primary=focus,
        secondary=colors["muted"],
        success=colors["good"],
        warning=colors["warn"],
        error=colors["bad"],
        foreground=colors["text"],
        background=colors["ground"],
        surface=colors["ground"],
        panel=bar,
        variables={
            "console-muted": colors["muted"],
            "console-border": colors["border"],
            "console-focus": focus,
            "console-bar": bar,
            "console-cursor": colors["cursor"],
            "console-past": colors["past"],
            "console-armed": colors["armed"],
            "text-success": colors["good"],
            "text-warning": colors["warn"],
            "text-error": colors["bad"],
            "footer-background": bar,
            "footer-key-foreground": focus,
        },
    )


THEMES = (
    _theme(OWN[0], dark=True, colors={
        "text": "#d5d9e0", "ground": "#14171c", "bar": "#1d2229", "muted": "#8490a0",
        "border": "#3a4350", "focus": "#7aa2c8", "cursor": "#2a3442", "past": "#1d3a5c",
        "armed": "#6b2422", "good": "#8fca96", "warn": "#e3b76f", "bad": "#f0857f",
    }),
    _theme(OWN[1], dark=False, colors={
        "text": "#1f2329", "ground": "#fbfbf9", "bar": "#ecebe6", "muted": "#5f6875",
        "border": "#b9bec6", "focus": "#245f94", "cursor": "#dbe6f1", "past": "#c6dcf2",
        "armed": "#f3c6c2", "good": "#1f6b2c", "warn": "#7a4d00", "bad": "#a3211b",
    }),
    _theme(OWN[2], dark=True, colors={
        "text": "#ffffff", "ground": "#000000", "bar": "#000000", "muted": "#d0d0d0",
        "border": "#ffffff", "focus": "#00e5ff", "cursor": "#00408a", "past": "#0033a0",
        "armed": "#a00000", "good": "#5cff7a", "warn": "#ffd84d", "bad": "#ff7b72",
    }),
)  # fmt: skip
