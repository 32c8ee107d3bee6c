"""FER-2013 as arrays: reading a split, finding repeats, scaling faces."""

import csv
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from model.errors import DataUnusable
from model.faces import EMOTIONS, Emotion, Image

FACE_SIZE = 48
"""Width and height of a FER-2013 face in pixels."""

FACES_PER_ROW = 128
MOST_VOTES = 1000
VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "not_face")
"""The columns of the FER+ crowd's votes (Barsoum et al., arXiv 1608.01041)."""

_EMOTION_OF_VOTE = {
    "neutral": Emotion.NEUTRAL,
    "happiness": Emotion.HAPPY,
    "surprise": Emotion.SURPRISE,
    "sadness": Emotion.SAD,
    "anger": Emotion.ANGRY,
    "disgust": Emotion.DISGUST,
    "fear": Emotion.FEAR,
}

VOTE_OF_LABEL = tuple(VOTES.index(vote) for emotion in EMOTIONS for vote, meant in _EMOTION_OF_VOTE.items() if meant is emotion)
"""The column of the votes for each emotion, in the order of `EMOTIONS`."""


@dataclass(frozen=True, slots=True)
class Split:
    """One split: pixels (n, 48, 48) uint8, labels (n,) int64, votes (n, 10) float32 in the order of `VOTES`.

    `taught` (n, 7) float32 are the probabilities that teachers gave the emotions, if there were any.
    """

    pixels: Image
    labels: NDArray[np.int64]
    votes: NDArray[np.float32]
    taught: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, rows: NDArray[Any]) -> Self:
        """The chosen rows, by index or mask."""
        taught = None if self.taught is None else self.taught[rows]
        return replace(self, pixels=self.pixels[rows], labels=self.labels[rows], votes=self.votes[rows], taught=taught)

    def parted(self, share: float, seed: int) -> tuple[Self, Self]:
        """Two disjoint parts, drawn by the seed: the rest, and `share` of the rows."""
        order = np.random.default_rng(seed).permutation(len(self))
        count = round(share * len(self))
        return self.only(np.sort(order[count:])), self.only(np.sort(order[:count]))

    def without_part(self, number: int, count: int) -> Self:
        """The rows outside part `number`, counted from 1, of `count`."""
        return self.only(parts_of(self.pixels, count) != number)

    def fingerprint(self) -> str:
        """Identifies these faces and labels; it leaves out the votes, which not every file has."""
        return _fingerprint(self.pixels, self.labels)

    def others_fingerprint(self) -> str:
        """Identifies the votes and the teachers' answers."""
        return _fingerprint(self.votes, *(() if self.taught is None else (self.taught,)))

    def votes_per_emotion(self) -> NDArray[np.float32]:
        """The votes for the seven emotions, (n, 7) float32 in the order of `EMOTIONS`."""
        return self.votes[:, VOTE_OF_LABEL]


def parts_of(faces: Image, count: int) -> NDArray[np.int64]:
    """The number, from 1 to `count`, of the part that each face is in, (n,) int64; equal faces are in the same one."""
    return np.array([zlib.crc32(face.tobytes()) % count + 1 for face in faces], np.int64)


