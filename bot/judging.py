"""Judging a classifier: on labelled faces, on shifted, scaled and tilted crops, and through the bot's whole video path."""

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
    """The faces to judge on: the split `usage` of `data` if that is given, or else the mosaic `pixels` with its `labels`.

    Also returns the faces (n, 48, 48) that were trained on, or None if they are not known. Raises DataUnusable for files that
    cannot be used.
    """
    if data is not None:
        learnt, test = read_judged(data, usage)
        return test, None if learnt is None else learnt.pixels
    return read_split(pixels, labels), None if training is None else read_faces(training)


def judge(
    weights: Path | None, split: Split, training: Image | None = None, people: Groups | None = None, robust_on: int = 0
) -> dict[str, Any]:
    """Measure weights, as `load_candidate` takes them, on a split; the result is ready for JSON.

    `training` are the faces (n, 48, 48) that they were trained on, and `people` the group of people to which each face of the
    split belongs. With `robust_on`, `robustness` is measured on at most that many faces. Raises ModelUnusable for files that are
    not weights.
    """
    candidate = load_candidate(weights)
    result = evaluate(candidate, split, training, people)
    if robust_on:
        result["robustness"] = robustness(candidate, evenly(split, robust_on), BlazeFace())
    return result


def evenly(split: Split, most: int) -> Split:
    """At most `most` faces, spread evenly over the split."""
    rows = np.linspace(0, len(split) - 1, min(most, len(split)))
    return split.only(rows.round().astype(np.int64))


def robustness(candidate: Candidate, split: Split, detector: FaceDetector) -> dict[str, Any]:
    """Where the detector's boxes lie in the split's squares, and what other crops, tilted heads and poor video cost."""
    return {
        "faces": len(split),
        "squares": detected(candidate, split, detector),
        "crops": crop_table(candidate, split),
        "tilts": tilt_table(candidate, split, detector),
        "video": on_video(candidate, split, detector),
    }
