"""Starts a `face_resnet` from dlib's face recognition network, as face-api ships it."""

import json
from pathlib import Path

import keras
import numpy as np

from model.errors import ModelUnusable, first_line
from model.faces import Image
from model.recover import Weights, give_convolution, normalise_all
from model.tfjs import read_weights

MEAN_RGB = np.array([122.782, 117.001, 104.298], np.float32)
SHARE = 1 / 256
"""It takes colours minus these means, divided by 256."""

GREY_MEAN, GREY_SHARE = 117.0, 1 / 64
"""`face_resnet` takes a grey face minus this mean, divided by 64."""

BLOCKS = (
    *("conv32_1", "conv32_2", "conv32_3", "conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2", "conv256_down", "conv256_1"),
)
"""face-api's names for the blocks of `face_resnet`, in their order."""


def begin_from_dlib_resnet(network: keras.Model, path: Path, faces: Image) -> None:
    """Give a `face_resnet` the convolutions of dlib's face recognition network (King 2017).

    `path` is the `face_recognition_model-weights_manifest.json` of face-api (npm, MIT), which has dlib's weights (CC0)
    in 8 bits. The network then computes the same features as dlib's, except at the borders, if its size is divisible by 32;
    otherwise a stage of odd width is shifted by one place. The statistics of its normalisations are measured on `faces`
    (n, h, w) uint8; its head stays as it is. Raises ModelUnusable for a file that holds no such weights.
    """
    try:
        known = read_weights(path, json.loads(path.read_text()))
        give_convolution(network, "stem", *_seeing_grey(*_convolution(known, "conv32_down")))
        here = [layer.name.removesuffix("_first") for layer in network.layers if layer.name.endswith("_first")]
        for block, given in zip(here, BLOCKS, strict=True):
            first = _convolution(known, f"{given}/conv1")
            give_convolution(network, f"{block}_first", *first)
            give_convolution(network, f"{block}_second", *_convolution(known, f"{given}/conv2"))
            if given.endswith("_down"):
                give_convolution(network, f"{block}_shortcut", *_filling_up(*first[0].shape[2:]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelUnusable(f"{path} holds no face recognition to begin {network.name} from: {first_line(error)}") from error
    normalise_all(network, faces)


def _convolution(known: dict[str, Weights], name: str) -> tuple[Weights, Weights, Weights]:
    """A kernel, and the scale and shift of its output channels."""
    parts = [f"{name}/{part}" for part in ("conv/filters", "conv/bias", "scale/weights", "scale/biases")]
    if missing := [part for part in parts if part not in known]:
        raise LookupError(f"no {missing[0]} is in it")
    kernel, bias, scale, shift = (known[part] for part in parts)
    return kernel, scale, bias * scale + shift


def _seeing_grey(kernel: Weights, scale: Weights, shift: Weights) -> tuple[Weights, Weights, Weights]:
    """The first convolution, for a grey face instead of three equal colours."""
    offset = (kernel * ((GREY_MEAN - MEAN_RGB) * SHARE)[:, None]).sum(axis=(0, 1, 2))
    return kernel.sum(axis=2, keepdims=True) * (SHARE / GREY_SHARE), scale, shift + scale * offset


def _filling_up(channels: int, filters: int) -> tuple[Weights, float, Weights]:
    """A convolution that passes on the channels and adds channels of zeros."""
    return np.eye(channels, filters, dtype=np.float32)[None, None], 1.0, np.zeros(filters, np.float32)
