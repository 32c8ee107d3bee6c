"""Gets a network that exists only as a .tflite file back into Keras, to train it further."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from model.dataset import fed
from model.errors import ModelUnusable, first_line
from model.faces import Image
from model.packing import BLOCK, unpacked

Weights = NDArray[np.float32]
FACES = 512
"""Enough for the mean and the variance of a layer's inputs; more would take gigabytes."""


def recover(network: keras.Model, exported: Path, faces: Image) -> None:
    """Give one of our networks the weights of an exported one.

    Normalisations that were folded into the layer before or after them are split off again so that at first they change
    nothing; their statistics are measured on `faces` (n, h, w) uint8. Raises ModelUnusable if the file holds no such
    network, and for a network with a backbone.
    """
    if any(isinstance(layer, keras.Model) for layer in network.layers):
        raise ModelUnusable(f"{network.name} cannot begin from {exported}: it has a backbone, which begins from a .keras alone")
    steps = _steps(exported)
    try:
        for layer in network.layers:
            if isinstance(layer, keras.layers.Conv2D):
                kernel, bias = _of(steps, layer.name)
                kernel = kernel.transpose(1, 2, 3, 0)
                if kernel.shape[2] == BLOCK * BLOCK and layer.input.shape[-1] == 1:
                    kernel = unpacked(kernel, layer.kernel_size[0])
                layer.set_weights([kernel, bias][: len(layer.weights)])
            elif isinstance(layer, keras.layers.DepthwiseConv2D):
                kernel, _ = _of(steps, layer.name)
                layer.set_weights([kernel.transpose(1, 2, 3, 0)])
            elif isinstance(layer, keras.layers.Dense):
                kernel, bias = _of(steps, layer.name)
                layer.set_weights([kernel.T, bias])
            elif isinstance(layer, keras.layers.BatchNormalization):
                _only_scale(layer, *_normalisation(steps, layer))
    except (LookupError, ValueError) as error:
        raise ModelUnusable(f"{exported} does not hold the weights of {network.name}: {first_line(error)}") from error
    normalise_all(network, faces)


def _steps(exported: Path) -> dict[str, tuple[Weights, Weights]]:
    """The weights and the bias of each layer that has any, by the weights' name in the file.

    A normalisation that was not folded into another layer counts as two: one that scales, and one that shifts.
    """
    try:
        content = exported.read_bytes()
    except OSError as error:
        raise ModelUnusable(f"{exported} cannot be read: {error.strerror}") from error
    try:
        # half floats become floats only while the graph runs, and only if no delegate takes them over
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(
            model_content=content, experimental_op_resolver_type=plain, experimental_preserve_all_tensors=True
        )
        interpreter.allocate_tensors()
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        raise ModelUnusable(f"{exported} is not a graph that LiteRT can run") from error
    details: dict[int, Any] = {-1: None} | {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    found: dict[str, tuple[Weights, Weights]] = {}
    for step in interpreter._get_ops_details():  # not public, but the names of biases say nothing
        if step["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "ADD"):
            _, kernel, *others = (details[index] for index in step["inputs"])
            bias = others[0] if others else None
            weights = np.atleast_1d(_floats(interpreter, kernel))
            # the file leaves out a bias that is all zeros
            outputs = weights.shape[-1 if step["op_name"] == "DEPTHWISE_CONV_2D" else 0]
            found[kernel["name"]] = weights, np.zeros(outputs, np.float32) if bias is None else _floats(interpreter, bias)
    return found


def _floats(interpreter: Interpreter, detail: dict[str, Any]) -> Weights:
    """The dequantised values of a tensor, which has a scale for each entry along one of its dimensions, or none."""
    values: Weights = interpreter.get_tensor(detail["index"]).astype(np.float32)
    told = detail["quantization_parameters"]
    if not len(told["scales"]):
        return values
    behind = [1] * (values.ndim - 1 - told["quantized_dimension"])
    scales, zeros = (each.reshape(-1, *behind) for each in (told["scales"], told["zero_points"]))
    floats: Weights = (values - zeros) * scales
    return floats.astype(np.float32)


def _of(steps: dict[str, tuple[Weights, Weights]], layer: str, part: str = "") -> tuple[Weights, Weights]:
    for name, step in steps.items():
        if f"/{layer}_1/{part}" in name:
            return step
    raise LookupError(f"no {layer} is in it")


def _normalisation(steps: dict[str, tuple[Weights, Weights]], layer: keras.Layer) -> tuple[Weights, Weights]:
    """What a normalisation multiplies by, and what it adds."""
    try:
        return _of(steps, layer.name, "batchnorm/mul")[0], _of(steps, layer.name, "batchnorm/sub")[0]
    except LookupError:
        _, bias = _of(steps, layer.name.removesuffix("_normalised"))
    # after a ReLU it was folded into the next layer, before one into the bias
    return np.ones_like(bias), 0 * bias if layer.name.startswith("dense") else bias


def normalise_all(network: keras.Model, faces: Image) -> None:
    """Give each normalisation real statistics, and a scale and shift that undo them, so that the network answers as before.

    The statistics are those of its inputs for the first `FACES` of `faces` (n, h, w) uint8.
    """
    faces = faces[:FACES]
    pairs = [(layer, layer.input) for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = keras.Model(network.inputs, [entry for _, entry in pairs])
    answers = before.predict(fed(faces, network.input_shape[1]), batch_size=128, verbose=0)
    for (layer, _), answer in zip(pairs, answers, strict=True):
        gamma, beta, _, _ = layer.get_weights()
        _normalise(layer, answer, gamma, beta)


def _only_scale(layer: keras.Layer, scale: Weights, shift: Weights) -> None:
    """Have a normalisation scale and shift its channels by `scale` and `shift` (channels), and normalise nothing."""
    layer.set_weights([scale, shift, 0 * shift, np.ones_like(shift) - layer.epsilon])


def _normalise(layer: keras.Layer, values: Weights, scale: Weights, shift: Weights) -> None:
    """Give a normalisation the statistics of `values` (n, ..., channels), and parameters that undo them.

    Altogether it then scales its channels by `scale` and shifts them by `shift` (channels).
    """
    others = tuple(range(values.ndim - 1))
    mean, variance = values.mean(axis=others), values.var(axis=others)
    layer.set_weights([scale * np.sqrt(variance + layer.epsilon), shift + scale * mean, mean, variance])


def give_convolution(network: keras.Model, name: str, kernel: Weights, scale: Weights | float, shift: Weights) -> None:
    """Give the convolution of that name a kernel, and the normalisation after it the scale and shift of its channels.

    The kernel is scaled to the size of a fresh one (He et al., arXiv 1502.01852), so that one learning rate suits all of
    them, and `scale` is adjusted to make up for it.
    """
    layer = network.get_layer(name)
    (wanted,) = layer.get_weights()
    into_one = wanted.shape[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else wanted.shape[:3]
    factor = np.float32(np.sqrt(2 / np.prod(into_one) / np.square(kernel).mean()))
    layer.set_weights([(factor * kernel).reshape(wanted.shape)])
    _only_scale(network.get_layer(f"{name}_normalised"), np.broadcast_to(scale / factor, shift.shape), shift)
