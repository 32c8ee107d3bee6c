"""Writes a network as .tflite, in integers or half floats."""

import tempfile
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from model.errors import ModelUnusable
from model.faces import Image
from model.packing import BLOCK, packed

Arithmetic = Literal["static int8", "dynamic int8", "float16"]
"""Weights and activations in int8; weights in int8, with activations quantised anew for each face; half floats."""

SAMPLE = 400
"""Faces that the ranges of static int8 are measured on."""


def convert(network: keras.Model, arithmetic: Arithmetic = "float16", faces: Image | None = None) -> bytes:
    """The network as .tflite, from grey faces (n, size, size, 1) uint8 to probabilities (n, 7) float32.

    Static int8 needs `faces` (m, size, size) like those it will see, to measure the ranges of its layers. Raises
    ModelUnusable without them, or if the temporary folder cannot be written to.
    """
    with tempfile.TemporaryDirectory() as folder:
        _save(network, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if arithmetic == "static int8":
            if faces is None:
                raise ModelUnusable(f"{network.name} cannot be written as static int8 without faces to measure its layers on")
            return _static(converter, faces)
        if arithmetic == "float16":
            converter.target_spec.supported_types = [tf.float16]
        content: bytes = converter.convert()
    return content


def _save(network: keras.Model, folder: str) -> None:
    """Save it as a SavedModel: converting the Keras model directly would print to standard output."""
    try:
        _taking_pixels(network).export(folder, format="tf_saved_model", verbose=False)
    except tf.errors.OpError as error:
        reason = error.message.splitlines()[0].rpartition("; ")[2]
        raise ModelUnusable(f"{folder} cannot be written to: {reason}") from error


def _taking_pixels(network: keras.Model) -> keras.Model:
    faces = keras.Input(network.input_shape[1:], dtype="uint8", name="faces")
    return keras.Model(faces, _with_packed_stem(network)(keras.ops.cast(faces, "float32"), training=False))


def _with_packed_stem(network: keras.Model) -> keras.Model:
    """A copy whose first convolution goes over blocks of pixels, if it has stride 2; otherwise the network itself.

    Measured on a face_resnet at 80 pixels with one block more than now: 0.66 ms a face instead of 0.75.
    """
    stem = next((layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)), None)
    if stem is None or not _can_be_packed(stem):
        return network
    kernel, *bias = stem.get_weights()
    kernel = packed(kernel)

    def copied(layer: keras.Layer) -> keras.Layer:
        if layer is not stem:
            return type(layer).from_config(layer.get_config())
        return OverBlocks.from_config(layer.get_config() | {"kernel_size": kernel.shape[:2], "strides": (1, 1)})

    copy = keras.models.clone_model(network, clone_function=copied)
    for layer, original in zip(copy.layers, network.layers, strict=True):
        layer.set_weights([kernel, *bias] if original is stem else original.get_weights())
    return copy


def _can_be_packed(layer: keras.Layer) -> bool:
    _, height, width, channels = layer.input.shape
    plain = layer.padding == "same" and layer.strides == (BLOCK, BLOCK) and layer.dilation_rate == (1, 1)
    square = height == width and height % BLOCK == 0 and layer.kernel_size[0] == layer.kernel_size[1] >= BLOCK
    return bool(plain and square and channels == 1)


class OverBlocks(keras.layers.Conv2D):  # type: ignore[misc]  # keras is untyped
    """A convolution over blocks of two by two grey pixels (n, h, w, 1), row by row in each."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel for blocks."""
        super().build(_in_blocks(input_shape))
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: 1})

    def call(self, pictures: Any) -> Any:
        """The convolution of the blocks, (n, h/2, w/2, filters)."""
        return super().call(tf.nn.space_to_depth(pictures, BLOCK))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
        """The shape of the result."""
        return super().compute_output_shape(_in_blocks(input_shape))


def _in_blocks(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    count, height, width, channels = shape
    return count, height // BLOCK, width // BLOCK, channels * BLOCK * BLOCK


def _static(converter: Any, faces: Image) -> bytes:
    """Weights (one scale per channel) and activations in int8 (Jacob et al., arXiv 1712.05877); the softmax stays in float.

    Measured: 1.37 ms a face instead of 1.59 with dynamic int8, since no ranges need measuring at each face. A softmax in
    int8 could give only 256 different confidences.
    """

    def sample() -> Iterator[list[Image]]:
        for face in _spanning(faces[:SAMPLE]):
            yield [face[None, ..., None]]

    converter.representative_dataset = sample
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=["SOFTMAX"])
    with warnings.catch_warnings():
        # the debugger is the only public way to leave an operation out, and it warns about the interpreter that it uses
        warnings.simplefilter("ignore")
        debugger = tf.lite.experimental.QuantizationDebugger(converter=converter, debug_dataset=sample, debug_options=options)
    content: bytes = debugger.get_nondebug_quantized_model()
    return content


def _spanning(faces: Image) -> Image:
    """The faces, with the first stretched from black to white, so that the full range of pixels is measured."""
    spanning = faces.copy()
    first = faces[0].astype(np.float32)
    spanning[0] = ((first - first.min()) / max(float(np.ptp(first)), 1.0) * 255).round()
    return spanning
