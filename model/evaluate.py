"""Judges a classifier on a labelled split."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.classifier import LiteRtClassifier
from model.confidence import Labels, Numbers, confidence_figures
from model.dataset import VOTE_OF_LABEL, Split, repeats, resized
from model.errors import ModelUnusable
from model.faces import EMOTIONS, Image
from model.fairness import Groups, by_group

TIMED_FACES = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    """A classifier to be judged: `predict` turns grey faces (n, size, size) uint8 into probabilities (n, 7)."""

    predict: Callable[[Image], Numbers]
    size: int
    parameters: int | None
    file_bytes: int
    name: str = ""


def load_candidate(weights: Path | None) -> Candidate:
    """The classifier in a folder with a card, in such a folder's .tflite or in a .keras checkpoint; for None, the shipped one.

    Raises ModelUnusable for anything else.
    """
    if weights is not None and weights.suffix == ".keras":
        return _keras_candidate(weights)
    classifier = LiteRtClassifier(weights)
    parameters = classifier.card.figures.get("parameters")
    count = parameters if isinstance(parameters, int) else None
    return Candidate(classifier.classify, classifier.size, count, classifier.file_bytes, classifier.name)


def _keras_candidate(checkpoint: Path) -> Candidate:
    # keras takes seconds to import, and the bot's own weights need none of it
    from model.networks import load_classifier, scores_of

    network = load_classifier(checkpoint)

    def predict(faces: Image) -> Numbers:
        return scores_of(network, faces)

    return Candidate(predict, network.input_shape[1], network.count_params(), checkpoint.stat().st_size, network.name)


def evaluate(
    candidate: Candidate,
    split: Split,
    training: Image | None = None,
    groups: Groups | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """The candidate's figures on the split, ready for JSON; fractions are from 0 to 1.

    `training` are the faces (m, 48, 48) it was trained on: `accuracy_without_repeats` leaves out the split's faces that are
    among them, and is None if they are not given. `by_group` is None without groups. Raises ModelUnusable for a candidate
    whose scores are not probabilities.
    """
    faces = resized(split.pixels, candidate.size)
    scores = candidate.predict(faces)
    if not are_probabilities(scores):
        raise ModelUnusable(f"{candidate.name} answers with numbers that are no probabilities")
    predicted: Labels = scores.argmax(axis=1)
    right = predicted == split.labels
    table = confusion(split.labels, predicted)
    known = None if training is None else repeats(split.pixels, training)
    return {
        "model": candidate.name,
        "split": split.fingerprint(),
        "n": len(split),
        "repeats": None if known is None else int(known.sum()),
        "accuracy": float(right.mean()),
        "accuracy_without_repeats": None if known is None else _mean(right[~known]),
        "macro_f1": macro_f1(table),
        "per_class": per_class(table),
        "confusion": table.tolist(),
        **confidence_figures(scores.max(axis=1), right),
        "ferplus_majority_agreement": majority_agreement(split, predicted),
        "crowd_recall": crowd_recall(split),
        "ms_per_face": milliseconds_per_face(candidate.predict, faces[:TIMED_FACES], clock),
        "by_group": None if groups is None else by_group(groups, right),
        "parameters": candidate.parameters,
        "file_bytes": candidate.file_bytes,
    }


def are_probabilities(scores: Numbers) -> bool:
    """Whether scores (n, 7) are from 0 to 1, and each row adds up to 1."""
    return bool(np.allclose(scores.sum(axis=1), 1, atol=0.01) and scores.min() >= 0)


def confusion(labels: Labels, predicted: Labels) -> Labels:
    """How often each emotion was taken for each, (7, 7): rows are the labels, columns the predictions."""
    count = len(EMOTIONS)
    return np.bincount(labels * count + predicted, minlength=count * count).reshape(count, count)


def per_class(table: Labels) -> dict[str, dict[str, float | int | None]]:
    """Recall, precision and number of faces of each emotion; None where there is nothing to divide by."""
    hits, wanted, given = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    return {
        str(emotion): {
            "recall": float(hits[i] / wanted[i]) if wanted[i] else None,
            "precision": float(hits[i] / given[i]) if given[i] else None,
            "n": int(wanted[i]),
        }
        for i, emotion in enumerate(EMOTIONS)
    }


def macro_f1(table: Labels) -> float:
    """The mean F1 of the emotions that occur among the labels."""
    hits, wanted, given = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    f1 = 2 * hits / np.maximum(wanted + given, 1)
    return float(f1[wanted > 0].mean())


def majority_agreement(split: Split, predicted: Labels) -> float | None:
    """The share of predictions that agree with the majority of the FER+ crowd.

    Only faces count for which one of the seven emotions got more than half of the votes in all ten columns; None if there
    is no such face.
    """
    votes = split.votes_per_emotion()
    clear = votes.max(axis=1) * 2 > split.votes.sum(axis=1)
    return _mean(predicted[clear] == votes[clear].argmax(axis=1))


def crowd_recall(split: Split) -> dict[str, float | None]:
    """How often people see what a face is labelled: for each emotion, the share with more than half of the votes for it.

    The votes are the FER+ crowd's. Faces without votes are left out; None for an emotion that has no others.
    """
    votes = split.votes.sum(axis=1)
    seen = split.votes[np.arange(len(split)), np.array(VOTE_OF_LABEL)[split.labels]] * 2 > votes
    voted = votes > 0
    return {str(emotion): _mean(seen[voted & (split.labels == label)]) for label, emotion in enumerate(EMOTIONS)}


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
