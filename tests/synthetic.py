"""Faces of nobody: a pattern for each emotion, in noise."""

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.dataset import FACE_SIZE, FACES_PER_ROW, VOTES, Split, read_split
from model.faces import EMOTIONS, Image

VOTED = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


def synthetic_split(count: int, seed: int = 0) -> Split:
    """Faces whose label can be seen, each in its own light, with seven of ten votes for it."""
    random = np.random.default_rng(seed)
    patterns = np.random.default_rng(2013).integers(60, 196, (len(EMOTIONS), 6, 6), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % len(EMOTIONS)
    lights = random.integers(-50, 51, (count, 5, 5)).astype(np.int16)
    grain = random.integers(-15, 16, (count, FACE_SIZE, FACE_SIZE))
    faces = _enlarged(patterns)[labels].astype(int) + _enlarged(lights) + grain
    pixels = np.clip(faces, 0, 255).astype(np.uint8)
    votes = np.zeros((count, len(VOTES)), np.float32)
    votes[np.arange(count), [VOTES.index(VOTED[label]) for label in labels]] = 7
    votes[:, VOTES.index("contempt")] = 3
    return Split(pixels, labels, votes)


def _enlarged(pictures: NDArray[Any]) -> NDArray[Any]:
    shape = (len(pictures), FACE_SIZE, FACE_SIZE)
    large = [cv2.resize(each, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_CUBIC) for each in pictures]
    return np.array(large, pictures.dtype).reshape(shape)


def write_split(split: Split, folder: Path, name: str) -> tuple[Path, Path]:
    """Write the split as a mosaic and its labels; returns both paths."""
    pixels, labels = folder / f"{name}.png", folder / f"{name}.csv"
    lines = -(-len(split) // FACES_PER_ROW)
    places: Image = np.zeros((lines * FACES_PER_ROW, FACE_SIZE, FACE_SIZE), np.uint8)
    places[: len(split)] = split.pixels
    mosaic = places.reshape(lines, FACES_PER_ROW, FACE_SIZE, FACE_SIZE).swapaxes(1, 2)
    cv2.imwrite(str(pixels), mosaic.reshape(lines * FACE_SIZE, FACES_PER_ROW * FACE_SIZE))
    rows = np.column_stack([split.labels, split.votes]).astype(int)
    labels.write_text("\n".join([",".join(["label", *VOTES]), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return pixels, labels


def write_fer2013_csv(path: Path, data: Path) -> Path:
    """Write the splits in a folder of mosaics as FER-2013's well-known CSV has them: without votes."""
    names = {"Training": "training", "PublicTest": "public-test"}
    splits = {usage: read_split(data / f"{name}.png", data / f"{name}.csv") for usage, name in names.items()}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for usage, split in splits.items():
            for pixels, label in zip(split.pixels, split.labels, strict=True):
                writer.writerow([label, " ".join(map(str, pixels.ravel())), usage])
    return path
