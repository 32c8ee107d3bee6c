"""What drops out of a full outbox, and what a Redis that lost its data would be told again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from model.faces import Emotion
from pipeline.coverage import Coverage
from pipeline.events import (
    AttentionCleared,
    AttentionRaised,
    BasisStated,
    ConsentGranted,
    ConsentWithdrawn,
    CoverageChanged,
    Data,
    EmotionChanged,
    ParticipantJoined,
    ParticipantLeft,
)
from pipeline.outbox import MOST_ENDED, Outbox, Told, Waiting, subject_of
from tests.dashboards import sample, status

DAY_MS = 86_400_000


def joined(who: str) -> Data:
    return ParticipantJoined(participant=who, name=who, reason="published")


def left(who: str) -> Data:
    return ParticipantLeft(participant=who, reason="left")


def covered(who: str, after: Coverage = Coverage.OK) -> Data:
    return CoverageChanged(participant=who, before=None, after=after)


def changed(who: str) -> Data:
    return EmotionChanged(participant=who, before=None, after=Emotion.HAPPY, since_ms=1)


def granted(who: str) -> Data:
    return ConsentGranted(participant=who, source="page")


def withdrawn(who: str) -> Data:
    return ConsentWithdrawn(participant=who, source="page")


def raised(who: str, reason: str = "changed") -> Data:
    return AttentionRaised(participant=who, reason=reason, for_seconds=90.0)


def cleared(who: str) -> Data:
    return AttentionCleared(participant=who, reason="changed", for_seconds=95.0)


ANYTHING = st.builds(
    lambda make, who: make(who), st.sampled_from([joined, left, covered, changed, raised]), st.sampled_from("abcd")
)


def filled(limit: int, *everything: Data) -> Outbox:
    outbox = Outbox(limit)
    for number, data in enumerate(everything):
        outbox.put(Waiting(number, data))
    return outbox


def contents(outbox: Outbox) -> list[Data]:
    return [waiting.data for waiting in outbox.take(len(outbox))]


def test_what_a_later_event_makes_up_for_falls_out_before_what_none_does() -> None:
    outbox = filled(3, joined("ada"), covered("ada", Coverage.NO_FACE), covered("ada"), changed("ada"))
    assert contents(outbox) == [joined("ada"), covered("ada"), changed("ada")]
    assert outbox.dropped == 1


def test_where_nothing_is_made_up_for_the_oldest_falls_out() -> None:
    outbox = filled(2, joined("ada"), joined("ben"), joined("cid"))
    assert contents(outbox) == [joined("ben"), joined("cid")]
    assert outbox.dropped == 1


def test_who_left_needs_no_join_and_who_came_again_no_leave() -> None:
    assert contents(filled(1, joined("ada"), left("ada"))) == [left("ada")]
    assert contents(filled(1, left("ada"), joined("ada"))) == [joined("ada")]


def test_what_is_put_back_is_the_first_to_go_and_the_first_to_fall_out() -> None:
    outbox = filled(3, covered("ada"), joined("ben"))
    outbox.put_back([Waiting(0, covered("ada", Coverage.NO_FACE)), Waiting(0, joined("cid"))])
    assert contents(outbox) == [joined("cid"), covered("ada"), joined("ben")]
    assert outbox.dropped == 1


@settings(max_examples=50)
@given(st.lists(st.one_of(ANYTHING, st.none(), st.integers(0, 3)), max_size=60), st.integers(1, 8))
def test_order_and_bound_and_count_hold_whatever_happens(happenings: list[Data | int | None], limit: int) -> None:
    """Data is put, an integer takes that many, and None puts back what was taken last."""
    outbox, put, taken, gone = Outbox(limit), 0, list[Waiting](), 0
    for happening in happenings:
        if isinstance(happening, int):
            gone += len(taken)
            taken = outbox.take(happening)
        elif happening is None:
            outbox.put_back(taken)
            taken = []
        else:
            outbox.put(Waiting(put, happening))
            put += 1
        assert len(outbox) <= limit
        assert put == gone + len(taken) + len(outbox) + outbox.dropped
    times = [waiting.at_ms for waiting in outbox.take(len(outbox))]
    assert times == sorted(times)


@settings(max_examples=50)
@given(st.lists(ANYTHING, max_size=80))
def test_a_limit_that_has_room_for_everybodys_state_never_loses_the_latest_of_anything(everything: list[Data]) -> None:
    outbox = filled(4 * 4, *everything)
    latest = {subject_of(data): data for data in everything}
    kept = contents(outbox)
    assert {subject_of(data): data for data in kept} == latest
    assert len(kept) == min(len(everything), 16)


WHO_IS_THERE = [joined, left, granted, withdrawn]


@settings(max_examples=50)
@given(
    st.lists(
        st.builds(
            lambda make, who: make(who), st.sampled_from([*WHO_IS_THERE, covered, changed, raised]), st.sampled_from("abcd")
        )
    )
)
def test_who_left_and_who_withdrew_outlast_all_that_was_read_whatever_the_limit(everything: list[Data]) -> None:
    kept = contents(filled(2 * 4, *everything))
    lasting = [data for data in everything if type(data) in {type(make("a")) for make in WHO_IS_THERE}]
    latest = {subject_of(data): data for data in lasting}
    assert {subject_of(data): data for data in kept if data in lasting} == latest


def test_what_comes_again_by_itself_is_dropped_before_what_says_what_has_changed() -> None:
    outbox = filled(3, joined("ada"), cleared("ada"), covered("ada"), status(), sample("ada", Emotion.HAPPY, 1))
    assert contents(outbox) == [joined("ada"), cleared("ada"), covered("ada")]


def test_somebody_who_changes_their_mind_again_and_again_pushes_nobody_elses_withdrawal_out() -> None:
    outbox = filled(4, withdrawn("ben"), *(answer("ada") for _ in range(9) for answer in (granted, withdrawn)))
    assert contents(outbox) == [withdrawn("ben"), withdrawn("ada"), granted("ada"), withdrawn("ada")]


def test_what_is_audited_stays_though_something_later_makes_up_for_it() -> None:
    outbox = filled(3, granted("ada"), covered("ben", Coverage.NO_FACE), withdrawn("ada"), covered("ben"))
    assert contents(outbox) == [granted("ada"), withdrawn("ada"), covered("ben")]


@settings(max_examples=50)
@given(st.lists(st.builds(lambda make, who: make(who), st.sampled_from([granted, withdrawn, covered]), st.sampled_from("ab"))))
def test_a_withdrawal_takes_back_what_was_read_before_it_and_nothing_else(everything: list[Data]) -> None:
    outbox = filled(1000, *everything)
    outbox.discard_withdrawn()
    behind = [
        {later.participant for later in everything[number:] if isinstance(later, ConsentWithdrawn)}
        for number in range(len(everything))
    ]
    kept = [
        each
        for each, gone in zip(everything, behind, strict=True)
        if not (each in (covered("a"), covered("b")) and _who(each) in gone)
    ]
    assert outbox.discarded == len(everything) - len(kept) and outbox.dropped == 0
    assert contents(outbox) == kept


def _who(data: Data) -> str:
    return str(data.model_dump()["participant"])


def test_redis_is_told_again_of_who_is_present_and_in_the_order_it_happened() -> None:
    told = Told(DAY_MS)
    happened = [joined("ada"), joined("ben"), covered("ada", Coverage.NO_FACE), changed("ben"), covered("ada"), left("ben")]
    for number, data in enumerate(happened):
        told.add(Waiting(number, data))
    assert [waiting.data for waiting in told.in_order()] == [joined("ada"), covered("ada")]
    assert len(told) == 1


def test_redis_is_told_again_of_the_basis_and_of_consent_and_of_nothing_that_was_read_before_a_withdrawal() -> None:
    told = Told(DAY_MS)
    basis = BasisStated(
        jurisdiction="US",
        basis="consent",
        purpose=None,
        level="individual",
        consent="asked",
        names=False,
        retention_hours=24.0,
        model="cnn@1",
        version="1",
    )
    for number, data in enumerate([basis, joined("ada"), granted("ada"), covered("ada"), changed("ada"), raised("ada")]):
        told.add(Waiting(number, data))
    assert [waiting.data for waiting in told.in_order()][:3] == [basis, joined("ada"), granted("ada")]
    told.add(Waiting(9, withdrawn("ada")))
    assert [waiting.data for waiting in told.in_order()] == [basis, joined("ada"), withdrawn("ada")]
    assert len(told) == 1


def test_of_one_millisecond_the_later_is_told_later() -> None:
    told = Told(DAY_MS)
    for data in (joined("ada"), changed("ada"), covered("ada"), changed("ada")):
        told.add(Waiting(1, data))
    assert [waiting.data for waiting in told.in_order()] == [joined("ada"), covered("ada"), changed("ada")]


def test_who_comes_again_is_not_told_of_with_what_was_before() -> None:
    told = Told(DAY_MS)
    for number, data in enumerate([joined("ada"), changed("ada"), joined("ada")]):
        told.add(Waiting(number, data))
    assert [waiting.at_ms for waiting in told.in_order()] == [2]


def test_what_was_raised_and_cleared_is_not_told_again() -> None:
    told = Told(DAY_MS)
    happened = [joined("ada"), raised("ada"), raised("ada", "not_visible"), joined("ben"), raised("ben"), cleared("ada")]
    for number, data in enumerate(happened):
        told.add(Waiting(number, data))
    assert [waiting.data for waiting in told.in_order()] == [
        joined("ada"),
        raised("ada", "not_visible"),
        joined("ben"),
        raised("ben"),
    ]


def test_who_left_and_who_withdrew_are_remembered_for_as_long_as_was_said() -> None:
    told = Told(100)
    for at_ms, data in enumerate([joined("ada"), granted("ada"), withdrawn("ada"), left("ada")]):
        told.add(Waiting(at_ms, data))
    assert told.undone("ada", True, False, 50) == [Waiting(2, withdrawn("ada")), Waiting(3, left("ada"))]
    assert told.undone("ada", True, True, 50) == [Waiting(3, left("ada"))]
    assert told.undone("ada", False, True, 50) == []
    restarted = ParticipantLeft(participant="ada", reason="bot restarted")
    told.add(Waiting(104, joined("ben")))
    assert told.undone("ada", True, False, 105) == [Waiting(105, restarted)]
    assert told.undone("ada", False, False, 105) == [] == told.undone("ben", True, False, 105)


def test_of_those_who_left_the_last_are_remembered() -> None:
    told = Told(DAY_MS)
    for number in range(MOST_ENDED + 1):
        told.add(Waiting(number, left(f"s{number}")))
    remembered = [told.undone(f"s{number}", True, False, 0)[0].data for number in (0, 1, MOST_ENDED)]
    assert remembered == [ParticipantLeft(participant="s0", reason="bot restarted"), left("s1"), left(f"s{MOST_ENDED}")]
