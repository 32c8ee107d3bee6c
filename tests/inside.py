"""Looks at what a network computes on the way to its answer. Imports keras."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


def features_of(network: Any) -> Any:
    """The network up to its global average pooling."""
    (pooling,) = [layer for layer in network.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    return keras.Model(network.inputs[0], pooling.input)


def means_before_normalisation(network: Any, faces: NDArray[np.uint8]) -> list[tuple[Any, NDArray[np.float32]]]:
    """Each normalisation, and the mean (channels) of its input for the faces (n, h, w)."""
    normalisations = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    entries = keras.Model(network.inputs[0], [layer.input for layer in normalisations])
    answers = entries.predict(faces[..., None].astype(np.float32), verbose=0)
    means = [answer.mean(axis=tuple(range(answer.ndim - 1))) for answer in answers]
    return list(zip(normalisations, means, strict=True))
