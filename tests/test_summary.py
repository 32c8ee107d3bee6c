from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.faces import EMOTIONS, Emotion
from pipeline.coverage import Coverage
from pipeline.events import Label, Summary
from pipeline.summary import ClassFigures, coverage_in_words, rounded_shares
from tests.moods_of import mood_of, moods_of


def people(*emotions: Label | None) -> dict[str, Label | None]:
    return {f"student {number}": emotion for number, emotion in enumerate(emotions)}


def first_summary(*emotions: Label | None, smallest_group: int = 5, level: str = "individual") -> Summary:
    return ClassFigures(smallest_group, level).summary(moods_of(people(*emotions)), 0)  # type: ignore[arg-type]


def test_below_the_smallest_group_shares_and_valence_are_withheld() -> None:
    few = first_summary("happy", "happy", "sad", "neutral", "unknown", None)
    assert few.withheld and few.shares is None and few.valence is None
    assert few.participants == 6 and few.scored == 4


def test_shares_and_valence_are_those_of_whose_emotion_is_known() -> None:
    summary = first_summary("happy", "happy", "happy", "sad", "neutral", "unknown", None)
    assert not summary.withheld and summary.scored == 5
    assert summary.shares is not None and set(summary.shares) == set(EMOTIONS)
    assert summary.shares["happy"] == 0.6 and summary.valence == 0.4


def test_coverage_counts_everybody() -> None:
    summary = first_summary("happy", None, None)
    assert summary.coverage == {Coverage.OK: 1, Coverage.CAMERA_OFF: 2}
    assert coverage_in_words(summary.coverage) == "1 of 3 seen: 2 camera_off"


def test_an_empty_class_is_withheld_too() -> None:
    empty = first_summary(smallest_group=3)
    assert empty.withheld and empty.participants == 0 and coverage_in_words(empty.coverage) == "0 of 0 seen"


@given(st.lists(st.sampled_from(EMOTIONS), min_size=3, max_size=60).map(Counter))
def test_shares_are_rounded_to_twentieths_that_add_up_to_one(counts: Counter[Emotion]) -> None:
    shares = rounded_shares(counts)
    assert sum(round(share * 20) for share in shares.values()) == 20
    assert all(share * 20 == pytest.approx(round(share * 20)) for share in shares.values())
    assert all(abs(shares[emotion] - counts[emotion] / counts.total()) < 0.05 for emotion in EMOTIONS)


def test_in_aggregate_the_counts_are_rounded_to_the_smallest_group_and_nothing_is_counted_below_it() -> None:
    seen = first_summary(*["happy"] * 12, None, None, None, level="aggregate")
    assert (seen.participants, seen.scored, seen.coverage) == (15, 10, {Coverage.OK: 10, Coverage.CAMERA_OFF: 5})
    few = first_summary(*["happy"] * 4, None, None, level="aggregate")
    assert few.withheld and (few.participants, few.scored, few.coverage) == (0, 0, {})


def test_in_aggregate_people_are_rounded_as_one_count_and_not_state_by_state() -> None:
    seen = first_summary(*["happy"] * 6, None, None, level="aggregate")
    assert (seen.participants, seen.coverage) == (10, {Coverage.OK: 5})


def test_in_aggregate_the_counts_change_by_a_group_at_a_time() -> None:
    present, figures = people(*["happy"] * 12), ClassFigures(5, "aggregate")
    first = figures.summary(moods_of(present), 0)
    for number in range(4):
        present[f"latecomer {number}"] = None
        assert figures.summary(moods_of(present), 5000 * (number + 1)) == first
    present["latecomer 4"] = None
    changed = figures.summary(moods_of(present), 25_000)
    assert changed.coverage == {Coverage.OK: 10, Coverage.CAMERA_OFF: 5} and changed.shares == first.shares


def test_in_individual_the_counts_are_exact_while_the_shares_wait() -> None:
    present, figures = people(*["happy"] * 6), ClassFigures(5)
    first = figures.summary(moods_of(present), 0)
    moods = [*moods_of(present), mood_of("latecomer", "sad")]
    second = figures.summary(moods, 5000)
    assert (second.participants, second.coverage) == (7, {Coverage.OK: 7})
    assert (second.scored, second.shares) == (6, first.shares)
