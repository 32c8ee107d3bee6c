import numpy as np
import pytest

from model.faces import Emotion
from pipeline.analysis import Reading
from pipeline.coverage import Coverage
from pipeline.events import CoverageChanged, EmotionChanged, EmotionSample, ParticipantJoined, ParticipantLeft
from pipeline.mood import Mood, MoodRules, Moods
from tests.fakes import Told, reading

HAPPY, SAD, ANGRY = Emotion.HAPPY, Emotion.SAD, Emotion.ANGRY


def class_of_ada(**rules: float) -> tuple[Moods, Told]:
    told = Told()
    moods = Moods(told, "test@0", MoodRules(**rules))
    moods.joined("ada", "Ada", "joined")
    return moods, told


def feel(moods: Moods, emotion: Emotion, *seconds: float, confidence: float = 0.9) -> None:
    for second in seconds:
        moods.add(reading(emotion, round(second * 1000), confidence))


def changes(told: Told) -> list[tuple[str | None, str]]:
    return [(data.before, data.after) for data in told.of(EmotionChanged)]


def test_the_first_reading_gives_coverage_emotion_and_a_sample_at_once() -> None:
    moods, told = class_of_ada()
    feel(moods, HAPPY, 10)
    kinds = [type(data) for data in told.all]
    assert kinds == [ParticipantJoined, CoverageChanged, EmotionChanged, EmotionSample]
    assert changes(told) == [(None, "happy")]


def test_one_look_at_another_emotion_changes_nothing() -> None:
    moods, told = class_of_ada(smoothing_seconds=0.5)
    feel(moods, HAPPY, 0, 0.5, 1)
    feel(moods, SAD, 1.5)
    feel(moods, HAPPY, 2, 2.5, 3, 3.5)
    assert changes(told) == [(None, "happy")]


def test_an_emotion_that_stays_for_the_dwell_becomes_the_mood_and_since_says_when_it_first_led() -> None:
    moods, told = class_of_ada(smoothing_seconds=0, dwell_seconds=1.0)
    feel(moods, HAPPY, 0, 0.5)
    feel(moods, SAD, 1.0, 1.5)
    assert changes(told) == [(None, "happy")]
    feel(moods, SAD, 2.0)
    assert changes(told)[-1] == ("happy", "sad")
    assert told.of(EmotionChanged)[-1].since_ms == 1000


def test_time_out_of_sight_is_no_part_of_the_dwell() -> None:
    moods, told = class_of_ada(smoothing_seconds=0, dwell_seconds=1.0)
    feel(moods, HAPPY, 0, 0.5)
    feel(moods, SAD, 1.0)
    moods.unseen("ada", 1200, Coverage.NO_FACE)
    feel(moods, SAD, 60.0, 60.5)
    assert changes(told) == [(None, "happy")]
    feel(moods, SAD, 61.0)
    assert changes(told)[-1] == ("happy", "sad")
    assert told.of(EmotionChanged)[-1].since_ms == 60_000


def test_a_lead_smaller_than_the_margin_changes_nothing() -> None:
    moods, told = class_of_ada(smoothing_seconds=0, lead_to_change=0.2, unknown_below=0.1)
    feel(moods, HAPPY, 0)
    close = np.array([0, 0, 0, 0.45, 0.55, 0, 0], np.float32)
    for second in range(1, 10):
        moods.add(Reading("ada", second * 1000, Coverage.OK, reading(SAD, 0).face, 1, close))
    assert changes(told) == [(None, "happy")]


def test_scores_that_say_nothing_are_unknown() -> None:
    moods, told = class_of_ada(unknown_below=0.4)
    feel(moods, HAPPY, 0, 1, 2, confidence=0.3)
    assert changes(told) == [(None, "unknown")]
    assert {data.emotion for data in told.of(EmotionSample)} == {"unknown"}


def test_smoothing_depends_on_time_and_not_on_the_rate_of_looks() -> None:
    seldom, often = class_of_ada(sample_seconds=0.01), class_of_ada(sample_seconds=0.01)
    for moods, _ in (seldom, often):
        feel(moods, HAPPY, 0)
    feel(seldom[0], SAD, 1.0)
    feel(often[0], SAD, *(step / 10 for step in range(1, 11)))
    one, other = seldom[1].of(EmotionSample)[-1], often[1].of(EmotionSample)[-1]
    assert one.scores[SAD] == pytest.approx(other.scores[SAD], abs=2e-4)


def test_samples_come_once_a_second_whatever_the_rate_of_looks() -> None:
    moods, told = class_of_ada(sample_seconds=1.0)
    feel(moods, HAPPY, *(step / 2 for step in range(20)))
    assert len(told.of(EmotionSample)) == 10


def test_samples_can_be_turned_off() -> None:
    moods, told = class_of_ada(sample_seconds=0)
    feel(moods, HAPPY, *range(10))
    assert not told.of(EmotionSample) and changes(told) == [(None, "happy")]


def test_the_seven_scores_of_a_sample_add_up_to_one() -> None:
    moods, told = class_of_ada()
    feel(moods, HAPPY, 0)
    feel(moods, ANGRY, 1, 2)
    for sample in told.of(EmotionSample):
        assert len(sample.scores) == 7 and sum(sample.scores.values()) == pytest.approx(1, abs=1e-3)


def test_coverage_is_told_when_it_changes_and_only_then() -> None:
    moods, told = class_of_ada()
    feel(moods, HAPPY, 0, 1)
    for second in (2, 3):
        moods.add(Reading("ada", second * 1000, Coverage.NO_FACE))
    feel(moods, HAPPY, 4)
    seen = [(data.before, data.after) for data in told.of(CoverageChanged)]
    assert seen == [(None, "ok"), ("ok", "no_face"), ("no_face", "ok")]


def test_a_participant_out_of_sight_has_no_emotion() -> None:
    moods, _ = class_of_ada()
    feel(moods, HAPPY, 0)
    moods.unseen("ada", 1000, Coverage.STALLED)
    assert moods.present() == [Mood("ada", 1000, Coverage.STALLED, None, 0.0)]


def test_who_left_is_forgotten_and_a_late_reading_of_them_is_ignored() -> None:
    moods, told = class_of_ada()
    feel(moods, HAPPY, 0)
    moods.left("ada", "left")
    moods.left("ada", "left")
    before = len(told.all)
    feel(moods, SAD, 5)
    moods.unseen("ada", 6000, Coverage.STALLED)
    assert len(told.all) == before and not moods.present()
    assert len(told.of(ParticipantLeft)) == 1


def test_everybody_is_shown_their_own_mood() -> None:
    shown: list[Mood] = []
    moods = Moods(Told(), "test@0", show=shown.append)
    moods.joined("ada", "Ada", "joined")
    feel(moods, HAPPY, 0)
    assert shown[-1].emotion == "happy" and shown[-1].confidence == pytest.approx(0.9)
