"""Calibrates a trained network before it is exported, so that its confidence matches its accuracy."""

import logging
import math
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from model.batches import times_repeated
from model.card import Calibration
from model.confidence import fitted_calibration
from model.dataset import Split, repeats
from model.errors import ModelUnusable
from model.faces import EMOTIONS
from model.networks import scores_of
from model.provenance import held_out, number_of, told_of

logger = logging.getLogger(__name__)

FEWEST_FACES = 100
"""Held-out faces, without repeats of those trained on, below which a temperature would be a guess."""


MOST_BETTER = 3.0
"""Standard errors by which a network may do better on held-out faces than on unseen ones; beyond that, it must know them."""


def calibrated(network: keras.Model, checkpoint: Path, training: Split, unseen: Split) -> tuple[keras.Model, Calibration | None]:
    """The network, calibrated on the faces that its training held out; unchanged, with None, if it cannot be calibrated.

    `training` is the split it was trained on without what the test split repeats, `unseen` the test split without what
    `training` repeats. The temperature, and how far the repetition of rare emotions in training is undone, are fitted on
    the held-out faces and their mirror images, except faces whose repeats were trained on, with the original labels, by
    which a test split is judged too. It cannot be calibrated if too few such faces are left; if it knows them already,
    for instance from an earlier training that it was started from; or if it was trained on other faces than these, so
    that others were held out. Raises ModelUnusable if `training.json` beside the checkpoint is not what a training writes.
    """
    if told_of(checkpoint).get("training_faces") not in (None, training.fingerprint()):
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
    # a face and its mirror image give two answers to the same question, which helps because there are few faces
    mirrored = scores_of(network, np.ascontiguousarray(faces.pixels[..., ::-1]))
    most_lowered = np.log(times_repeated(learnt.labels, number_of(checkpoint, "rarest", 0.0)))
    temperature, lowered = fitted_calibration(np.concatenate([scores, mirrored]), np.tile(faces.labels, 2), most_lowered)
    taken_back = {
        str(emotion): round(float(by), 4) for emotion, by, most in zip(EMOTIONS, lowered, most_lowered, strict=True) if most
    }
    logger.info("temperature %.3f, lowered %s, fitted on %d faces that were held out", temperature, taken_back, len(faces))
    calibration = Calibration(temperature=temperature, lowered=taken_back, faces=len(faces), share=share, seed=seed)
    return tempered(network, temperature, lowered), calibration


def _lead(right: NDArray[np.bool_], others: NDArray[np.bool_]) -> float:
    """By how many standard errors the first share is above the second; 0 if there is nothing to compare it with."""
    if not len(others):
        return 0.0
    pooled = np.concatenate([right, others]).mean()
    error = math.sqrt(pooled * (1 - pooled) * (1 / len(right) + 1 / len(others)))
    return float(right.mean() - others.mean()) / max(error, 1e-9)


def tempered(network: keras.Model, temperature: float, lowered: NDArray[np.float32] | None = None) -> keras.Model:
    """A copy of the network at that temperature: its last layer, and so the logits, divided by it.

    The logits of the emotions are then lowered by `lowered` (7,).
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
