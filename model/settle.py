"""Measuring the statistics of batch normalisation anew once a training is over.

The running statistics of a training are those of its last few jittered batches. What the finished network is fed are
faces as they are, and their statistics over some thousands of them suit it better (Wu and Johnson, arXiv 2105.07576).
"""

import keras
import numpy as np

from model.dataset import Split, resized

FACES = 8192
BATCH = 128


def settle(network: keras.Model, training: Split, seed: int) -> None:
    """Replace the normalisation's statistics in a sequential network by those of up to `FACES` training faces."""
    rows = np.random.default_rng(seed).permutation(len(training))[:FACES]
    faces = resized(training.pixels[rows], network.input_shape[1])[..., None].astype(np.float32)
    for number, start in enumerate(range(0, len(faces), BATCH)):
        _measure(network, faces[start : start + BATCH], weight=1 / (number + 1))


def _measure(network: keras.Model, faces: np.ndarray, weight: float) -> None:
    """Take one batch into the statistics, which are the mean over the batches so far."""
    values = faces
    for layer in network.layers:
        normalises = isinstance(layer, keras.layers.BatchNormalization)
        if normalises:
            usual, layer.momentum = layer.momentum, 1 - weight
        values = layer(values, training=normalises)
        if normalises:
            layer.momentum = usual
