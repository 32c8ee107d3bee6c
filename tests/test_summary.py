from model.faces import EMOTIONS
from pipeline.coverage import Coverage
from pipeline.mood import Mood
from pipeline.summary import coverage_in_words, summarise


def moods(*emotions: str | None) -> list[Mood]:
    return [
        Mood(f"student {number}", 0, Coverage.OK if emotion else Coverage.NO_FACE, emotion, 0.9 if emotion else 0.0)  # type: ignore[arg-type]
        for number, emotion in enumerate(emotions)
    ]


def test_below_the_smallest_group_shares_and_valence_are_withheld() -> None:
    few = summarise(moods("happy", "happy", "sad", "neutral", "unknown", None), smallest_group=5)
    assert few.withheld and few.shares is None and few.valence is None
    assert few.participants == 6 and few.scored == 4


def test_shares_and_valence_are_those_of_whose_emotion_is_known() -> None:
    summary = summarise(moods("happy", "happy", "happy", "sad", "neutral", "unknown", None), smallest_group=5)
    assert not summary.withheld and summary.scored == 5
    assert summary.shares is not None and set(summary.shares) == set(EMOTIONS)
    assert summary.shares["happy"] == 0.6 and summary.valence == 0.4


def test_coverage_counts_everybody() -> None:
    summary = summarise(moods("happy", None, None), smallest_group=5)
    assert summary.coverage == {Coverage.OK: 1, Coverage.NO_FACE: 2}
    assert coverage_in_words(summary.coverage) == "1 of 3 seen: 2 no_face"


def test_an_empty_class_is_withheld_too() -> None:
    empty = summarise([], smallest_group=3)
    assert empty.withheld and empty.participants == 0 and coverage_in_words(empty.coverage) == "0 of 0 seen"
