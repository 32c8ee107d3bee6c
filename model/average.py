"""Averages the weights of several checkpoints of one network: often better than any of them, at the cost of one.

If the trainings began from one another and learnt from different teachers, the mean lies between their results (model
soups, Wortsman et al., arXiv 2203.05482).
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from model.disk import disk_told, drafted
from model.errors import ModelUnusable
from model.networks import accuracy_of, load_classifier, save
from model.provenance import AVERAGED, TRAINING_FILE, held_out, told_of
from model.settle import settle
from model.splits import read_splits
from model.train import CHECKPOINT_FILE

logger = logging.getLogger(__name__)

SHARED = ("network", "size", "held_out", "seed", "rarest", "crowd", "training_faces")
"""What their trainings must have in common, so that the mean has held out the same faces as each of them."""


def average(checkpoints: Sequence[Path], data: Path, out: Path) -> Path:
    """Save the mean of the checkpoints' weights in `out`, with its normalisation settled on the faces they learnt from.

    What their trainings have in common is written beside it. Raises DataUnusable for data that do not fit, and
    ModelUnusable if the checkpoints are not of one network, if their trainings held out different faces or left no record,
    if `out` holds a training already, or if it cannot be written to.
    """
    told = _shared(checkpoints) | {AVERAGED: [str(checkpoint) for checkpoint in checkpoints]}
    with disk_told(out):
        if (out / TRAINING_FILE).exists():
            raise ModelUnusable(f"{out} holds a training already: average into another folder")
    share, seed = held_out(checkpoints[0])
    training, test = read_splits(data)
    if told["training_faces"] != training.fingerprint():
        raise ModelUnusable(f"{checkpoints[0]} was trained on other faces than those of {data}")
    learnt, _ = training.parted(share, seed)
    networks = [load_classifier(checkpoint) for checkpoint in checkpoints]
    before = [accuracy_of(network, test) for network in networks]
    mean = _mean(checkpoints, networks)
    settle(mean, learnt, seed)
    singly = ", ".join(f"{accuracy:.4f}" for accuracy in before)
    logger.info("accuracy on PublicTest is %.4f; of those that were averaged %s", accuracy_of(mean, test), singly)
    with disk_told(out):
        out.mkdir(parents=True, exist_ok=True)
        with drafted(out / TRAINING_FILE) as draft:
            draft.write_text(json.dumps(told, indent=2) + "\n")
        return save(mean, out / CHECKPOINT_FILE)


def _shared(checkpoints: Sequence[Path]) -> dict[str, Any]:
    """What the records of all their trainings have in common."""
    first, *others = [told_of(checkpoint) for checkpoint in checkpoints]
    for checkpoint, told in zip(checkpoints, (first, *others), strict=True):
        if gone := [name for name in SHARED if name not in told]:
            raise ModelUnusable(f"{checkpoint} has no {TRAINING_FILE} beside it that tells its {gone[0]}")
        if unlike := [name for name in SHARED if told[name] != first[name]]:
            name = unlike[0]
            raise ModelUnusable(f"{checkpoint} was trained with {name} {told[name]}, {checkpoints[0]} with {first[name]}")
    return {name: first[name] for name in SHARED}


def _mean(checkpoints: Sequence[Path], networks: Sequence[keras.Model]) -> keras.Model:
    """The first network, with the mean of all their weights."""
    weights = [network.get_weights() for network in networks]
    for checkpoint, others in zip(checkpoints, weights, strict=True):
        if [each.shape for each in others] != [each.shape for each in weights[0]]:
            raise ModelUnusable(f"{checkpoint} is of another network than {checkpoints[0]}")
    networks[0].set_weights([np.mean(each, axis=0) for each in zip(*weights, strict=True)])
    return networks[0]
