"""The well-known `fer2013.csv` (Goodfellow et al., arXiv 1307.0414): a line per face, with its split."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.dataset import FACE_SIZE, VOTES, Split, check_columns
from model.errors import DataUnusable
from model.faces import EMOTIONS, Image

COLUMNS = ("emotion", "pixels", "Usage")
USAGES = ("Training", "PublicTest", "PrivateTest")


def read_fer2013_csv(path: Path, *usages: str) -> tuple[Split, ...]:
    """The splits of the named usages, in that order, without votes, which the file does not have.

    Raises DataUnusable for a file that cannot be read, a line that does not describe a face, and a split without faces.
    """
    splits = read_usages(path)
    return tuple(split_of(splits, usage, path) for usage in usages)


def split_of(splits: dict[str, Split], usage: str, path: Path) -> Split:
    """One of the file's splits; raises DataUnusable if it has none of that usage."""
    if usage not in splits:
        raise DataUnusable(f"{path} has no faces of {usage}")
    return splits[usage]


def read_usages(path: Path) -> dict[str, Split]:
    """Every split that has faces in the file, by its usage; raises DataUnusable like `read_fer2013_csv`."""
    faces: dict[str, list[tuple[int, Image]]] = {}
    with _told(path), path.open(newline="", encoding="utf-8-sig") as file:
        # one edition of the file, `icml_face_data.csv`, has a space after each comma
        reader = csv.DictReader(file, skipinitialspace=True)
        check_columns(path, reader.fieldnames or (), COLUMNS)
        for line in reader:
            usage, label, pixels = _face(line, f"{path} line {reader.line_num}")
            faces.setdefault(usage, []).append((label, pixels))
    return {usage: _split(those) for usage, those in faces.items()}


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn an error in reading the file into a one-line DataUnusable."""
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataUnusable(f"{path} cannot be read: {error}") from error


def _face(line: dict[str, str], where: str) -> tuple[str, int, Image]:
    usage: str | None = line["Usage"]
    if usage is None:
        raise DataUnusable(f"{where} ends before its Usage")
    if usage not in USAGES:
        raise DataUnusable(f"{where}: {usage!r} is none of {', '.join(USAGES)}")
    try:
        label, values = int(line["emotion"]), np.array(line["pixels"].split(), np.int64)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise DataUnusable(f"{where}: an emotion and pixels are wanted as whole numbers") from error
    if not 0 <= label < len(EMOTIONS):
        raise DataUnusable(f"{where}: emotion {label} is not one of 0 to {len(EMOTIONS) - 1}")
    if len(values) != FACE_SIZE**2:
        raise DataUnusable(f"{where}: {FACE_SIZE**2} pixels are wanted, {len(values)} stand there")
    if outside := [value for value in (values.min(), values.max()) if not 0 <= value <= 255]:
        raise DataUnusable(f"{where}: a pixel is {outside[0]}, not one of 0 to 255")
    return usage, label, values.astype(np.uint8).reshape(FACE_SIZE, FACE_SIZE)


def _split(faces: list[tuple[int, Image]]) -> Split:
    labels: NDArray[np.int64] = np.array([label for label, _ in faces], np.int64)
    votes = np.zeros((len(faces), len(VOTES)), np.float32)
    return Split(np.stack([pixels for _, pixels in faces]), labels, votes)
