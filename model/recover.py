"""Training on from a network that is there as a .tflite file alone."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
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
    steps = _steps(exported)
    try:
        for layer in network.layers:
            if isinstance(layer, keras.layers.Conv2D):
                layer.set_weights([_of(steps, layer.name)[0].transpose(1, 2, 3, 0)])
            elif isinstance(layer, keras.layers.Dense):
                kernel, bias = _of(steps, layer.name)
                layer.set_weights([kernel.T, bias])
            elif isinstance(layer, keras.layers.BatchNormalization):
                _, bias = _of(steps, layer.name.removesuffix("_normalised"))
                one = np.ones_like(bias)
                layer.set_weights([one, bias, 0 * bias, one - layer.epsilon])
    except (LookupError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelUnusable(f"{exported} does not hold the weights of {network.name}: {reason}") from error
    _normalise(network, faces[:FACES])


def _steps(exported: Path) -> dict[str, tuple[Weights, Weights]]:
    """The weights and the bias of each convolution and dense layer, by the name that the weights have in the file."""
    try:
        # half floats become floats only while the graph runs, and only where no delegate takes them
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(str(exported), experimental_op_resolver_type=plain, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        raise ModelUnusable(f"{exported} is not a graph that LiteRT can run") from error
    details: dict[int, Any] = {-1: None} | {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    found: dict[str, tuple[Weights, Weights]] = {}
    for step in interpreter._get_ops_details():  # biases have names that tell nothing
        if step["op_name"] in ("CONV_2D", "FULLY_CONNECTED"):
            _, kernel, bias = (details[index] for index in step["inputs"])
            weights = _floats(interpreter, kernel)
            # a bias of nothing but zeros is left out
            found[kernel["name"]] = weights, np.zeros(len(weights), np.float32) if bias is None else _floats(interpreter, bias)
    return found


def _floats(interpreter: Interpreter, detail: dict[str, Any]) -> Weights:
    """What the numbers of a tensor stand for, which has a scale for each of its first dimension's entries or none."""
    values: Weights = interpreter.get_tensor(detail["index"]).astype(np.float32)
    scales = detail["quantization_parameters"]["scales"]
    return values * scales.reshape(-1, *[1] * (values.ndim - 1)) if len(scales) else values


def _of(steps: dict[str, tuple[Weights, Weights]], layer: str) -> tuple[Weights, Weights]:
    for name, step in steps.items():
        if f"/{layer}_1/" in name:
            return step
    raise LookupError(f"no {layer} is in it")


def _normalise(network: keras.Model, faces: Image) -> None:
    """Let each normalisation really normalise, and undo it at once, so that the network answers as before."""
    pairs = [(layer, layer.input) for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = keras.Model(network.input, [entry for _, entry in pairs])
    answers = before.predict(resized(faces, network.input_shape[1])[..., None].astype(np.float32), batch_size=128, verbose=0)
    for (layer, _), answer in zip(pairs, answers, strict=True):
        gamma, beta, _, _ = layer.get_weights()
        mean, variance = answer.mean(axis=(0, 1, 2)), answer.var(axis=(0, 1, 2))
        layer.set_weights([gamma * np.sqrt(variance + layer.epsilon), beta + mean, mean, variance])
