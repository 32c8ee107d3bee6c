"""Batch normalisation measured again, on unaltered faces."""

import numpy as np
import pytest

from tests.synthetic import synthetic_split

pytest.importorskip("tensorflow", reason="training needs tensorflow, extra `train`")

import keras

from model.settle import BATCH, SwapAveragedWeights, settle  # it imports keras

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def network() -> keras.Model:
    layers = keras.layers
    normalised = layers.BatchNormalization(momentum=0.9, name="normalised")
    return keras.Sequential([layers.Input((48, 48, 1)), normalised, layers.Dropout(0.9), layers.Flatten(), layers.Dense(7)])


def test_the_statistics_become_those_of_the_training_faces_without_jitter() -> None:
    training, settled = synthetic_split(2 * BATCH), network()
    settle(settled, training, seed=1)
    layer = settled.get_layer("normalised")
    assert float(np.asarray(layer.moving_mean)[0]) == pytest.approx(training.pixels.mean(), rel=1e-4)
    assert float(np.asarray(layer.moving_variance)[0]) == pytest.approx(training.pixels.var(), rel=0.02)
    assert layer.momentum == 0.9


def test_dropout_is_off_meanwhile_and_as_before_afterwards() -> None:
    training = synthetic_split(BATCH)
    layers = keras.layers
    after_dropout = layers.BatchNormalization(momentum=0.5, name="after")
    settled = keras.Sequential([layers.Input((48, 48, 1)), layers.Dropout(0.9), after_dropout, layers.Flatten(), layers.Dense(7)])
    settle(settled, training, seed=1)
    assert float(np.asarray(after_dropout.moving_variance)[0]) == pytest.approx(training.pixels.var(), rel=0.02)
    assert settled.layers[0].rate == 0.9 and after_dropout.momentum == 0.5


def test_a_network_within_the_network_is_settled_too() -> None:
    training, inner = synthetic_split(2 * BATCH), network()
    pictures = keras.Input((48, 48, 1))
    settle(keras.Model(pictures, inner(pictures)), training, seed=1)
    assert float(np.asarray(inner.get_layer("normalised").moving_mean)[0]) == pytest.approx(training.pixels.mean(), rel=1e-4)


def test_no_weight_that_was_trained_is_touched() -> None:
    settled = network()
    before = [np.array(weight) for weight in settled.trainable_weights]
    settle(settled, synthetic_split(BATCH), seed=1)
    after = [np.array(weight) for weight in settled.trainable_weights]
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


class Watching(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Records the normalisation's mean and the last kernel just before, during and just after a validation."""

    def __init__(self) -> None:
        super().__init__()
        self.before = self.meanwhile = self.after = (0.0, np.empty(0))

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        self.before = self._now()

    def on_test_end(self, logs: dict[str, float]) -> None:
        self.meanwhile = self._now()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.after = self._now()

    def _now(self) -> tuple[float, np.ndarray]:
        return float(np.asarray(self.model.get_layer("normalised").moving_mean)[0]), np.array(self.model.layers[-1].kernel)


def test_averaged_weights_are_validated_with_statistics_of_their_own_and_both_are_taken_back() -> None:
    training, trained, watching = synthetic_split(2 * BATCH), network(), Watching()
    trained.compile(optimizer=keras.optimizers.SGD(1e-3, use_ema=True, ema_momentum=0.5), loss="sparse_categorical_crossentropy")
    # faces twice as bright as those that the statistics are measured on
    faces, labels = 2 * training.pixels[..., None].astype(np.float32), training.labels
    averaging = SwapAveragedWeights(training, seed=1)
    trained.fit(
        faces, labels, batch_size=32, epochs=4, verbose=0, validation_data=(faces, labels), callbacks=[watching, averaging]
    )
    assert watching.meanwhile[0] == pytest.approx(training.pixels.mean(), rel=1e-4)
    assert watching.before[0] > 1.2 * watching.meanwhile[0]
    assert not np.allclose(watching.meanwhile[1], watching.before[1], atol=1e-6)
    assert watching.after[0] == watching.before[0]
    assert np.allclose(watching.after[1], watching.before[1], atol=1e-6)
