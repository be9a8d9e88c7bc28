"""What edges say to each other of presence: windows to all, asks and answers to one.

MessagePack arrays. Each message stays near `MOST_BYTES`, so that none outgrows what a link carries.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from relay.core.presence import Changes, Said, Scope, Shown, said_of, shown_of

MOST_BYTES = 48 * 1024
_ENTRY_BYTES = 12  # of an entry, besides names and custom state

_Table = dict[str, dict[str, dict[str, Said]]]  # tenant -> name of the scope -> user


class Window(msgspec.Struct, frozen=True, array_like=True):
    """What changed at an edge; one at least every 2 s, empty too: it is a sign of life."""

    region: str
    edge: str
    epoch: int  # Unix ms of its start
    number: int  # from 1, without a gap
    changes: _Table = {}


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """An edge asks another who is in these scopes: tenant -> names."""

    region: str
    edge: str
    scopes: dict[str, list[str]]


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """Who is there, as of the edge's `number`-th window message.

    All of each scope; or, where `total` is set, a piece of one with so many users.
    """

    region: str
    edge: str
    epoch: int
    number: int
    scopes: _Table
    total: int = 0


_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
decode_window = msgspec.msgpack.Decoder(Window).decode
decode_ask = msgspec.msgpack.Decoder(Ask).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def changes_in(table: _Table) -> dict[Scope, Changes]:
    """The changes in a window, or the members in an answer."""
    return {
        (tenant, name): {user: shown_of(said) for user, said in users.items()}
        for tenant, names in table.items()
        for name, users in names.items()
    }


def members_in(table: _Table) -> dict[Scope, dict[str, Shown]]:
    """The members in an answer."""
    return {
        scope: {user: shown for user, shown in users.items() if shown is not None}
        for scope, users in changes_in(table).items()
    }


def tables(found: Mapping[Scope, Mapping[str, Shown | None]]) -> Iterator[tuple[_Table, int]]:
    """The scopes in tables that each fit into a message. A scope without anybody is named too.

    A scope that is too large stands alone in several: each comes with how many users there are in
    all of them, 0 otherwise.
    """
    table: _Table = {}
    room = MOST_BYTES
    for (tenant, name), users in found.items():
        entries = {user: said_of(shown) for user, shown in users.items()}
        size = len(tenant) + len(name) + 2 * _ENTRY_BYTES + sum(map(_size, entries.items()))
        if size > MOST_BYTES:
            for piece in _pieces(entries):
                yield {tenant: {name: piece}}, len(entries)
            continue
        if size > room:
            yield table, 0
            table, room = {}, MOST_BYTES
        table.setdefault(tenant, {})[name] = entries
        room -= size
    if table:
        yield table, 0


def _pieces(entries: dict[str, Said]) -> Iterator[dict[str, Said]]:
    piece: dict[str, Said] = {}
    room = MOST_BYTES
    for entry in entries.items():
        if (size := _size(entry)) > room:
            yield piece
            piece, room = {}, MOST_BYTES
        piece[entry[0]] = entry[1]
        room -= size
    yield piece


def _size(entry: tuple[str, Said]) -> int:
    user, said = entry
    return len(user) + _ENTRY_BYTES + (len(said[2]) if isinstance(said, tuple) else 0)


def asks(region: str, edge: str, scopes: Iterable[Scope]) -> Iterator[Ask]:
    """An edge's question for these scopes, in messages that fit."""
    named: dict[str, list[str]] = {}
    room = MOST_BYTES
    for tenant, name in scopes:
        named.setdefault(tenant, []).append(name)
        room -= len(tenant) + len(name) + _ENTRY_BYTES
        if room < 0:
            yield Ask(region, edge, named)
            named, room = {}, MOST_BYTES
    if named:
        yield Ask(region, edge, named)
