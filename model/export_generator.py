"""Turns a trained generator into the .tflite file and the card that simulated students are drawn with."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pydantic import JsonValue

from model.aligned_faces import aligned_faces
from model.card import CARD_FILE, fingerprint
from model.dataset import FACE_SIZE, Split, resized
from model.detector import BlazeFace
from model.disk import disk_told
from model.errors import ModelUnusable
from model.evaluate import Candidate
from model.export import Notes
from model.face_generator import IDENTITY
from model.faces import EMOTIONS, Image
from model.generated_faces import FaceGenerator, GeneratorCard
from model.networks import load_network

MOST_BYTES = 4_000_000
JUDGED_PEOPLE = 100


@dataclass(frozen=True, slots=True)
class Judges:
    """What a generator's figures are measured with: the faces it was trained on, and classifiers by name."""

    training: Split
    classifiers: dict[str, Candidate]


def export_generator(checkpoint: Path, folder: Path, notes: Notes, judges: Judges) -> Path:
    """Write the .tflite file and the card of a trained generator into the folder; return the file.

    Raises ModelUnusable if the checkpoint is no generator, or too large.
    """
    network = load_network(checkpoint)
    if network.output_shape != (None, FACE_SIZE, FACE_SIZE, 1) or len(network.inputs) != 2:
        raise ModelUnusable(f"{checkpoint} does not draw faces")
    content = convert_generator(network)
    if len(content) > MOST_BYTES:
        raise ModelUnusable(f"{checkpoint} as .tflite has {len(content)} bytes, more than {MOST_BYTES}")
    with disk_told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as name:
            draft, card = Path(name), _card(network, content, notes)
            _write(draft, card, content)
            measured = figures(FaceGenerator(draft), judges)
            _write(draft, card.model_copy(update={"figures": card.figures | measured}), content)
            # the card comes last, since it decides which file counts
            (draft / card.file).replace(folder / card.file)
            (draft / CARD_FILE).replace(folder / CARD_FILE)
        for older in set(folder.glob("face_generator-*.tflite")) - {folder / card.file}:
            older.unlink()
    return folder / card.file


def _card(network: keras.Model, content: bytes, notes: Notes) -> GeneratorCard:
    sha256 = fingerprint(content)
    return GeneratorCard(
        file=f"face_generator-{sha256[:8]}.tflite",
        sha256=sha256,
        network=network.name,
        identity=IDENTITY,
        face_size=FACE_SIZE,
        labels=EMOTIONS,
        figures={"parameters": network.count_params(), "file_bytes": len(content)},
        data=notes.data,
        licence=notes.licence,
        command=notes.command,
    )


def convert_generator(network: keras.Model) -> bytes:
    """The network as .tflite with half floats, from identity and emotion in one row (1, 71) to a face (1, 48, 48, 1)."""
    code = keras.Input((IDENTITY + len(EMOTIONS),), batch_size=1, name="code")
    whole = keras.Model(code, network([code[:, :IDENTITY], code[:, IDENTITY:]], training=False))
    with tempfile.TemporaryDirectory() as folder:
        whole.export(folder, format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        content: bytes = converter.convert()
    return content


def _write(folder: Path, card: GeneratorCard, content: bytes) -> None:
    (folder / card.file).write_bytes(content)
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=2, exclude_defaults=True) + "\n")


def figures(generator: FaceGenerator, judges: Judges, seed: int = 1) -> dict[str, JsonValue]:
    """Figures about the faces of `JUDGED_PEOPLE` generated people, each with every emotion.

    `agreement` is, for each classifier, the share that it reads as the emotion asked for. Distances are root mean square
    differences in grey levels, at equal contrast: between generated people, between one person's emotions, from each
    generated face to the nearest training face, and from a training face to its nearest other.
    """
    random = np.random.default_rng(seed)
    kinds = np.eye(len(EMOTIONS), dtype=np.float32)
    who = [generator.identity(random) for _ in range(JUDGED_PEOPLE)]
    faces = np.array([[generator.draw(identity, kind) for kind in kinds] for identity in who])
    levels = even(faces.reshape(-1, FACE_SIZE, FACE_SIZE)).reshape(len(who), len(EMOTIONS), -1)
    trained = even(aligned_faces(judges.training, BlazeFace()).pixels)
    away = nearest(levels.reshape(-1, levels.shape[-1]), trained)
    some = trained[random.permutation(len(trained))[:1000]]
    return {
        "people": len(who),
        "agreement": {name: agreement(faces, judge) for name, judge in judges.classifiers.items()},
        "between_people": _mean_distance(levels.swapaxes(0, 1)),
        "within_person": _mean_distance(levels),
        "nearest_training_face": float(np.median(away)),
        "closest_training_face": float(away.min()),
        "training_face_to_nearest_other": float(np.median(nearest(some, trained, itself=True))),
    }


def agreement(faces: Image, judge: Candidate) -> dict[str, JsonValue]:
    """The share of faces (people, 7, h, w) that a classifier reads as what they should show, in all and by emotion."""
    flat = faces.reshape(-1, *faces.shape[2:])
    read = judge.predict(resized(flat, judge.size)).argmax(axis=1).reshape(len(faces), -1)
    right = read == np.arange(len(EMOTIONS))
    return {"all": float(right.mean()), **{emotion: float(right[:, number].mean()) for number, emotion in enumerate(EMOTIONS)}}


def even(faces: Image) -> NDArray[np.float32]:
    """The faces (n, h, w) as rows (n, h * w), each with mean 0 and standard deviation 46."""
    rows = faces.reshape(len(faces), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows *= 46 / np.maximum(rows.std(axis=1, keepdims=True), 1)
    return rows


def _mean_distance(groups: NDArray[np.float32]) -> float:
    """The mean distance between two members of the same group, over groups (g, n, pixels)."""
    apart = [distances(group, group)[np.triu_indices(len(group), 1)].mean() for group in groups]
    return float(np.mean(apart))


def distances(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """The root mean square differences (n, m) of rows (n, pixels) and (m, pixels)."""
    squares = (some**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * some @ others.T
    apart: NDArray[np.float32] = np.sqrt(np.maximum(squares, 0) / some.shape[1])
    return apart


def nearest(some: NDArray[np.float32], others: NDArray[np.float32], *, itself: bool = False) -> NDArray[np.float32]:
    """The distance from each row to the nearest of the others; with `itself`, those nearly the same as the row are left out."""
    apart = distances(some, others)
    if itself:
        apart[apart < 8] = np.inf  # the data set holds many pictures twice
    least: NDArray[np.float32] = apart.min(axis=1)
    return least
