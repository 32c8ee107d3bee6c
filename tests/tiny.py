"""Small networks beside the ones that can be trained, for tests that have only seconds. Imports keras."""

from functools import cache
from pathlib import Path

import keras
import numpy as np
from keras import layers

from model.card import Card, Input, fingerprint
from model.dataset import Split, resized
from model.faces import EMOTIONS
from model.networks import NETWORKS
from model.quantise import convert
from tests.synthetic import synthetic_split

SIZE = 16


def tiny(size: int = SIZE) -> keras.Model:
    """Takes and returns the same as the real networks."""
    return keras.Sequential(
        [
            layers.Input((size, size, 1)),
            layers.Rescaling(1 / 64, offset=-2.0),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="convolution"),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(len(EMOTIONS), activation="softmax", name="probabilities"),
        ],
        name="tiny",
    )


def forgetful(size: int = SIZE) -> keras.Model:
    """A network with the layers that have state of their own: dropout and normalisation."""
    return keras.Sequential(
        [
            layers.Input((size, size, 1)),
            layers.Rescaling(1 / 64, offset=-2.0),
            layers.Conv2D(8, 3, strides=2, padding="same"),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(len(EMOTIONS), activation="softmax"),
        ],
        name="forgetful",
    )


NETWORKS |= {"tiny": tiny, "forgetful": forgetful}


@cache
def taught() -> keras.Model:
    """The tiny network after learning the synthetic faces."""
    keras.utils.set_random_seed(1)
    network = tiny()
    network.compile(optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy")
    split = synthetic_split(448, seed=1)
    network.fit(_faces(split), split.labels, epochs=6, batch_size=32, verbose=0)
    return network


def taught_checkpoint(folder: Path) -> Path:
    """That network as a .keras file."""
    path = folder / "tiny.keras"
    taught().save(path)
    return path


def _faces(split: Split) -> np.ndarray:
    return resized(split.pixels, SIZE)[..., None].astype(np.float32)


@cache
def _converted() -> bytes:
    return convert(taught())


def exported(folder: Path) -> Path:
    """The folder, with that network's .tflite file and card in it."""
    content = _converted()
    card = Card(
        file=f"tiny-{fingerprint(content)[:8]}.tflite",
        sha256=fingerprint(content),
        network="tiny",
        input=Input(size=SIZE, channels=1, dtype="uint8", range=(0, 255)),
        labels=EMOTIONS,
        figures={"parameters": taught().count_params()},
        data="synthetic patterns",
        licence="none",
        command="pytest",
    )
    (folder / card.file).write_bytes(content)
    (folder / "card.json").write_text(card.model_dump_json())
    return folder
