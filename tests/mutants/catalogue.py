"""The mutants by name."""

from difflib import get_close_matches

from tests.mutants import delivery, epochs, publication, resumption
from tests.mutants.mutant import OLD_CURSORS, Mutant

RARE = 10_000  # deliveries
EVENTS = 2_000  # of which each is several deliveries

MUTANTS = (
    # --- the fan-out
    Mutant("drop", "Every event of the room is delivered.", ("missing",), delivery.drop, RARE,
           single=True),
    Mutant("duplicate", "An event is sent once in a session.", ("resent",), delivery.duplicate,
           RARE, single=True),
    Mutant("swap", "Events of a room and origin come in order.", ("reordered",), delivery.swap,
           RARE),
    Mutant("other-room", "An event goes to the members of its room alone.", ("misdelivered",),
           delivery.other_room, EVENTS),
    Mutant("wrong-data", "A place names the same event for everybody.", ("disagreements",),
           delivery.wrong_data, EVENTS),
    Mutant("late-gap", "What does not come is declared before any later event of the room.",
           ("late_gaps",), delivery.late_gap, EVENTS),
    Mutant("declares", "An event that the edge has is delivered, not declared.",
           ("declared_events_max",), delivery.declares, EVENTS),
    Mutant("cursor-ahead", "A cursor never names what was not delivered.", ("missing",),
           delivery.cursor_ahead, drill="herd"),
    Mutant("cursor-behind", "A cursor names all that was delivered.", ("resent",),
           delivery.cursor_behind),
    # --- RESUME
    Mutant("resume-refuses", "A session whose events are all there goes on.",
           ("resume_success_min", "sessions_lost_max"), resumption.refuses),
    Mutant("resume-skips-one", "A resume misses no event.", ("missing",), resumption.skips_one),
    Mutant("resume-repeats-one", "A resume sends no event a second time.", ("resent",),
           resumption.repeats_one),
    Mutant("resume-forgets-a-room", "A resumed session is in all rooms that RESUMED names.",
           ("missing",), resumption.forgets_a_room),
    Mutant("resume-deaf", "The live feed is joined before the replay is read.", ("missing",),
           resumption.deaf, drill="herd"),
    Mutant("resume-live-first", "The replay is sent before what comes live.", ("reordered",),
           resumption.live_first),
    Mutant("ring-with-holes", "A replay from memory is what the stream holds.", ("missing",),
           resumption.ring_with_holes, 50),
    Mutant("resume-miscounts", "RESUMED says how many events were sent.", ("miscounted",),
           resumption.miscounts, single=True),
    Mutant("shares-at-once", "What a session brought from a region further on is not sent again.",
           ("resent",), resumption.shares_at_once, drill="move-behind"),
    # --- publishing
    Mutant("acks-early", "Stored first, acknowledged second: an ACK names the event's place.",
           ("disagreements", "lost"), publication.acks_early),
    Mutant("acks-unstored", "What is acknowledged is stored.", ("lost", "disagreements"),
           publication.acks_unstored, 500),
    Mutant("stores-twice", "The same (user, room, id) is stored once in 120 s.", ("stored_twice",),
           publication.stores_twice, 500),
    Mutant("refuses-stored", "What is refused is not stored.", ("phantom",),
           publication.refuses_stored, 500),
    # --- an origin that lost its newest events
    Mutant("ignores-epoch", "Nobody goes on over a new epoch without a word.",
           ("missing", OLD_CURSORS), epochs.ignores_epoch, drill="origin-rewind"),
    Mutant("opens-at-once", "No sequence is given out twice in an epoch.", ("disagreements",),
           epochs.opens_at_once, drill="origin-rewind"),
    # --- links that are cut
    Mutant("needs-another-region", "A region alone serves its clients, publishing included.",
           ("cut_ack_p99_s",), publication.needs_another_region, drill="region-isolate"),
)  # fmt: skip


class UnknownMutantError(Exception):
    """There is no such mutant; the text says which there are."""


def find_mutant(name: str) -> Mutant:
    """The mutant called `name`.

    Raises:
        UnknownMutantError: there is none.
    """
    for mutant in MUTANTS:
        if mutant.name == name:
            return mutant
    names = [mutant.name for mutant in MUTANTS]
    near = get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    raise UnknownMutantError(f"no mutant {name!r}; {hint}")
