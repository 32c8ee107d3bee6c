"""Batch normalisation measured anew, on faces as they are."""

import numpy as np
import pytest

from tests.synthetic import synthetic_split

pytest.importorskip("tensorflow", reason="training needs tensorflow, extra `train`")

import keras

from model.settle import BATCH, settle  # it imports keras

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


def test_no_weight_that_was_trained_is_touched() -> None:
    settled = network()
    before = [np.array(weight) for weight in settled.trainable_weights]
    settle(settled, synthetic_split(BATCH), seed=1)
    after = [np.array(weight) for weight in settled.trainable_weights]
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
