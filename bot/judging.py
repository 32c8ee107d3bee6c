"""Judging a classifier: on labelled faces, on crops that are not quite theirs, and on the bot's whole path."""

from pathlib import Path
from typing import Any

import numpy as np

from bot.on_video import on_video
from model.dataset import Split, read_faces, read_split
from model.detector import BlazeFace
from model.evaluate import Candidate, evaluate, load_candidate
from model.faces import FaceDetector, Image
from model.fairness import Groups
from model.robustness import crop_table, detected, tilt_table
from model.splits import read_judged


def to_judge_on(data: Path | None, usage: str, pixels: Path, labels: Path, training: Path | None) -> tuple[Split, Image | None]:
    """A split of the data, or else a mosaic and its labels; and the faces (n, 48, 48) that were trained on, if they are told.

    Raises DataUnusable for files that are not what they should be.
    """
    if data is not None:
        learnt, test = read_judged(data, usage)
        return test, None if learnt is None else learnt.pixels
    return read_split(pixels, labels), None if training is None else read_faces(training)


def judge(
    weights: Path | None, split: Split, training: Image | None = None, people: Groups | None = None, robust_on: int = 0
) -> dict[str, Any]:
    """What weights, as `load_candidate` takes them, are worth on a split, ready for JSON.

    `training` are the faces (n, 48, 48) they were trained on, `people` the group of people that each face of the split is
    of. With `robust_on`, `robustness` tells of at most so many of the faces. Raises ModelUnusable for files that are no weights.
    """
    candidate = load_candidate(weights)
    result = evaluate(candidate, split, training, people)
    if robust_on:
        result["robustness"] = robustness(candidate, evenly(split, robust_on), BlazeFace())
    return result


def evenly(split: Split, most: int) -> Split:
    """At most so many faces, from all over the split."""
    rows = np.linspace(0, len(split) - 1, min(most, len(split)))
    return split.only(rows.round().astype(np.int64))


def robustness(candidate: Candidate, split: Split, detector: FaceDetector) -> dict[str, Any]:
    """Where the detector's boxes lie in the split's squares, and what other crops, tilted heads and a poor connection cost."""
    return {
        "faces": len(split),
        "squares": detected(candidate, split, detector),
        "crops": crop_table(candidate, split),
        "tilts": tilt_table(candidate, split, detector),
        "video": on_video(candidate, split, detector),
    }
