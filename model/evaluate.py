"""Judging a classifier on a labelled split."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.classifier import LiteRtClassifier
from model.dataset import Split, read_mosaic, read_split, repeats, resized
from model.faces import EMOTIONS, Image
from model.fairness import Groups, by_group, read_groups

Numbers = NDArray[np.float32]
Labels = NDArray[np.int64]

CALIBRATION_BINS = 15
TIMED_FACES = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    """A classifier to be judged: `predict` turns grey faces (n, size, size) uint8 into probabilities (n, 7)."""

    predict: Callable[[Image], Numbers]
    size: int
    parameters: int | None
    file_bytes: int


def evaluate_files(
    weights: Path | None,
    pixels: Path,
    labels: Path,
    training: Path | None = None,
    groups: str | None = None,
    groups_file: Path | None = None,
) -> dict[str, Any]:
    """`evaluate` for files: weights as `load_candidate` takes them, a mosaic and its labels, the mosaic trained on.

    `groups` is a column of `groups_file`, or of the labels' own file, that names a group of people for each face.
    Raises ModelUnusable and DataUnusable for files that are not what they should be.
    """
    split = read_split(pixels, labels)
    people = None if groups is None else read_groups(groups_file or labels, groups, len(split))
    known = None if training is None else read_mosaic(training)
    return evaluate(load_candidate(weights), split, known, people)


def load_candidate(weights: Path | None) -> Candidate:
    """A folder with a card, a .keras checkpoint, or, for None, the shipped weights; raises ModelUnusable for others."""
    if weights is not None and weights.suffix == ".keras":
        return _keras_candidate(weights)
    classifier = LiteRtClassifier(weights)
    parameters = classifier.card.figures.get("parameters")
    return Candidate(
        classifier.classify, classifier.size, parameters if isinstance(parameters, int) else None, classifier.file_bytes
    )


def _keras_candidate(checkpoint: Path) -> Candidate:
    # keras takes seconds to import, and the bot's own weights need none of it
    from model.networks import load_network

    network = load_network(checkpoint)

    def predict(faces: Image) -> Numbers:
        scores: Numbers = network.predict(faces[..., None].astype(np.float32), batch_size=64, verbose=0)
        return scores

    return Candidate(predict, network.input_shape[1], network.count_params(), checkpoint.stat().st_size)


def evaluate(
    candidate: Candidate,
    split: Split,
    training: Image | None = None,
    groups: Groups | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """What the candidate is worth on the split, ready for JSON; fractions are of 0 to 1.

    `training` are the faces (m, 48, 48) it was trained on: `accuracy_without_repeats` leaves out the split's rows
    that stand among them, and is None if they are not named. `by_group` is None without groups.
    """
    faces = resized(split.pixels, candidate.size)
    scores = candidate.predict(faces)
    predicted: Labels = scores.argmax(axis=1)
    right = predicted == split.labels
    table = confusion(split.labels, predicted)
    return {
        "n": len(split),
        "accuracy": float(right.mean()),
        "accuracy_without_repeats": None if training is None else _mean(right[~repeats(split.pixels, training)]),
        "macro_f1": macro_f1(table),
        "per_class": per_class(table),
        "confusion": table.tolist(),
        "ece": calibration_error(scores.max(axis=1), right),
        "ferplus_majority_agreement": majority_agreement(split, predicted),
        "ms_per_face": milliseconds_per_face(candidate.predict, faces[:TIMED_FACES], clock),
        "by_group": None if groups is None else by_group(groups, right),
        "parameters": candidate.parameters,
        "file_bytes": candidate.file_bytes,
    }


def confusion(labels: Labels, predicted: Labels) -> Labels:
    """How often each emotion was taken for each, (7, 7): rows are the labels, columns the predictions."""
    count = len(EMOTIONS)
    return np.bincount(labels * count + predicted, minlength=count * count).reshape(count, count)


def per_class(table: Labels) -> dict[str, dict[str, float | int]]:
    """Recall, precision and number of faces of each emotion; a fraction of nothing is 0."""
    hits, wanted, given = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    return {
        str(emotion): {
            "recall": float(hits[i] / max(wanted[i], 1)),
            "precision": float(hits[i] / max(given[i], 1)),
            "n": int(wanted[i]),
        }
        for i, emotion in enumerate(EMOTIONS)
    }


def macro_f1(table: Labels) -> float:
    """The mean F1 of the emotions that occur among the labels."""
    hits, wanted, given = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    f1 = 2 * hits / np.maximum(wanted + given, 1)
    return float(f1[wanted > 0].mean())


def calibration_error(confidence: Numbers, right: NDArray[np.bool_]) -> float:
    """The expected calibration error with 15 bins of equal width (Guo et al., arXiv 1706.04599, section 2)."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(right))


def majority_agreement(split: Split, predicted: Labels) -> float | None:
    """Share of the predictions that are what most of the FER+ crowd saw.

    Only faces count for which more than half of all ten columns' votes went to one and the same of the seven emotions;
    None if there is no such face.
    """
    votes = split.votes_per_emotion()
    clear = votes.max(axis=1) * 2 > split.votes.sum(axis=1)
    return _mean(predicted[clear] == votes[clear].argmax(axis=1))


def milliseconds_per_face(predict: Callable[[Image], Numbers], faces: Image, clock: Callable[[], float]) -> float:
    """The median time of a call with one face, after one call that is not counted."""
    predict(faces[:1])
    return float(np.median([_seconds(predict, faces[i : i + 1], clock) for i in range(len(faces))]) * 1000)


def _seconds(predict: Callable[[Image], Numbers], faces: Image, clock: Callable[[], float]) -> float:
    start = clock()
    predict(faces)
    return clock() - start


def _mean(mask: NDArray[np.bool_]) -> float | None:
    return float(mask.mean()) if len(mask) else None
