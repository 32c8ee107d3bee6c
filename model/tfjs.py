"""Reads networks of TensorFlow.js: a JSON file with the graph, and its weights in files beside it."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from model.errors import ModelUnusable, first_line

Node = dict[str, Any]
Tensor = Any


def read_tfjs(path: Path) -> keras.Model:
    """The convolutional network in a TensorFlow.js graph with one input (n, height, width, channels) and one output.

    The format is that of https://github.com/tensorflow/tfjs/tree/master/tfjs-converter. Raises ModelUnusable for a file
    that is not such a graph, for missing weights, and for operations other than those of plain convolutional networks.
    """
    try:
        described = json.loads(path.read_text())
        return _network(described["modelTopology"]["node"], read_weights(path, described["weightsManifest"]))
    # the network is built step by step from what the file says, so anything wrong in it raises one of these
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelUnusable(f"{path} is no graph of TensorFlow.js that can be run here: {first_line(error)}") from error


def _network(nodes: list[Node], known: dict[str, Tensor]) -> keras.Model:
    (entry,) = [node for node in nodes if node["op"] == "Placeholder"]
    if unknown := {node["op"] for node in nodes} - {*_OPERATIONS, "Placeholder", "Const"}:
        raise ValueError(f"operations that are not known: {', '.join(sorted(unknown))}")
    pictures = keras.Input([int(each["size"]) for each in entry["attr"]["shape"]["shape"]["dim"][1:]])
    result = known[entry["name"]] = pictures
    for node in nodes:  # they are in an order in which they can be run
        if node["op"] in _OPERATIONS:
            result = known[node["name"]] = _OPERATIONS[node["op"]](node["attr"], *(known[name] for name in node["input"]))
    return keras.Model(pictures, result)


def read_weights(path: Path, manifest: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """The weights that a graph's manifest names, in the files beside it, by name; raises OSError, ValueError and LookupError."""
    found: dict[str, NDArray[Any]] = {}
    for group in manifest:
        content, start = b"".join((path.parent / name).read_bytes() for name in group["paths"]), 0
        for weight in group["weights"]:
            smaller = weight.get("quantization", {})
            values = np.frombuffer(content, smaller.get("dtype", weight["dtype"]), int(np.prod(weight["shape"])), start)
            start += values.nbytes
            if "scale" in smaller:  # quantised to 8 or 16 bits, as steps from the smallest value
                values = values * smaller["scale"] + smaller["min"]
            found[weight["name"]] = values.astype(weight["dtype"]).reshape(weight["shape"])
    return found


def _convolution(attributes: Node, pictures: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    result = keras.ops.conv(pictures, kernel, **_steps(attributes)) + bias
    match [_text(each) for each in attributes["fused_ops"]["list"]["s"]]:
        case ["BiasAdd"]:
            return result
        case ["BiasAdd", "Relu"]:
            return keras.ops.relu(result)
        case fused:
            raise ValueError(f"a convolution with {' and '.join(fused)}")


def _depthwise(attributes: Node, pictures: Tensor, kernel: Tensor) -> Tensor:
    return keras.ops.depthwise_conv(pictures, kernel, **_steps(attributes))


def _largest(attributes: Node, pictures: Tensor) -> Tensor:
    _, height, width, _ = map(int, attributes["ksize"]["list"]["i"])
    return keras.ops.max_pool(pictures, (height, width), **_steps(attributes))


def _mean(attributes: Node, values: Tensor, axes: Tensor) -> Tensor:
    return keras.ops.mean(values, axis=tuple(int(axis) for axis in axes), keepdims=attributes["keep_dims"]["b"])


def _steps(attributes: Node) -> dict[str, Any]:
    # a pooling has no dilations
    dilations = attributes.get("dilations", {"list": {"i": ["1"]}})["list"]["i"]
    if _text(attributes["data_format"]["s"]) != "NHWC" or set(map(int, dilations)) != {1}:
        raise ValueError("an operation on channels first, or on pixels that are apart")
    _, down, right, _ = map(int, attributes["strides"]["list"]["i"])
    return {"strides": (down, right), "padding": _text(attributes["padding"]["s"]).lower()}


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "_FusedConv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "MaxPool": _largest,
    "AddV2": lambda _, one, other: one + other,
    "Relu": lambda _, values: keras.ops.relu(values),
    "Mean": _mean,
    "Softmax": lambda _, values: keras.ops.softmax(values),
    "Identity": lambda _, values: values,
}
