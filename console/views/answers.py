"""Which region clients of each country are sent to."""

from collections.abc import Sequence

from console import figures
from console.look import Look
from console.model import Freshness
from console.model.opinions import nearest
from console.model.outlook import (
    ANSWER_FIELDS,
    Answer,
    answers,
    candidates,
    clients_by_country,
    unplaced,
)
from console.signs import Tone
from console.views.cell import Cell, cell
from console.views.listing import Listing
from console.views.streams import NOBODY
from console.views.table import Column

COLUMNS = (
    Column("from", 4, field="country"),
    Column("clients", 7, right=True, field="clients"),
    Column("ms", 5, right=True, rank=1, field="ms"),
    Column("sent to", 12, field="region", grows=True),
)
SHOWN = 4  # regions that are named


class AnswerTable(Listing[Answer]):
    """A row a country."""

    def __init__(self) -> None:
        super().__init__(
            "Answers", COLUMNS, ANSWER_FIELDS, answer_row, lambda each: each.country, name="answers"
        )

    def show_look(self, look: Look) -> None:
        """Draw what each country would be answered."""
        keeper = nearest(look.view)
        clients = clients_by_country(look.view)
        if keeper is None or not keeper.news.regions:
            self.show_items((), NOBODY)
            return
        given = answers(candidates(keeper.news), clients)
        found = [
            each
            for each in given
            if not look.region
            or any(share.region == look.region and share.share > 0 for share in each.shares)
        ]
        nowhere = unplaced(clients)
        note = f"{nowhere:,} clients are of no known country" if nowhere else ""
        if keeper.freshness is Freshness.GONE:
            note = f"as {keeper.name}'s keeper saw it {figures.age(keeper.age_ms)} ago"
        self.show_items(found, note)


def answer_row(answer: Answer) -> Sequence[Cell]:
    """The cells of one country."""
    first = answer.first
    ms = None if first is None else first.distance_ms
    return (
        cell(answer.country, Tone.STRONG),
        cell(figures.count(answer.clients) if answer.clients else "·",
             Tone.PLAIN if answer.clients else Tone.MUTED),
        cell(figures.duration(ms), Tone.MUTED),
        shares_cell(answer),
    )  # fmt: skip


def shares_cell(answer: Answer) -> Cell:
    """`eu 70% · us 30%`: the regions that get some of them, most first."""
    some = sorted((each for each in answer.shares if each.share > 0), key=lambda each: -each.share)
    text = " · ".join(f"{each.region} {each.share:.0%}" for each in some[:SHOWN])
    return cell(text or figures.NONE, limit=100)
