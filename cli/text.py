"""Text of clients on a terminal: nothing in it may move the cursor or change a colour."""

import json

SHORT = 160


def clean(text: str) -> str:
    """`text` with everything that does not print escaped, direction marks included."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def short(data: object, limit: int = SHORT) -> str:
    """`data` on one clean line, cut at `limit` characters: a string as it is, the rest as JSON."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    text = clean(text[: limit + 1])  # cut before and after, since escaping makes it longer
    return text if len(text) <= limit else text[: limit - 1] + "…"
