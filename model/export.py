"""Turns a trained network into the .tflite file and the card that the bot loads."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import keras
import numpy as np

from model.calibrate import calibrated
from model.card import CARD_FILE, Calibration, Card, Input, fingerprint, read_card
from model.classifier import LiteRtClassifier
from model.dataset import Split, repeats, resized
from model.disk import disk_told
from model.errors import ModelUnusable
from model.evaluate import evaluate, load_candidate
from model.faces import EMOTIONS, Image
from model.networks import accuracy_of, load_classifier, scores_of
from model.quantise import SAMPLE, Arithmetic, convert

logger = logging.getLogger(__name__)

COMPARED_FACES = 1000
CLEAR_LEAD = 0.2
"""A face is clear if the likeliest emotion leads the second by this much: there, conversion must not change the answer."""

LEAST_AGREEMENT = 0.97
"""Share of the faces with a clear lead on which the .tflite file must give the network's answer."""

MOST_LOST = 0.003
"""Accuracy that an arithmetic may cost. The fastest that costs no more is used, or half floats if none qualifies."""

FIGURES = ("accuracy", "accuracy_without_repeats", "macro_f1", "ece", "ferplus_majority_agreement", "accuracy_at_80_coverage")


@dataclass(frozen=True, slots=True)
class Notes:
    """What only its maker knows about a network; it goes into the card."""

    data: str
    licence: str
    command: str


@dataclass(frozen=True, slots=True)
class _Exam:
    """What a file is judged on: a split, the faces (m, 48, 48) trained on, and the network's accuracy before conversion."""

    split: Split
    training: Image | None
    before: float


def export(checkpoint: Path, folder: Path, notes: Notes, split: Split, training: Split | None = None) -> Path:
    """Write the .tflite file and the card of a .keras checkpoint into the folder; return the file.

    The network is calibrated on what its training held out of `training`, the split that it was trained on; without
    that it stays as it is. The exported file is compared with the network on faces of the split, and judged on all of
    it; the figures go into the card. A kill at any moment leaves the folder either as it was or finished.
    Raises ModelUnusable if the checkpoint is not one of our networks, if the file answers differently, or if it cannot
    be written.
    """
    network = load_classifier(checkpoint)
    exam = _Exam(split, None if training is None else training.pixels, accuracy_of(network, split))
    calibration = faces = None
    if training is not None:
        learnt = training.only(~repeats(training.pixels, split.pixels))
        unseen = split.only(~repeats(split.pixels, training.pixels))
        network, calibration = calibrated(network, checkpoint, learnt, unseen)
        faces = _sample(learnt, network.input_shape[1])
    with disk_told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as name:
            draft = Path(name)
            for arithmetic in get_args(Arithmetic)[faces is None :]:
                content = convert(network, arithmetic, faces)
                card = _card(network, content, notes, arithmetic, calibration)
                if _passes(network, card, content, draft, exam):
                    return _move(draft, folder, card)
    raise ModelUnusable(f"{checkpoint} as .tflite gives other answers on faces that the network is sure of")


def _sample(training: Split, size: int) -> Image | None:
    """Faces (n, size, size) uint8 spread evenly over the split; None if it is empty."""
    rows = np.linspace(0, len(training) - 1, min(SAMPLE, len(training))).astype(int)
    return resized(training.pixels[rows], size) if len(rows) else None


def _passes(network: keras.Model, card: Card, content: bytes, draft: Path, exam: _Exam) -> bool:
    """Write the file and the card with its figures into the draft folder; returns whether it is nearly as good as the network."""
    _write(draft, card, content)
    try:
        agreement = compare(network, LiteRtClassifier(draft), exam.split.pixels[:COMPARED_FACES])
    except ModelUnusable as error:
        logger.info("%s cannot be used: %s", card.arithmetic, error)
        return False
    judged = evaluate(load_candidate(draft), exam.split, exam.training)
    logger.info("%s: %d bytes, accuracy %.4f, %.2f ms", card.arithmetic, len(content), judged["accuracy"], judged["ms_per_face"])
    figures = {**card.figures, **agreement, "faces": len(exam.split), "accuracy_of_checkpoint": exam.before}
    figures |= {name: judged[name] for name in FIGURES}
    _write(draft, card.model_copy(update={"figures": figures}), content)
    return card.arithmetic == "float16" or bool(judged["accuracy"] >= exam.before - MOST_LOST)


def compare(network: keras.Model, classifier: LiteRtClassifier, faces: Image) -> dict[str, float]:
    """How well the two agree, for the card; raises ModelUnusable if they differ on faces that the network is sure of.

    Rounded weights shift the scores a little, so near ties can fall either way.
    """
    crops = resized(faces, classifier.size)
    wanted = scores_of(network, crops)
    given = classifier.classify(crops)
    same = wanted.argmax(axis=1) == given.argmax(axis=1)
    second, first = np.sort(wanted, axis=1)[:, -2:].T
    clear = same[first - second >= CLEAR_LEAD]
    if clear.size and clear.mean() < LEAST_AGREEMENT:
        raise ModelUnusable(f"{network.name} as .tflite gives its own answer on only {clear.mean():.1%} of clear faces")
    return {"agreement_with_keras": float(same.mean()), "mean_difference_from_keras": float(np.abs(wanted - given).mean())}


def _card(network: keras.Model, content: bytes, notes: Notes, arithmetic: Arithmetic, calibration: Calibration | None) -> Card:
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
        arithmetic=arithmetic,
        calibration=calibration,
    )


def _write(folder: Path, card: Card, content: bytes) -> None:
    (folder / card.file).write_bytes(content)
    # a field set to None is written too: that a network is not calibrated is a fact about it
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=2, exclude_unset=True) + "\n")


def _move(draft: Path, folder: Path, card: Card) -> Path:
    """Replace what the folder held by the draft; the card comes last, since it decides which file counts."""
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
