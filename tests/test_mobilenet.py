"""Starting from a MobileNet trained on faces: at first the new network sees what that one sees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import ModelUnusable
from tests.synthetic import synthetic_split

keras = pytest.importorskip("keras", reason="networks are built with tensorflow, extra `train`")

from model.mobilenet import begin_from_mobilenet  # noqa: E402  # it imports keras
from model.networks import MOBILE_BLOCKS, mobile_cnn  # noqa: E402
from model.tfjs import read_weights  # noqa: E402
from tests.inside import features_of, means_before_normalisation  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]
SIZE = 48
FACES = synthetic_split(70, seed=3).pixels
Weights = dict[str, NDArray[np.float32]]


def given_weights(seed: int = 1) -> Weights:
    """Kernels, scales and shifts of a MobileNet on colours, which half-precision floats can hold exactly."""
    chance, weights = np.random.default_rng(seed), Weights()

    def kernel(name: str, *shape: int, size: float) -> None:
        weights[name] = (size * chance.standard_normal(shape)).astype(np.float16).astype(np.float32)

    kernel("stem/kernel", 3, 3, 3, 32, size=0.003)
    kernel("stem/shift", 32, size=0.3)
    before = 32
    for number, (filters, _) in enumerate(MOBILE_BLOCKS, 1):
        kernel(f"{number}/depthwise", 3, 3, before, 1, size=0.5)
        kernel(f"{number}/scale", before, size=1.0)
        kernel(f"{number}/depthwise_shift", before, size=0.3)
        kernel(f"{number}/pointwise", 1, 1, before, filters, size=1.5 / before**0.5)
        kernel(f"{number}/shift", filters, size=0.3)
        before = filters
    return weights


def written(weights: Weights, path: Path) -> Path:
    """The weights as TensorFlow.js stores them, at half the size, and the graph that they belong to."""
    nodes: list[dict[str, Any]] = [{"op": "Placeholder", "name": "faces"}]

    def step(operation: str, *inputs: str) -> None:
        nodes.append({"op": operation, "name": f"step_{len(nodes)}", "input": [nodes[-1]["name"], *inputs]})

    step("Conv2D", "stem/kernel")
    step("Add", "stem/shift")
    step("Relu")
    for number in range(1, len(MOBILE_BLOCKS) + 1):
        step("DepthwiseConv2dNative", f"{number}/depthwise")
        step("Mul", f"{number}/scale")
        step("Add", f"{number}/depthwise_shift")
        step("Relu")
        step("Conv2D", f"{number}/pointwise")
        step("Add", f"{number}/shift")
        step("Relu")
    told = [
        {"name": name, "shape": list(values.shape), "dtype": "float32", "quantization": {"dtype": "float16"}}
        for name, values in weights.items()
    ]
    path.with_suffix(".bin").write_bytes(b"".join(values.astype(np.float16).tobytes() for values in weights.values()))
    manifest = [{"paths": [path.with_suffix(".bin").name], "weights": told}]
    path.write_text(json.dumps({"modelTopology": {"node": nodes}, "weightsManifest": manifest}))
    return path


def seen_by(weights: Weights, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the MobileNet itself computes for grey faces (n, h, w) that are given to it as colour pictures."""

    def seen(values: Any, shift: str) -> Any:
        return keras.ops.clip(values + weights[shift], 0, 6)

    values = np.repeat(faces[..., None].astype(np.float32) - 117, 3, axis=3)
    values = seen(keras.ops.conv(values, weights["stem/kernel"], 2, "same"), "stem/shift")
    for number, (_, stride) in enumerate(MOBILE_BLOCKS, 1):
        values = keras.ops.depthwise_conv(values, weights[f"{number}/depthwise"], stride, "same") * weights[f"{number}/scale"]
        values = seen(values, f"{number}/depthwise_shift")
        values = seen(keras.ops.conv(values, weights[f"{number}/pointwise"], 1, "same"), f"{number}/shift")
    return np.asarray(keras.ops.convert_to_numpy(values))


def test_the_network_sees_in_grey_faces_what_the_mobilenet_saw(tmp_path: Path) -> None:
    weights, network = given_weights(), mobile_cnn(SIZE)
    begin_from_mobilenet(network, written(weights, tmp_path / "faces.json"), FACES)
    wanted = seen_by(weights, FACES[:8])
    assert wanted.std() > 0.5, "a network that sees nothing would prove nothing"
    seen = features_of(network)(FACES[:8, ..., None].astype(np.float32), training=False).numpy()
    assert seen == pytest.approx(wanted, abs=0.01)


def test_weights_in_eight_bits_are_read_as_what_they_stand_for(tmp_path: Path) -> None:
    steps = np.array([0, 64, 255], np.uint8)
    (tmp_path / "net.bin").write_bytes(steps.tobytes() * 2)
    told = {"shape": [3], "quantization": {"dtype": "uint8", "min": -1.0, "scale": 2 / 255}}
    weights = [{"name": "kernel", "dtype": "float32", **told}, {"name": "more", "dtype": "float32", **told}]
    read = read_weights(tmp_path / "net.json", [{"paths": ["net.bin"], "weights": weights}])
    assert read["kernel"] == pytest.approx([-1, -0.498, 1], abs=0.001) and read["more"].tolist() == read["kernel"].tolist()


def test_its_normalisations_normalise_and_its_kernels_have_the_size_of_fresh_ones(tmp_path: Path) -> None:
    network = mobile_cnn(SIZE)
    begin_from_mobilenet(network, written(given_weights(), tmp_path / "faces.json"), FACES)
    for layer, mean in means_before_normalisation(network, FACES):
        assert layer.moving_mean.numpy() == pytest.approx(mean, rel=0.01, abs=0.01)
    kernel = network.get_layer("block_5_pointwise").get_weights()[0]
    assert np.sqrt(np.square(kernel).mean()) == pytest.approx(np.sqrt(2 / 256), rel=0.01)


def test_a_file_that_is_no_mobilenet_of_that_shape_is_refused_in_one_line(tmp_path: Path) -> None:
    path = written(given_weights(), tmp_path / "faces.json")
    described = json.loads(path.read_text())
    described["modelTopology"]["node"] = described["modelTopology"]["node"][:39]
    (tmp_path / "short.json").write_text(json.dumps(described))
    with pytest.raises(ModelUnusable, match=r"short\.json is no MobileNet .*: it has 11 convolutions, .* 19$"):
        begin_from_mobilenet(mobile_cnn(SIZE), tmp_path / "short.json", FACES)
    (tmp_path / "text.json").write_text("no graph")
    with pytest.raises(ModelUnusable, match=r"text\.json is no MobileNet to begin mobile_cnn from: Expecting value"):
        begin_from_mobilenet(mobile_cnn(SIZE), tmp_path / "text.json", FACES)
    path.with_suffix(".bin").write_bytes(b"short")
    with pytest.raises(ModelUnusable, match=r"faces\.json is no MobileNet to begin mobile_cnn from: buffer"):
        begin_from_mobilenet(mobile_cnn(SIZE), path, FACES)
