"""Training on from a file that was exported: the network answers as the file does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.dataset import resized
from model.errors import ModelUnusable
from tests.synthetic import synthetic_split

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]
SIZE = 16
FACES = synthetic_split(70, seed=3).pixels
CROPS = resized(FACES, SIZE)


@pytest.fixture(scope="module", params=["residual_cnn", "mobile_cnn", "face_resnet", "custom_cnn"])
def network(request: pytest.FixtureRequest) -> Any:
    """A network whose normalisations do something, as after a training."""
    keras = pytest.importorskip("keras", reason="networks need tensorflow, extra `train`")
    from model.networks import NETWORKS

    keras.utils.set_random_seed(1)
    made, chance = NETWORKS[request.param](SIZE), np.random.default_rng(1)
    for layer in made.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            gamma, variance = chance.uniform(0.5, 1.5, shape), chance.uniform(0.5, 1.5, shape)
            layer.set_weights([gamma, chance.uniform(-1, 1, shape), chance.uniform(-0.3, 0.3, shape), variance])
    return made


def answers(network: Any) -> Any:
    return network.predict(CROPS[..., None].astype(np.float32), verbose=0)


@pytest.mark.parametrize("arithmetic", ["static int8", "float16"])
def test_a_recovered_network_answers_nearly_as_the_exported_one(network: Any, arithmetic: Any, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    from model.networks import NETWORKS
    from model.quantise import convert
    from model.recover import recover
    from tests.inside import means_before_normalisation

    (tmp_path / "exported.tflite").write_bytes(convert(network, arithmetic, CROPS))
    recovered = NETWORKS[network.name](SIZE)
    recover(recovered, tmp_path / "exported.tflite", FACES)
    assert answers(recovered) == pytest.approx(answers(network), abs=0.002 if arithmetic == "float16" else 0.05)

    # and its normalisations normalise their inputs
    for layer, mean in means_before_normalisation(recovered, CROPS):
        assert layer.moving_mean.numpy() == pytest.approx(mean, rel=0.05, abs=0.05)


def test_a_file_of_another_network_is_refused_in_one_line(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="the network is taught with tensorflow, extra `train`")
    from model.networks import residual_cnn
    from model.recover import recover

    tiny.exported(tmp_path)
    (file,) = tmp_path.glob("*.tflite")
    with pytest.raises(ModelUnusable, match=r"does not hold the weights of residual_cnn: no stem is in it$"):
        recover(residual_cnn(SIZE), file, FACES)


def test_a_backbone_that_would_begin_from_an_exported_network_is_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="networks need tensorflow, extra `train`")
    from model.networks import vgg16
    from model.recover import recover

    with pytest.raises(ModelUnusable, match=r"^vgg16 cannot begin from .*any\.tflite: it has a backbone"):
        recover(vgg16(32), tmp_path / "any.tflite", FACES)


def test_a_file_that_is_no_graph_is_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="networks need tensorflow, extra `train`")
    from model.networks import residual_cnn
    from model.recover import recover

    with pytest.raises(ModelUnusable, match=r"text\.tflite cannot be read: No such file"):
        recover(residual_cnn(SIZE), tmp_path / "text.tflite", FACES)
    (tmp_path / "text.tflite").write_text("no graph")
    with pytest.raises(ModelUnusable, match=r"text\.tflite is not a graph that LiteRT can run$"):
        recover(residual_cnn(SIZE), tmp_path / "text.tflite", FACES)


def test_a_first_convolution_in_steps_of_two_pixels_goes_over_blocks_once_exported(network: Any) -> None:
    from ai_edge_litert.interpreter import Interpreter

    from model.quantise import convert

    interpreter = Interpreter(model_content=convert(network, "float16"))
    steps = [step["op_name"] for step in interpreter._get_ops_details()]
    assert ("SPACE_TO_DEPTH" in steps) == (network.name != "custom_cnn"), "it alone goes from pixel to pixel"
