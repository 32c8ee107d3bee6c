"""Training on from a network that is there as a .tflite file alone."""

from pathlib import Path

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from model.dataset import resized
from model.errors import ModelUnusable
from model.faces import Image

Weights = NDArray[np.float32]
FACES = 2048


def recover(network: keras.Model, exported: Path, faces: Image) -> None:
    """Give a `residual_cnn` the weights of one that was exported, whose normalisations went into the convolutions.

    They come out again so that they change nothing at first, by what the convolutions answer to `faces` (n, h, w) uint8.
    Raises ModelUnusable if the file holds no such network.
    """
    constants = _constants(exported)
    try:
        for layer in network.layers:
            if isinstance(layer, keras.layers.Conv2D):
                layer.set_weights([_found(constants, f"/{layer.name}_1/convolution", 4).transpose(1, 2, 3, 0)])
            elif isinstance(layer, keras.layers.Dense):
                kernel = _found(constants, f"/{layer.name}_1/MatMul", 2).T
                layer.set_weights([kernel, _found(constants, f"/{layer.name}_1/BiasAdd", 1)])
            elif isinstance(layer, keras.layers.BatchNormalization):
                bias = _found(constants, f"/{layer.name}_1/batchnorm", 1)
                one = np.ones_like(bias)
                layer.set_weights([one, bias, 0 * bias, one - layer.epsilon])
    except (KeyError, ValueError) as error:
        raise ModelUnusable(f"{exported} does not hold the weights of {network.name}: {error}") from error
    _normalise(network, faces[:FACES])


def _constants(exported: Path) -> dict[str, Weights]:
    """The constant tensors of a file by name, as the floats that they stand for."""
    try:
        interpreter = Interpreter(str(exported))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelUnusable(f"{exported} is not a graph that LiteRT can run") from error
    found: dict[str, Weights] = {}
    for detail in interpreter.get_tensor_details():
        if detail["dtype"] not in (np.float32, np.int8) or not len(detail["shape"]):
            continue
        try:
            values = interpreter.get_tensor(detail["index"])
        except ValueError:  # it holds something only while the graph runs
            continue
        scales = detail["quantization_parameters"]["scales"]
        found[detail["name"]] = values * scales.reshape(-1, *[1] * (values.ndim - 1)) if len(scales) else values
    return found


def _found(constants: dict[str, Weights], part: str, dimensions: int) -> Weights:
    for name, values in constants.items():
        if part in name and values.ndim == dimensions:
            return values
    raise KeyError(part)


def _normalise(network: keras.Model, faces: Image) -> None:
    """Let each normalisation really normalise, and undo it at once, so that the network answers as before."""
    pairs = [(layer, layer.input) for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = keras.Model(network.input, [entry for _, entry in pairs])
    answers = before.predict(resized(faces, network.input_shape[1])[..., None].astype(np.float32), batch_size=128, verbose=0)
    for (layer, _), answer in zip(pairs, answers, strict=True):
        gamma, beta, _, _ = layer.get_weights()
        mean, variance = answer.mean(axis=(0, 1, 2)), answer.var(axis=(0, 1, 2))
        layer.set_weights([gamma * np.sqrt(variance + layer.epsilon), beta + mean, mean, variance])
