"""The normalisation that networks are trained with equals Keras' own, with every backend.

With KERAS_BACKEND=torch these tests compare torch's operation with Keras' steps.
"""

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="networks are built with tensorflow, extra `train`")

from model.networks import save  # noqa: E402  # they import keras
from model.normalisation import Normalisation  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]
PICTURES = np.random.default_rng(1).normal(3.0, 2.0, (64, 8, 8, 1)).astype(np.float32)


def pooled_network(normalisation: type[Any]) -> Any:
    """A network normalised before and after pooling, and once flattened; its weights are the same each time."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same"),
            normalisation(momentum=0.8),
            layers.MaxPooling2D(),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            normalisation(momentum=0.8),
            layers.Flatten(),
            layers.Dense(8),
            normalisation(momentum=0.8),
            layers.Dense(3, activation="softmax"),
        ]
    )
    network.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    return network


def test_a_batch_is_normalised_and_remembered() -> None:
    layer = Normalisation(momentum=0.75)
    normalised = keras.ops.convert_to_numpy(layer(PICTURES, training=True))
    assert normalised.mean() == pytest.approx(0.0, abs=1e-3)
    assert normalised.std() == pytest.approx(1.0, abs=1e-3)
    remembered = [keras.ops.convert_to_numpy(each)[0] for each in (layer.moving_mean, layer.moving_variance)]
    assert remembered == pytest.approx([0.25 * PICTURES.mean(), 0.75 + 0.25 * PICTURES.var()], rel=1e-3)


def test_what_was_remembered_is_used_outside_of_training_and_left_as_it_is() -> None:
    layer = Normalisation()
    layer(PICTURES, training=True)
    before = [np.array(keras.ops.convert_to_numpy(each)) for each in layer.weights]
    _, _, (mean,), (variance,) = before
    normalised = keras.ops.convert_to_numpy(layer(PICTURES, training=False))
    assert normalised == pytest.approx((PICTURES - mean) / np.sqrt(variance + layer.epsilon), abs=1e-4)
    assert all(np.array_equal(a, keras.ops.convert_to_numpy(b)) for a, b in zip(before, layer.weights, strict=True))


def test_a_single_value_is_normalised_to_nothing() -> None:
    normalised = keras.ops.convert_to_numpy(Normalisation()(np.ones((1, 3), np.float32), training=True))
    assert normalised == pytest.approx(np.zeros((1, 3)))


def test_without_a_scale_it_is_keras_own_too() -> None:
    ours, theirs = (kind(scale=False)(PICTURES, training=True) for kind in (Normalisation, keras.layers.BatchNormalization))
    assert keras.ops.convert_to_numpy(ours) == pytest.approx(keras.ops.convert_to_numpy(theirs), abs=1e-5)


def test_a_network_learns_with_it_what_it_learns_with_keras_own() -> None:
    ours, theirs = pooled_network(Normalisation), pooled_network(keras.layers.BatchNormalization)
    labels = np.arange(64) % 3
    for _ in range(3):
        losses = [network.train_on_batch(PICTURES, labels) for network in (ours, theirs)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert one == pytest.approx(other, rel=0.02, abs=1e-3)


def test_a_checkpoint_with_it_is_loaded_as_any_other(tmp_path: Any) -> None:
    network = pooled_network(Normalisation)
    network.train_on_batch(PICTURES, np.arange(64) % 3)
    again = keras.models.load_model(save(network, tmp_path / "best.keras"))
    assert again.predict(PICTURES, verbose=0) == pytest.approx(network.predict(PICTURES, verbose=0), abs=1e-6)
