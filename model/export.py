"""Turning a trained network into the .tflite file and the card that the bot runs from."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model.card import CARD_FILE, Card, Input, fingerprint, read_card
from model.classifier import LiteRtClassifier
from model.dataset import Split, resized
from model.errors import ModelUnusable
from model.evaluate import evaluate, load_candidate
from model.faces import EMOTIONS, Image
from model.networks import load_network

logger = logging.getLogger(__name__)

COMPARED_FACES = 1000
CLEAR_LEAD = 0.2
"""Lead of the likeliest emotion over the second from which the conversion must not change the answer."""

LEAST_AGREEMENT = 0.97
"""Share of the faces with a clear lead on which the .tflite file must give the network's answer."""

Weights = Literal["int8", "float16"]

MOST_LOST = 0.003
"""Accuracy that int8 weights may cost. They run several times as fast; a network that they cost more gets half floats."""

FIGURES = ("accuracy", "accuracy_without_repeats", "macro_f1", "ece", "ferplus_majority_agreement")


@dataclass(frozen=True, slots=True)
class Notes:
    """What only its maker knows of a network; it goes into the card."""

    data: str
    licence: str
    command: str


def export(checkpoint: Path, folder: Path, notes: Notes, split: Split, training: Image | None = None) -> Path:
    """Write the .tflite file and the card of a .keras checkpoint into the folder; return the file.

    The exported file is compared with the network on faces of the split, and judged on all of it; the figures
    go into the card. Its weights are int8 where that costs next to nothing, half floats where not. A kill at any
    moment leaves the folder as it was, or finished.
    Raises ModelUnusable if the checkpoint is no network of ours, or if the file answers differently.
    """
    network = load_network(checkpoint)
    _check_shape(network, checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = evaluate(load_candidate(checkpoint), split)["accuracy"] - MOST_LOST
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as name:
        draft = Path(name)
        card = _judged(network, "int8", draft, notes, split, training)
        if card is None or card.figures["accuracy"] < wanted:
            card = _judged(network, "float16", draft, notes, split, training)
        if card is None:
            raise ModelUnusable(f"{checkpoint} as .tflite gives other answers on faces that the network is sure of")
        return _move(draft, folder, card)


def _judged(
    network: keras.Model, weights: Weights, draft: Path, notes: Notes, split: Split, training: Image | None
) -> Card | None:
    """Write the network with such weights into the draft folder; its card, or None if it answers differently."""
    content = convert(network, weights)
    card = _card(network, content, notes)
    _write(draft, card, content)
    try:
        agreement = compare(network, LiteRtClassifier(draft), split.pixels[:COMPARED_FACES])
    except ModelUnusable as error:
        logger.info("weights as %s will not do: %s", weights, error)
        return None
    judged = evaluate(load_candidate(draft), split, training)
    figures = {**card.figures, **agreement, "faces": len(split), **{name: judged[name] for name in FIGURES}}
    logger.info("weights as %s: %d bytes, accuracy %.4f", weights, len(content), judged["accuracy"])
    card = card.model_copy(update={"figures": figures})
    _write(draft, card, content)
    return card


def convert(network: keras.Model, weights: Weights = "float16") -> bytes:
    """The network as .tflite with such weights, from grey faces (n, size, size, 1) uint8 to probabilities (n, 7)."""
    faces = keras.Input(network.input_shape[1:], dtype="uint8", name="faces")
    whole = keras.Model(faces, network(keras.ops.cast(faces, "float32"), training=False))
    with tempfile.TemporaryDirectory() as folder:
        # the direct way from a Keras model prints to standard output
        whole.export(folder, format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        content: bytes = converter.convert()
    return content


def compare(network: keras.Model, classifier: LiteRtClassifier, faces: Image) -> dict[str, float]:
    """How like the two answer, for the card; raises ModelUnusable if they differ on faces that the network is sure of.

    Rounded weights move the scores a little, so near ties fall either way.
    """
    crops = resized(faces, classifier.size)
    wanted: NDArray[Any] = network.predict(crops[..., None].astype(np.float32), batch_size=64, verbose=0)
    given = classifier.classify(crops)
    same = wanted.argmax(axis=1) == given.argmax(axis=1)
    second, first = np.sort(wanted, axis=1)[:, -2:].T
    clear = same[first - second >= CLEAR_LEAD]
    if clear.size and clear.mean() < LEAST_AGREEMENT:
        raise ModelUnusable(f"{network.name} as .tflite gives its own answer on only {clear.mean():.1%} of clear faces")
    return {"agreement_with_keras": float(same.mean()), "mean_difference_from_keras": float(np.abs(wanted - given).mean())}


def _check_shape(network: keras.Model, checkpoint: Path) -> None:
    entry, scores = network.input_shape, network.output_shape
    if len(entry) != 4 or entry[1] != entry[2] or entry[3] != 1 or scores != (None, len(EMOTIONS)):
        raise ModelUnusable(f"{checkpoint} turns {entry} into {scores}, not square grey faces into {len(EMOTIONS)} scores")


def _card(network: keras.Model, content: bytes, notes: Notes) -> Card:
    sha256 = fingerprint(content)
    return Card(
        # named by its content, so that an old card never meets a new file
        file=f"{network.name}-{sha256[:8]}.tflite",
        sha256=sha256,
        network=network.name,
        input=Input(size=network.input_shape[1], channels=1, dtype="uint8", range=(0, 255)),
        labels=EMOTIONS,
        figures={"parameters": network.count_params(), "file_bytes": len(content)},
        data=notes.data,
        licence=notes.licence,
        command=notes.command,
    )


def _write(folder: Path, card: Card, content: bytes) -> None:
    (folder / card.file).write_bytes(content)
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=2, exclude_defaults=True) + "\n")


def _move(draft: Path, folder: Path, card: Card) -> Path:
    """Put the draft in the place of what the folder held; the card is the last to come and decides which file counts."""
    before = _file_in_use(folder)
    (draft / card.file).replace(folder / card.file)
    (draft / CARD_FILE).replace(folder / CARD_FILE)
    if before is not None and before != folder / card.file:
        before.unlink(missing_ok=True)
    return folder / card.file


def _file_in_use(folder: Path) -> Path | None:
    try:
        return folder / read_card(folder).file
    except ModelUnusable:
        return None
