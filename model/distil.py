"""Teachers that are asked during a training about the very faces that the network sees.

A small network that follows larger ones on endlessly jittered and blended faces comes closer to them than one that gets
their answer to each face only once (Hinton et al., arXiv 1503.02531; Beyer et al., arXiv 2106.05237).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from model.classifier import LiteRtClassifier
from model.cores import cores
from model.dataset import resized
from model.faces import Image
from model.networks import in_precision, load_classifier

Scores = NDArray[np.float32]
Ask = Callable[[Image], Scores]


def together(teachers: Sequence[Path], size: int, precision: str) -> Ask:
    """A function from faces (n, size, size, 1) uint8 to the mean of the teachers' probabilities (n, 7).

    A teacher is a .keras checkpoint, which runs where Keras runs, or weights with their card.json, which run on the CPU;
    without a GPU, those are several times as quick. A teacher of another size gets the faces resized.
    Raises ModelUnusable for a file that is not one of our networks.
    """
    checkpoints = [teacher for teacher in teachers if teacher.suffix == ".keras"]
    exported = [teacher for teacher in teachers if teacher not in checkpoints]
    asked: list[tuple[Ask, int]] = []
    if checkpoints:
        asked.append((_checkpoints(checkpoints, size, precision), len(checkpoints)))
    if exported:
        asked.append((_exported(exported), len(exported)))

    def ask(batch: Image) -> Scores:
        shares = [answer(batch) * np.float32(count / len(teachers)) for answer, count in asked]
        scores: Scores = np.sum(shares, axis=0)
        return scores

    return ask


def _exported(weights: Sequence[Path]) -> Ask:
    """A function to the mean answer of exported networks; each core has its own graphs, as one thread may use one at a time."""
    threads = cores()
    each_thread_has = [[LiteRtClassifier(each) for each in weights] for _ in range(threads)]

    def mean(classifiers: Sequence[LiteRtClassifier], faces: Image) -> Scores:
        scores: Scores = np.mean([each.classify(resized(faces, each.size)) for each in classifiers], axis=0)
        return scores

    def ask(batch: Image) -> Scores:
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(mean, each_thread_has, np.array_split(batch[..., 0], threads))))

    return ask


def _checkpoints(checkpoints: Sequence[Path], size: int, precision: str) -> Ask:
    """A function to the mean answer of Keras networks, joined into one network."""
    faces = keras.Input((size, size, 1))
    answers = []
    for number, checkpoint in enumerate(checkpoints):
        teacher = in_precision(load_classifier(checkpoint), precision)
        teacher.name = f"teacher_{number}"
        own = teacher.input_shape[1]
        seen = faces if own == size else keras.layers.Resizing(own, own, antialias=True)(faces)
        answers.append(teacher(seen, training=False))
    network = keras.Model(faces, keras.layers.Average()(answers) if len(answers) > 1 else answers[0])
    network.trainable = False

    def ask(batch: Image) -> Scores:
        scores: Scores = network.predict_on_batch(batch)
        return scores

    return ask
