"""How far a classifier's probabilities can be trusted, and how to calibrate them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float32]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]

CALIBRATION_BINS = 15
CURVE_POINTS = 100
"""Points of a risk-coverage curve: one for each hundredth of the faces."""

STEPS = 40
"""Bisections of the interval in which a temperature, or another number, is searched for."""

ROUNDS = 10
"""Rounds in which temperature and log odds are each moved to their likeliest value in turn; after five they hardly move."""

HOTTEST = 20.0
"""The temperature is searched for between 1 / `HOTTEST` and this."""


def calibration_error(confidence: Numbers, right: Mask) -> float:
    """The expected calibration error with 15 bins of equal width (Guo et al., arXiv 1706.04599, section 2)."""
    gaps = np.bincount(_bins(confidence), weights=confidence - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(right))


def reliability(confidence: Numbers, right: Mask) -> list[dict[str, float | int]]:
    """Mean confidence, accuracy and number of faces of each of those bins that is not empty, from the least confident."""
    bins = _bins(confidence)
    inside = [bins == number for number in np.unique(bins)]
    return [
        {"confidence": float(confidence[each].mean()), "accuracy": float(right[each].mean()), "n": int(each.sum())}
        for each in inside
    ]


def _bins(confidence: Numbers) -> Labels:
    return np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def risk_coverage(confidence: Numbers, right: Mask) -> list[dict[str, float]]:
    """How often it is right if it answers for only a share of the faces: those with the highest confidence.

    Each point has the share covered, the accuracy on it, and its least confidence, which is the threshold for answering
    (Geifman and El-Yaniv, arXiv 1705.08500). The points begin with all of the faces.
    """
    return [_point(confidence, right, share / CURVE_POINTS) for share in range(CURVE_POINTS, 0, -1)]


def at_coverage(confidence: Numbers, right: Mask, coverage: float) -> tuple[float, float]:
    """Accuracy on that share of the faces, those with the highest confidence, and the least confidence among them."""
    point = _point(confidence, right, coverage)
    return point["accuracy"], point["confidence"]


def _point(confidence: Numbers, right: Mask, coverage: float) -> dict[str, float]:
    # stable, so that equal confidences do not make the curve depend on how numpy sorts
    surest = np.argsort(-confidence, kind="stable")[: max(round(coverage * len(right)), 1)]
    return {
        "coverage": coverage,
        "accuracy": float(right[surest].mean()),
        "confidence": float(confidence[surest[-1]]),
    }


def fitted_calibration(scores: Numbers, labels: Labels, most_lowered: Numbers) -> tuple[float, Numbers]:
    """The temperature, and how far to lower each emotion's logits (7,) after it, that make the labels (n,) likeliest.

    `scores` (n, 7) are probabilities (Guo et al., section 4.2). Logits are lowered by at most `most_lowered` (7,), for
    emotions that a network met too often (Menon et al., arXiv 2007.07314). The likelihood has one peak over all of these
    numbers; each is moved to its likeliest value given the others, round after round.
    """
    logits = np.log(np.maximum(scores.astype(np.float64), 1e-12))
    lowered = np.zeros(logits.shape[1])
    inverse = _inverse_temperature(logits, labels, lowered)
    for _ in range(ROUNDS if most_lowered.any() else 0):
        for emotion in map(int, np.flatnonzero(most_lowered)):
            lowered[emotion] = 0.0
            lowered[emotion] = _lowered(inverse * logits - lowered, labels, emotion, float(most_lowered[emotion]))
        inverse = _inverse_temperature(logits, labels, lowered)
    return 1 / inverse, lowered.astype(np.float32)


def _inverse_temperature(logits: NDArray[np.float64], labels: Labels, lowered: NDArray[np.float64]) -> float:
    wanted = logits[np.arange(len(labels)), labels]

    def rises(power: float) -> bool:
        expected = (_softmax(np.exp(power) * logits - lowered) * logits).sum(axis=1)
        return bool((wanted - expected).mean() > 0)

    return float(np.exp(_peak(rises, -np.log(HOTTEST), np.log(HOTTEST))))


def _lowered(logits: NDArray[np.float64], labels: Labels, emotion: int, most: float) -> float:
    """By how much to lower the logits of one emotion."""
    share = (labels == emotion).mean()

    def rises(by: float) -> bool:
        moved = logits.copy()
        moved[:, emotion] -= by
        return bool(_softmax(moved)[:, emotion].mean() > share)

    return _peak(rises, 0.0, most)


def _peak(rises: Callable[[float], bool], low: float, high: float) -> float:
    """Where in an interval a function with one peak is largest, given whether it still rises at a point."""
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) else (low, middle)
    return low


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def confidence_figures(confidence: Numbers, right: Mask) -> dict[str, Any]:
    """An evaluation's figures about the confidence (n,) of answers, of which `right` (n,) were right; ready for JSON."""
    accuracy, answers_from = at_coverage(confidence, right, 0.8)
    return {
        "ece": calibration_error(confidence, right),
        "accuracy_at_80_coverage": accuracy,
        "confidence_at_80_coverage": answers_from,
        "reliability": reliability(confidence, right),
        "risk_coverage": risk_coverage(confidence, right),
    }
