"""Measuring the statistics of batch normalisation anew once a training is over.

The running statistics of a training are those of its last few jittered batches. What the finished network is fed are
faces as they are, and their statistics over some thousands of them suit it better (Wu and Johnson, arXiv 2105.07576).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

from model.dataset import Split, resized

FACES = 8192
BATCH = 128


def settle(network: keras.Model, training: Split, seed: int) -> None:
    """Replace the normalisation's statistics by those of up to `FACES` training faces, without jitter or dropout."""
    rows = np.random.default_rng(seed).permutation(len(training))[:FACES]
    faces = resized(training.pixels[rows], network.input_shape[1])[..., None].astype(np.float32)
    with _measuring(network) as normalisations:
        for number, start in enumerate(range(0, len(faces), BATCH)):
            for layer in normalisations:
                # the mean over the batches so far
                layer.momentum = 1 - 1 / (number + 1)
            network(faces[start : start + BATCH], training=True)


@contextmanager
def _measuring(network: keras.Model) -> Iterator[list[keras.layers.BatchNormalization]]:
    """The network's normalisations, with dropout switched off meanwhile, and all as before afterwards."""
    dropouts = [layer for layer in network.layers if isinstance(layer, keras.layers.Dropout)]
    normalisations = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    rates, momenta = [layer.rate for layer in dropouts], [layer.momentum for layer in normalisations]
    for layer in dropouts:
        layer.rate = 0.0
    yield normalisations
    for layer, rate in zip(dropouts, rates, strict=True):
        layer.rate = rate
    for layer, momentum in zip(normalisations, momenta, strict=True):
        layer.momentum = momentum