def _fingerprint(*arrays: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def read_split(pixels: Path, labels: Path) -> Split:
    """Read a mosaic of 48x48 grey faces, 128 to a row, and the CSV with one line per face in the same order.

    The CSV has a `label`, and either all ten votes or none. Places at the mosaic's end may be empty.
    Raises DataUnusable if a file cannot be read or the two do not match.
    """
    rows = _read_labels(labels)
    faces = read_mosaic(pixels)
    if len(faces) < len(rows):
        raise DataUnusable(f"{pixels} has room for {len(faces)} faces, which does not fit the {len(rows)} lines of {labels}")
    # a black place need not be empty: it may be a face if the mosaic is full, or if the crowd saw no face in it
    is_no_face = len(rows) == len(faces) or rows[-1, 1 + VOTES.index("not_face")] > 0
    if not faces[len(rows) - 1].any() and not is_no_face:
        raise DataUnusable(f"{pixels} has fewer faces than {labels} has lines, {len(rows)}: the last one's place is empty")
    if faces[len(rows) :].any():
        raise DataUnusable(f"{pixels} has more faces than {labels} has lines, {len(rows)}")
    return Split(np.ascontiguousarray(faces[: len(rows)]), rows[:, 0], rows[:, 1:].astype(np.float32))


def read_faces(path: Path) -> Image:
    """The faces of a mosaic, (n, 48, 48) uint8, without the empty places at its end; raises DataUnusable if it is no mosaic."""
    faces = read_mosaic(path)
    filled = np.flatnonzero(faces.any(axis=(1, 2)))
    return faces[: filled[-1] + 1 if len(filled) else 0]


def read_mosaic(path: Path) -> Image:
    """Every place of a mosaic, (n, 48, 48) uint8, including empty ones at its end; raises DataUnusable if it is no mosaic."""
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataUnusable(f"{path} cannot be read: {error.strerror}") from error
    try:
        mosaic = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if content.size else None
    except cv2.error:  # it claims to be larger than a picture may be
        mosaic = None
    if mosaic is None:
        raise DataUnusable(f"{path} cannot be read as a picture")
    height, width = mosaic.shape
    if width != FACES_PER_ROW * FACE_SIZE or height % FACE_SIZE:
        raise DataUnusable(f"{path} is {width}x{height}, not a mosaic of {FACES_PER_ROW} faces of {FACE_SIZE} pixels to a row")
    lines = mosaic.reshape(height // FACE_SIZE, FACE_SIZE, FACES_PER_ROW, FACE_SIZE)
    return lines.swapaxes(1, 2).reshape(-1, FACE_SIZE, FACE_SIZE).astype(np.uint8, copy=False)


def _read_labels(path: Path) -> NDArray[np.int64]:
    """The label and the ten votes of each face, (n, 11); where there are none, the votes are 0."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            votes = _columns_of_votes(reader.fieldnames or (), path)
            rows = [_row(line, votes, f"{path} line {reader.line_num}") for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataUnusable(f"{path} cannot be read: {error}") from error
    if not rows:
        raise DataUnusable(f"{path} has no faces")
    return np.array(rows, np.int64)


def _columns_of_votes(columns: Sequence[str], path: Path) -> tuple[str, ...]:
    votes = VOTES if set(VOTES) & set(columns) else ()
    check_columns(path, columns, ("label", *votes))
    return votes


def check_columns(path: Path, columns: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise DataUnusable for a CSV that lacks one of the columns."""
    if missing := [column for column in wanted if column not in columns]:
        raise DataUnusable(f"{path} has no column {missing[0]}, it has {', '.join(columns) or 'none'}")


def _row(line: dict[str, str], votes: tuple[str, ...], where: str) -> list[int]:
    is_voted_on = any(line[vote] != "" for vote in votes)
    try:
        row = [int(line["label"]), *(int(line[vote]) if is_voted_on else 0 for vote in VOTES)]
    except (TypeError, ValueError) as error:
        wanted = "a label and the ten votes are wanted as whole numbers" if votes else "a label is wanted as a whole number"
        raise DataUnusable(f"{where}: {wanted}") from error
    if not 0 <= row[0] < len(EMOTIONS):
        raise DataUnusable(f"{where}: label {row[0]} is not one of 0 to {len(EMOTIONS) - 1}")
    if not all(0 <= count <= MOST_VOTES for count in row[1:]):
        raise DataUnusable(f"{where}: votes are numbers of 0 to {MOST_VOTES}")
    return row


def repeats(faces: Image, among: Image, likeness: float = 0.98) -> NDArray[np.bool_]:
    """Which of `faces` (n, 48, 48) are also in `among` (m, 48, 48), byte for byte or nearly: a mask (n,).

    Nearly means a correlation of the pixels, taken at 16x16, of at least `likeness`.
    """
    ours, theirs = _standardised(faces), _standardised(among)
    found = np.zeros(len(faces), bool)
    for start in range(0, len(faces), 4096):
        found[start : start + 4096] = (ours[start : start + 4096] @ theirs.T).max(axis=1, initial=-1) >= likeness
    known = {face.tobytes() for face in among}
    found |= np.array([face.tobytes() in known for face in faces], bool)
    return found


def _standardised(faces: Image) -> NDArray[np.float32]:
    flat = resized(faces, 16).reshape(len(faces), 16 * 16).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    standardised: NDArray[np.float32] = (flat / np.maximum(norm, 1e-6)).astype(np.float32)
    return standardised


def fed(faces: Image, size: int) -> NDArray[np.float32]:
    """Grey faces (n, h, w) uint8 as a network takes them: (n, size, size, 1) float32 from 0 to 255."""
    return resized(faces, size)[..., None].astype(np.float32)


def resized(faces: Image, size: int) -> Image:
    """The faces (n, h, w) uint8 resized to (n, size, size)."""
    if faces.shape[1:] == (size, size):
        return faces
    # INTER_AREA would make an enlarged face blocky
    how = cv2.INTER_AREA if size < faces.shape[1] else cv2.INTER_LINEAR
    others = np.empty((len(faces), size, size), np.uint8)
    for face, place in zip(faces, others, strict=True):
        cv2.resize(face, (size, size), dst=place, interpolation=how)
    return others
