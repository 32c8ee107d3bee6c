"""How far a confidence can be trusted."""

from itertools import pairwise

import numpy as np
import pytest

from model.confidence import (
    CURVE_POINTS,
    at_coverage,
    calibration_error,
    fitted_calibration,
    reliability,
    risk_coverage,
)

CONFIDENCE = np.array([0.9, 0.9, 0.5, 0.5, 1.0], np.float32)
RIGHT = np.array([True, True, True, False, False])


def cooled(scores: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities (n, 7) at a temperature: raised to the power of its inverse, and scaled to a sum of 1."""
    powers = np.maximum(scores.astype(np.float64), 1e-12) ** (1 / temperature)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


NOT_REPEATED = np.zeros(7, np.float32)


def fitted_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """The temperature for a network that met each emotion as often as its data hold it."""
    temperature, lowered = fitted_calibration(scores, labels, NOT_REPEATED)
    assert not lowered.any()
    return temperature


def raised(scores: np.ndarray, emotion: int, by: float) -> np.ndarray:
    """The probabilities (n, 7) with one emotion's log odds raised by so much."""
    powers = scores * np.exp(by * np.eye(7)[emotion])
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def probabilities(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n, 7) that are exactly as confident as they are right, and labels drawn from them."""
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.full(7, 0.5), count).astype(np.float32)
    labels = np.array([random.choice(7, p=row / row.sum()) for row in scores.astype(np.float64)])
    return scores, labels


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    assert calibration_error(CONFIDENCE, RIGHT) == pytest.approx((0.2 + 0.0 + 1.0) / 5, abs=1e-6)


def test_each_bin_that_holds_a_face_tells_its_confidence_and_accuracy() -> None:
    assert reliability(CONFIDENCE, RIGHT) == [
        {"confidence": pytest.approx(0.5), "accuracy": 0.5, "n": 2},
        {"confidence": pytest.approx(0.9), "accuracy": 1.0, "n": 2},
        {"confidence": 1.0, "accuracy": 0.0, "n": 1},
    ]


def test_who_answers_for_fewer_faces_answers_for_those_it_is_surest_of() -> None:
    confidence, right = np.linspace(0.2, 1, 100, dtype=np.float32), np.arange(100) >= 40
    assert at_coverage(confidence, right, 0.8) == (60 / 80, pytest.approx(confidence[20]))
    curve = risk_coverage(confidence, right)
    assert (len(curve), curve[0]["coverage"], curve[-1]["coverage"]) == (CURVE_POINTS, 1.0, 0.01)
    assert curve[0]["accuracy"] == 0.6 and curve[-1]["accuracy"] == 1.0
    assert all(one["confidence"] <= other["confidence"] for one, other in pairwise(curve))


def test_a_single_face_has_a_curve_too() -> None:
    assert {point["accuracy"] for point in risk_coverage(CONFIDENCE[:1], RIGHT[:1])} == {1.0}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_wrong_is_found_on_labels_that_follow_the_scores(temperature: float) -> None:
    scores, labels = probabilities(20_000)
    assert fitted_temperature(cooled(scores, 1 / temperature), labels) == pytest.approx(temperature, rel=0.05)


def test_the_fitted_temperature_mends_the_calibration_of_other_faces() -> None:
    scores, labels = probabilities(4000)
    too_sure = cooled(scores, 0.4)
    temperature = fitted_temperature(too_sure[:2000], labels[:2000])
    right = (scores.argmax(axis=1) == labels)[2000:]
    assert calibration_error(too_sure[2000:].max(axis=1), right) > 0.15
    assert calibration_error(cooled(too_sure[2000:], temperature).max(axis=1), right) < 0.04


@pytest.mark.parametrize(("truly", "most", "lowered"), [(1.0, 2.0, 1.0), (1.0, 0.4, 0.4), (-1.0, 2.0, 0.0)])
def test_an_emotion_that_was_met_too_often_is_lowered_by_what_was_too_much_and_no_other(
    truly: float, most: float, lowered: float
) -> None:
    scores, labels = probabilities(4000)
    given = cooled(raised(scores, 1, truly), 0.5)
    temperature, found = fitted_calibration(given, labels, most * np.eye(7, dtype=np.float32)[1])
    assert found == pytest.approx(lowered * np.eye(7)[1], abs=0.2)
    assert lowered != truly or temperature == pytest.approx(2.0, rel=0.1)


def test_scores_that_are_always_right_or_quite_certain_get_a_temperature_within_bounds() -> None:
    sure = np.eye(7, dtype=np.float32)[np.arange(70) % 7]
    assert 0 < fitted_temperature(sure, np.arange(70) % 7) < 1
    assert 1 < fitted_temperature(sure, (np.arange(70) + 1) % 7) <= 21


def test_a_temperature_changes_no_answer_and_keeps_the_sum() -> None:
    scores, _ = probabilities(50)
    for temperature in (0.3, 3.0):
        given = cooled(scores, temperature)
        assert given.dtype == np.float32 and given.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-5)
        assert (given.argmax(axis=1) == scores.argmax(axis=1)).all()
