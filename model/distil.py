"""Teachers that a network learns from while it is trained: they are asked about the very faces that it sees.

A small network that follows larger ones, on faces that are jittered and blended without end, comes nearer to them than one
that is told once what they see in each face (Hinton et al., arXiv 1503.02531; Beyer et al., arXiv 2106.05237).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from model.faces import Image
from model.networks import in_precision, load_classifier

Scores = NDArray[np.float32]


def together(checkpoints: Sequence[Path], size: int, precision: str) -> Callable[[Image], Scores]:
    """What turns faces (n, size, size, 1) uint8 into the mean of the teachers' probabilities (n, 7).

    A teacher of another size sees them resized. Raises ModelUnusable for a file that is no network of ours.
    """
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
