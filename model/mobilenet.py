"""Starts a `mobile_cnn` from a MobileNet that was trained on faces."""

import json
from pathlib import Path

import keras

from model.errors import ModelUnusable, first_line
from model.faces import Image
from model.recover import Weights, give_convolution, normalise_all
from model.tfjs import read_weights

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def begin_from_mobilenet(network: keras.Model, path: Path, faces: Image) -> None:
    """Give a `mobile_cnn` the convolutions of a TensorFlow.js MobileNet whose normalisations were folded into them.

    The network then computes the same features as the MobileNet: each normalisation gets statistics measured on `faces`
    (n, h, w) uint8, and a scale and shift that undo them. Each kernel is scaled like a fresh one, so that one learning rate
    suits them all. The head stays as it is. Raises ModelUnusable for a file that holds no such MobileNet.
    """
    try:
        _begin(network, _convolutions(path), faces)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelUnusable(f"{path} is no MobileNet to begin {network.name} from: {first_line(error)}") from error


def _convolutions(path: Path) -> list[tuple[Weights, Weights]]:
    """Kernel and shift of each convolution, in the order of the graph; the scale of its channels is folded into the kernel."""
    described = json.loads(path.read_text())
    known = read_weights(path, described["weightsManifest"])
    nodes = described["modelTopology"]["node"]
    reads = {node["input"][0]: node for node in nodes if node.get("input")}
    found = []
    for node in nodes:
        if node["op"] not in ("Conv2D", "DepthwiseConv2dNative"):
            continue
        kernel, after = known[node["input"][1]], reads[node["name"]]
        if node["op"] == "DepthwiseConv2dNative":
            kernel = kernel[..., 0]
        if after["op"] == "Mul":
            kernel, after = kernel * known[after["input"][1]], reads[after["name"]]
        found.append((kernel, known[after["input"][1]]))
    return found


def _begin(network: keras.Model, given: list[tuple[Weights, Weights]], faces: Image) -> None:
    convolutions = [layer for layer in network.layers if isinstance(layer, CONVOLUTIONS)]
    if len(given) < len(convolutions):
        raise ValueError(f"it has {len(given)} convolutions, and {network.name} {len(convolutions)}")
    kernel, shift = given[0]
    # it took three colours, which are equal in a grey face, and did not divide them by 64
    stem = (64 * kernel.sum(axis=2, keepdims=True), shift)
    for layer, (kernel, shift) in zip(convolutions, [stem, *given[1:]], strict=False):  # the last of those given are left out
        give_convolution(network, layer.name, kernel, 1.0, shift)
    normalise_all(network, faces)
