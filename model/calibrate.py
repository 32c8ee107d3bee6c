"""Making a trained network as sure of its answers as it is right, before it is exported."""

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from model.batches import times_repeated
from model.card import CARD_FILE, Calibration
from model.confidence import fitted_calibration
from model.dataset import Split, repeats
from model.errors import ModelUnusable
from model.faces import EMOTIONS
from model.networks import scores_of

logger = logging.getLogger(__name__)

TRAINING_FILE = "training.json"
"""What a training writes beside its checkpoints; it says which faces were held out."""

TAUGHT_BY, BEGUN_FROM = "; taught by ", "; begun from "
"""How a card's `data` goes on where a network owes something to others."""

FEWEST_FACES = 100
"""Held-out faces, repeats of others aside, below which a temperature would be a guess."""


MOST_BETTER = 3.0
"""Standard errors by which a network may do better on held-out faces than on others: more, and it has seen them before."""


def calibrated(network: keras.Model, checkpoint: Path, training: Split, unseen: Split) -> tuple[keras.Model, Calibration | None]:
    """The network as sure of its answers as suits the faces its training held out; as it is, and None, where there are none.

    `training` is the split that it was trained on, without what the test split repeats; `unseen` the test split without what
    that repeats. The temperature, and how much of what its training repeated is taken back, are fitted on the faces and
    their mirror images, with the original labels, which are what a test split is judged by, without the faces whose repeats
    were trained on, and not at all if the network knows the held-out faces, for instance from an earlier training that it was
    started from, or was trained on other faces than these, of which others were held out. Raises ModelUnusable where
    `training.json`, beside the checkpoint, is not what a training writes.
    """
    told = _told(checkpoint)
    if told.get("training_faces") not in (None, training.fingerprint()):
        logger.warning("not calibrated: %s was trained on other faces than these", checkpoint)
        return network, None
    share, seed = held_out(checkpoint)
    learnt, faces = training.parted(share, seed)
    faces = faces.only(~repeats(faces.pixels, learnt.pixels))
    if len(faces) < FEWEST_FACES:
        logger.warning("not calibrated: %d faces, none of them trained on, were held out of the training", len(faces))
        return network, None
    scores = scores_of(network, faces.pixels)
    lead = _lead(scores.argmax(axis=1) == faces.labels, scores_of(network, unseen.pixels).argmax(axis=1) == unseen.labels)
    if lead > MOST_BETTER:
        logger.warning("not calibrated: the held-out faces are read %.1f standard errors better than unseen ones", lead)
        return network, None
    # a face and its mirror image are two answers to the same question: there are few faces, and so they tell more
    mirrored = scores_of(network, np.ascontiguousarray(faces.pixels[..., ::-1]))
    most_lowered = np.log(times_repeated(learnt.labels, _number(told, checkpoint, "rarest", 0.0)))
    temperature, lowered = fitted_calibration(np.concatenate([scores, mirrored]), np.tile(faces.labels, 2), most_lowered)
    taken_back = {
        str(emotion): round(float(by), 4) for emotion, by, most in zip(EMOTIONS, lowered, most_lowered, strict=True) if most
    }
    logger.info("temperature %.3f, lowered %s, fitted on %d faces that were held out", temperature, taken_back, len(faces))
    calibration = Calibration(temperature=temperature, lowered=taken_back, faces=len(faces), share=share, seed=seed)
    return tempered(network, temperature, lowered), calibration


def _lead(right: NDArray[np.bool_], others: NDArray[np.bool_]) -> float:
    """By how many standard errors the first share is above the second; none where there is nothing to compare with."""
    if not len(others):
        return 0.0
    pooled = np.concatenate([right, others]).mean()
    error = math.sqrt(pooled * (1 - pooled) * (1 / len(right) + 1 / len(others)))
    return float(right.mean() - others.mean()) / max(error, 1e-9)


def held_out(checkpoint: Path) -> tuple[float, int]:
    """Share and seed of the faces that the checkpoint's training held out; a share of 0 if nothing beside it tells of any."""
    told = _told(checkpoint)
    if not told:
        return 0.0, 0
    share, seed = _number(told, checkpoint, "held_out", 0.0), int(_number(told, checkpoint, "seed"))
    if not 0 <= share < 1:
        raise ModelUnusable(f"{checkpoint.with_name(TRAINING_FILE)} says that a share of {share} was held out")
    return share, seed


def _number(told: dict[str, Any], checkpoint: Path, name: str, default: float | None = None) -> float:
    """A number of what the checkpoint's training told of itself."""
    path = checkpoint.with_name(TRAINING_FILE)
    try:
        number = float(told[name] if default is None else told.get(name, default))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelUnusable(f"{path} does not say what a training says of its faces: {error!r}") from error
    if not math.isfinite(number):
        raise ModelUnusable(f"{path} does not say what a training says of its faces: {name} is {number}")
    return number


def had_teachers(checkpoint: Path) -> bool:
    """Whether the checkpoint's training, or one that it began from, learnt from others, as far as something beside them tells."""
    return any(
        told.get("taught_by") or told.get("distilled_from") or _owes(file, TAUGHT_BY) for file, told in _trainings(checkpoint)
    )


def began_from_others(checkpoint: Path) -> bool:
    """Whether that training, or one that it began from, began from weights that others made, as far as is told."""
    return any(
        told.get("weights") or str(told.get("start_from")).endswith(".json") or _owes(file, BEGUN_FROM)
        for file, told in _trainings(checkpoint)
    )


def _trainings(checkpoint: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The checkpoint and what its training wrote down of itself, then the one that it began from, and so on."""
    seen: set[Path] = set()
    while checkpoint not in seen:
        seen.add(checkpoint)
        told = _told(checkpoint)
        yield checkpoint, told
        if told.get("start_from"):
            checkpoint = Path(str(told["start_from"]))
            if not any(path.exists() for path in (checkpoint, checkpoint.with_name(TRAINING_FILE))):
                logger.warning("%s, which a training began from, is not there: what that owes to others is not known", checkpoint)


def heard_the_crowd(checkpoint: Path) -> bool:
    """Whether the FER+ votes, where its data had any, were part of the checkpoint's labels."""
    return bool(_told(checkpoint).get("crowd", 1.0))


def _owes(checkpoint: Path, words: str) -> bool:
    """Whether the card beside an exported file, from which a training may have begun, says so."""
    card = checkpoint.with_name(CARD_FILE)
    return checkpoint.suffix == ".tflite" and card.exists() and words in card.read_text()


def _told(checkpoint: Path) -> dict[str, Any]:
    """What the training wrote down of itself; nothing if there is no such file."""
    path = checkpoint.with_name(TRAINING_FILE)
    try:
        told: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
        told.get("seed")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelUnusable(f"{path} does not say what a training says of its held-out faces: {error!r}") from error
    return told


def tempered(network: keras.Model, temperature: float, lowered: NDArray[np.float32] | None = None) -> keras.Model:
    """A copy whose probabilities are those of the network at that temperature: its last layer, divided by it.

    The log odds of the emotions are then `lowered` (7,) by so much.
    Raises ModelUnusable for a network that does not end in a dense layer with a softmax.
    """
    last = network.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.softmax:
        raise ModelUnusable(f"{network.name} does not end in a dense layer with a softmax, so it cannot be calibrated")
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    kernel, bias = (weight / temperature for weight in last.get_weights())
    copy.layers[-1].set_weights([kernel, bias if lowered is None else bias - lowered])
    return copy
