"""Starting from dlib's face recognition network: at first the new network sees what that one sees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.dataset import resized
from model.errors import ModelUnusable
from tests.synthetic import synthetic_split

keras = pytest.importorskip("keras", reason="networks are built with tensorflow, extra `train`")

from model.dlib_resnet import begin_from_dlib_resnet  # noqa: E402  # it imports keras
from model.networks import face_resnet  # noqa: E402
from model.tfjs import read_weights  # noqa: E402
from tests.inside import features_of, means_before_normalisation  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]
SIZE = 64
FACES = synthetic_split(70, seed=3).pixels
Weights = dict[str, NDArray[np.float32]]
BLOCKS = [
    *("conv32_1", "conv32_2", "conv32_3", "conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2", "conv256_down", "conv256_1"),
]
"""The blocks of dlib's network in order, except the last two."""


def filters_in(name: str) -> int:
    return int(name.removeprefix("conv").partition("_")[0])


def written(path: Path, seed: int = 1) -> Path:
    """Weights like dlib's, as face-api keeps them: the larger ones as floats, the others in 8 bits."""
    chance, told, content = np.random.default_rng(seed), list[dict[str, Any]](), bytearray()

    def keep(name: str, values: NDArray[Any]) -> None:
        described: dict[str, Any] = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        if "conv64" in name and "filters" in name:
            content.extend(values.astype(np.float32).tobytes())
        else:
            least, step = float(values.min()), float(np.ptp(values)) / 255 or 1.0
            described["quantization"] = {"dtype": "uint8", "min": least, "scale": step}
            content.extend(((values - least) / step).round().astype(np.uint8).tobytes())
        told.append(described)

    def keep_convolution(name: str, kernel: int, before: int, filters: int) -> None:
        keep(f"{name}/conv/filters", chance.standard_normal((kernel, kernel, before, filters)) / (kernel * before**0.5))
        keep(f"{name}/conv/bias", 0.1 * chance.standard_normal(filters))
        keep(f"{name}/scale/weights", chance.uniform(0.5, 1.5, filters))
        keep(f"{name}/scale/biases", 0.3 * chance.standard_normal(filters))

    keep_convolution("conv32_down", 7, 3, 32)
    before = 32
    for name in BLOCKS:
        keep_convolution(f"{name}/conv1", 3, before, filters_in(name))
        keep_convolution(f"{name}/conv2", 3, filters_in(name), filters_in(name))
        before = filters_in(name)
    path.with_suffix(".bin").write_bytes(content)
    path.write_text(json.dumps([{"paths": [path.with_suffix(".bin").name], "weights": told}]))
    return path


def seen_by(weights: Weights, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What dlib's network computes for grey faces (n, h, w) that are given to it as colour pictures."""

    def convolved(values: Any, name: str, stride: int = 1) -> Any:
        values = keras.ops.conv(values, weights[f"{name}/conv/filters"], stride, "same") + weights[f"{name}/conv/bias"]
        return values * weights[f"{name}/scale/weights"] + weights[f"{name}/scale/biases"]

    colours = np.repeat(faces[..., None].astype(np.float32), 3, axis=3)
    values = (colours - np.array([122.782, 117.001, 104.298], np.float32)) / 256
    values = keras.ops.relu(convolved(values, "conv32_down", 2))
    values = keras.ops.max_pool(values, 3, 2, "same")
    for name in BLOCKS:
        smaller = name.endswith("down")
        inner = keras.ops.relu(convolved(values, f"{name}/conv1", 2 if smaller else 1))
        inner = convolved(inner, f"{name}/conv2")
        if smaller:
            values = keras.ops.average_pool(values, 2, 2)
            values = keras.ops.concatenate([values, keras.ops.zeros_like(values)], axis=3)
        values = keras.ops.relu(values + inner)
    return np.asarray(keras.ops.convert_to_numpy(values))


def test_the_network_sees_in_grey_faces_what_the_face_recognition_saw(tmp_path: Path) -> None:
    path = written(tmp_path / "recognition.json")
    network, faces = face_resnet(SIZE), resized(FACES[:8], SIZE)
    begin_from_dlib_resnet(network, path, FACES)
    wanted = seen_by(read_weights(path, json.loads(path.read_text())), faces)
    assert wanted.std() > 0.3, "a network that sees nothing would prove nothing"
    seen = features_of(network)(faces[..., None].astype(np.float32), training=False).numpy()
    # one pads grey with zeros, the other colours, whose zero is another grey; the difference reaches two pixels from the border
    assert np.corrcoef(seen.ravel(), wanted.ravel())[0, 1] > 0.999
    assert np.abs(seen - wanted).mean() < 0.02 * wanted.std()


def test_its_normalisations_normalise_and_its_kernels_have_the_size_of_fresh_ones(tmp_path: Path) -> None:
    network = face_resnet(SIZE)
    begin_from_dlib_resnet(network, written(tmp_path / "recognition.json"), FACES)
    kernel = network.get_layer("stage_2_a_first").get_weights()[0]
    assert np.sqrt(np.square(kernel).mean()) == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.01)
    for layer, mean in means_before_normalisation(network, resized(FACES, SIZE)):
        assert layer.moving_mean.numpy() == pytest.approx(mean, rel=0.01, abs=0.01)
        assert layer.moving_variance.numpy().std() > 0


def test_it_stays_below_five_million_parameters_whatever_the_size_of_the_faces() -> None:
    assert face_resnet(64).count_params() == face_resnet(80).count_params() == 3_265_447


def test_a_file_that_holds_no_such_face_recognition_is_refused_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path / "recognition.json")
    (tmp_path / "text.json").write_text("no weights")
    with pytest.raises(ModelUnusable, match=r"text\.json holds no face recognition to begin face_resnet from: Expecting value"):
        begin_from_dlib_resnet(face_resnet(SIZE), tmp_path / "text.json", FACES)
    told = json.loads(path.read_text())
    told[0]["weights"] = told[0]["weights"][:40]
    (tmp_path / "short.json").write_text(json.dumps(told))
    with pytest.raises(ModelUnusable, match=r"short\.json holds no face recognition .*: no conv64_1/conv2/conv/filters is"):
        begin_from_dlib_resnet(face_resnet(SIZE), tmp_path / "short.json", FACES)
    path.with_suffix(".bin").write_bytes(b"short")
    with pytest.raises(ModelUnusable, match=r"recognition\.json holds no face recognition to begin face_resnet from: buffer"):
        begin_from_dlib_resnet(face_resnet(SIZE), path, FACES)
