"""Measures the statistics of batch normalisation anew once a training is over.

A training's running statistics are those of its last few jittered batches. The finished network gets unjittered faces,
and statistics over some thousands of those suit it better (Wu and Johnson, arXiv 2105.07576).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import keras
import numpy as np
from numpy.typing import NDArray

from model.dataset import Split, fed

FACES = 8192
BATCH = 128

CHECKED_FACES = 2048
"""Enough to judge an epoch by, in a second or two."""


def settle(network: keras.Model, training: Split, seed: int, most: int = FACES) -> None:
    """Replace the normalisation's statistics by those of up to `most` training faces, without jitter or dropout."""
    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in every_layer(network)):
        return
    rows = np.random.default_rng(seed).permutation(len(training))[:most]
    faces = fed(training.pixels[rows], network.input_shape[1])
    with _measuring(network) as normalisations, _without_gradients():
        for start in range(0, len(faces), BATCH):
            batch = faces[start : start + BATCH]
            for layer in normalisations:
                # the mean over the faces so far; the last batch may have fewer
                layer.momentum = start / (start + len(batch))
            network(batch, training=True)


class SwapAveragedWeights(keras.callbacks.SwapEMAWeights):  # type: ignore[misc]  # keras is untyped
    """Swaps in averaged weights (Polyak and Juditsky 1992), and statistics that belong to them, for each validation.

    A training's running statistics belong to its current weights: with them, the averaged weights of an early epoch give
    the same answer to every face. Both are swapped out afterwards, and the training goes on as if nothing had happened.
    """

    def __init__(self, training: Split, seed: int) -> None:
        super().__init__()
        self._training = training
        self._seed = seed
        self._running: list[NDArray[np.float32]] = []

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        super().on_test_begin(logs)
        self._running = [keras.ops.convert_to_numpy(each).copy() for each in self.model.non_trainable_variables]
        settle(self.model, self._training, self._seed, CHECKED_FACES)

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        super().on_test_end(logs)
        for variable, value in zip(self.model.non_trainable_variables, self._running, strict=True):
            variable.assign(value)


@contextmanager
def _measuring(network: keras.Model) -> Iterator[list[keras.layers.BatchNormalization]]:
    """The network's normalisations; dropout is off while the block runs, and everything is as before afterwards."""
    dropouts = [layer for layer in every_layer(network) if isinstance(layer, keras.layers.Dropout)]
    normalisations = [layer for layer in every_layer(network) if isinstance(layer, keras.layers.BatchNormalization)]
    rates, momenta = [layer.rate for layer in dropouts], [layer.momentum for layer in normalisations]
    for layer in dropouts:
        layer.rate = 0.0
    yield normalisations
    for layer, rate in zip(dropouts, rates, strict=True):
        layer.rate = rate
    for layer, momentum in zip(normalisations, momenta, strict=True):
        layer.momentum = momentum


def _without_gradients() -> AbstractContextManager[None]:
    """Keeps torch from recording gradients, which took 16 GB and twice the time for a face_resnet at 96 pixels."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch  # installed only with its backend

    without: AbstractContextManager[None] = torch.no_grad()
    return without


def every_layer(network: keras.Model) -> Iterator[keras.Layer]:
    """The network's layers, including those of networks nested in it, such as a Keras backbone."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from every_layer(layer)
        else:
            yield layer
