"""The gate: who may vouch for a home stream, and what follows when nobody can."""

from dataclasses import replace

from relay.core.gate import (
    AskMirrors,
    Doubt,
    Held,
    Home,
    NoteEpoch,
    NoteFork,
    Open,
    Repair,
    StartEpoch,
    Witness,
    first_look,
    second_look,
)

HOME = Home(epoch=1, last=100, created="t0")


def test_a_stream_that_holds_all_that_was_seen_opens_at_once() -> None:
    assert first_look(HOME, [Witness(100, "t0"), Witness(90, "t0")]) == Open()


def test_without_a_witness_the_mirrors_are_asked() -> None:
    assert first_look(HOME, []) == AskMirrors()


def test_a_shorter_or_a_recreated_stream_is_not_trusted() -> None:
    assert first_look(HOME, [Witness(101, "t0")]) == AskMirrors()
    assert first_look(HOME, [Witness(50, "t1")]) == AskMirrors()


def test_an_epoch_that_was_begun_is_finished() -> None:
    begun = Home(epoch=2, last=100, created="t0", above=120)
    assert first_look(begun, [Witness(100, "t0")]) == StartEpoch(2, 120)


def test_a_server_that_was_restarted_may_have_lost_what_only_a_mirror_got() -> None:
    seen = [Witness(100, "t0")]
    assert first_look(HOME, seen, restarted=True) == AskMirrors()
    assert second_look(HOME, seen, {"eu": Held(101)}, asked=2) == Repair("eu", 100, 101, epoch=2)
    assert second_look(HOME, seen, {"eu": Held(100)}, asked=2) == Open()
    assert second_look(HOME, seen, {}, asked=2) == Open(), "cut off, it serves with what was seen"


def test_a_tail_that_a_mirror_holds_is_written_back_from_the_furthest() -> None:
    mirrors = {"eu": Held(110), "ap": Held(120)}
    repair = Repair("ap", 100, 120, ("eu",), epoch=2)
    assert second_look(HOME, [], mirrors, asked=2) == repair
    assert second_look(HOME, [Witness(120, "t0")], mirrors, asked=2) == repair


def test_a_tail_that_no_mirror_has_whole_starts_an_epoch_above_all_of_it() -> None:
    mirrors = {"eu": Held(110)}
    assert second_look(HOME, [Witness(130, "t0")], mirrors, asked=2) == StartEpoch(2, 130)
    assert second_look(HOME, [Witness(130, "t0")], {}, asked=2) == StartEpoch(2, 130)


def test_mirrors_that_are_not_ahead_open_it() -> None:
    assert second_look(HOME, [], {"eu": Held(100)}, asked=2) == Open()
    assert second_look(HOME, [], {"eu": Held(0)}, asked=2) == Open()


def test_a_world_of_one_region_has_nobody_to_ask() -> None:
    assert second_look(HOME, [], {}, asked=0) == Open()


def test_when_nobody_can_vouch_a_new_epoch_says_so() -> None:
    assert second_look(HOME, [], {}, asked=2) == StartEpoch(2, 100)


def test_a_stream_made_anew_and_written_to_starts_an_epoch_above_all_that_is_known() -> None:
    made_anew = [Witness(100, "t1")]
    assert second_look(HOME, made_anew, {"eu": Held(100)}, asked=1) == StartEpoch(2, 100)
    assert second_look(HOME, made_anew, {"eu": Held(130)}, asked=1) == StartEpoch(2, 130)


def test_a_stream_made_anew_and_empty_gets_everything_back() -> None:
    mirrors, seen = {"eu": Held(100)}, [Witness(100, "t1"), Witness(90, "t1"), Witness(9, "t0")]
    for last in (0, 40):  # where its mirrors begin at 41, it was made to begin there too
        empty = Home(epoch=1, last=last, created="t0", empty=True)
        repair = Repair("eu", last, 100, lost=("t1",), epoch=2)
        assert second_look(empty, seen, mirrors, asked=1) == repair


def test_a_stream_that_was_restored_is_trusted_by_who_saw_the_lost_one_and_no_more_than_that() -> (
    None
):
    restored = Home(epoch=1, last=100, created="t2", restored=(("t0", 50), ("t1", 100)))
    assert first_look(restored, [Witness(100, "t1"), Witness(50, "t0")]) == Open()
    for more in (Witness(101, "t1"), Witness(51, "t0"), Witness(5, "t9")):
        assert first_look(restored, [more]) == AskMirrors()
        held = {"eu": Held(100)}
        assert isinstance(second_look(restored, [more], held, asked=1), StartEpoch)


def test_an_epoch_that_started_settles_what_was_seen_before_it() -> None:
    after = Home(epoch=2, last=130, created="t1", above=120)
    assert first_look(after, [Witness(120, "t0", 1)]) == Open()
    assert first_look(after, [Witness(140, "t0", 1)]) == AskMirrors()


def test_the_epoch_never_falls_though_the_stream_forgot_it() -> None:
    forgot = Home(epoch=1, last=7, created="t0")
    assert second_look(forgot, [Witness(100, "t1", 3)], {}, asked=1) == StartEpoch(4, 100)
    assert second_look(HOME, [], {"eu": Held(110, 5, agrees=False)}, asked=1).epoch == 6  # type: ignore[union-attr]


def test_a_mirror_that_is_ahead_and_not_alike_is_no_source_of_the_tail() -> None:
    mirrors = {"eu": Held(110, agrees=False), "ap": Held(90)}
    assert second_look(HOME, [], mirrors, asked=2) == StartEpoch(2, 110, unlike="eu")


def test_sequences_that_were_given_out_twice_start_an_epoch() -> None:
    doubts = [Doubt(31, 40)]
    assert first_look(HOME, [Witness(100, "t0")], doubts) == AskMirrors()
    decision = second_look(HOME, [Witness(100, "t0")], {"eu": Held(50)}, asked=1, doubts=doubts)
    assert decision == StartEpoch(2, 100, fork=31)


def test_a_mirror_that_differs_below_the_epoch_is_only_noted() -> None:
    after = Home(epoch=2, last=120, created="t0", above=100)
    assert first_look(after, [Witness(120, "t0")], [Doubt(31, 40)]) == NoteFork(31)
    noted = Home(epoch=2, last=120, created="t0", above=100, forks=(31,))
    assert first_look(noted, [Witness(120, "t0")], [Doubt(31, 40)]) == Open()
    assert Doubt(31, 40).settled(noted)
    assert not Doubt(110, 110).settled(noted)


def test_a_stream_that_lost_its_disk_goes_on_in_the_epoch_that_it_was_in() -> None:
    """What says so was lost with it: it was made anew in the first one."""
    empty = Home(epoch=1, last=0, created="t1", empty=True)
    mirrors, seen = {"eu": Held(100, epoch=3)}, [Witness(100, "t0", epoch=3)]
    repair = Repair("eu", 0, 100, lost=("t0",), epoch=4, resumed=3)
    assert second_look(empty, seen, mirrors, asked=1) == repair
    whole = Home(epoch=1, last=100, created="t1", restored=(("t0", 100),))
    assert first_look(whole, seen) == AskMirrors()
    assert second_look(whole, seen, {}, asked=1) == NoteEpoch(3)
    assert second_look(whole, [], mirrors, asked=1) == NoteEpoch(3)
    assert first_look(replace(whole, epoch=3), seen) == Open()
