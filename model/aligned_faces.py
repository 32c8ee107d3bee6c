"""FER-2013's faces as a generator learns them: with a clear expression, seen from the front, and aligned."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.dataset import FACE_SIZE, VOTES, Split
from model.faces import EMOTIONS, Emotion, Face, FaceDetector, Image
from model.robustness import ENLARGED, MARGIN, roomy

RIGHT_EYE, LEFT_EYE, MOUTH = (15.1, 19.0), (32.9, 19.0), (24.0, 37.4)
"""Where they are in the Training split's median face, averaged with its mirror image, in pixels of its 48x48 square."""

OVAL_CENTRE, OVAL_HALF_AXES = (24.0, 24.5), (18.5, 23.5)
"""The ellipse that holds forehead, cheeks and chin of such a face, in the same pixels."""

LEAST_VOTES = {
    Emotion.ANGRY: 4,
    Emotion.DISGUST: 2,
    Emotion.FEAR: 3,
    Emotion.HAPPY: 7,
    Emotion.SAD: 4,
    Emotion.SURPRISE: 6,
    Emotion.NEUTRAL: 6,
}
"""How many of the crowd's ten votes must be for a picture's label; fewer for emotions on which the crowd rarely agrees."""

MEAN, DEVIATION = 128.0, 46.0
"""Brightness and contrast that every face gets within the oval, so that light does not become part of an identity."""

MOST_ASKEW = 0.22
"""How far the nose may be off the middle of the eyes, in distances between the eyes: more is a face seen from the side."""

MOST_MISSING = 0.05
"""Share of the oval that may lie outside the picture."""


@dataclass(frozen=True, slots=True)
class AlignedFaces:
    """Faces (n, 48, 48) uint8 with eyes and mouth in the same place, and the emotion (n,) of each as its number."""

    pixels: Image
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


def aligned_faces(split: Split, detector: FaceDetector) -> AlignedFaces:
    """The faces of the split that are clear, frontal and whole, aligned and in an even light."""
    rows: list[int] = []
    faces: list[Image] = []
    for row in np.flatnonzero(clear(split)):
        face = align(split.pixels[row], detector)
        if face is not None:
            rows.append(int(row))
            faces.append(face)
    pixels = np.stack(faces) if faces else np.empty((0, FACE_SIZE, FACE_SIZE), np.uint8)
    return AlignedFaces(pixels, split.labels[rows])


def clear(split: Split) -> NDArray[np.bool_]:
    """Which pictures show what their label says, according to the crowd: a mask (n,)."""
    votes = split.votes_per_emotion()
    own = votes[np.arange(len(split)), split.labels]
    least = np.array([LEAST_VOTES[emotion] for emotion in EMOTIONS])[split.labels]
    doubts = split.votes[:, VOTES.index("unknown")] + split.votes[:, VOTES.index("not_face")]
    agreed: NDArray[np.bool_] = (own >= least) & (doubts <= 1)
    return agreed


def align(picture: Image, detector: FaceDetector) -> Image | None:
    """The face of a FER-2013 picture (48, 48) with eyes and mouth in their places, or None if it cannot be aligned."""
    face = _found(picture, detector)
    if face is None:
        return None
    points = np.array(face.keypoints[:4]) * (ENLARGED + 2 * MARGIN) - MARGIN
    move = placing(points * FACE_SIZE / ENLARGED)
    if move is None or _missing(move) > MOST_MISSING:
        return None
    moved = cv2.warpAffine(picture, move, (FACE_SIZE, FACE_SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return _evenly_lit(moved.astype(np.uint8, copy=False))


def _found(picture: Image, detector: FaceDetector) -> Face | None:
    """The only face of a picture, enlarged first, as it is too small and tight for the detector; None if not exactly one."""
    faces = detector.detect(roomy(picture))
    return faces[0] if len(faces) == 1 else None


def placing(points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The similarity transform (2, 3) that brings the eyes and the mouth to their places; None for a face from the side.

    `points` (4, 2) are both eyes, the nose, which shows where the face looks, and the mouth.
    """
    right, left, nose, _ = points
    between = left - right
    width = float(np.hypot(*between))
    askew = abs(float((nose - (right + left) / 2) @ between)) / max(width, 1e-6) ** 2
    if askew > MOST_ASKEW:
        return None
    return similarity(points[[0, 1, 3]], (RIGHT_EYE, LEFT_EYE, MOUTH))


def similarity(points: NDArray[np.float64], wanted: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """The similarity transform (2, 3) that brings the points (n, 2) nearest to the wanted ones, by least squares."""
    x, y = points.T
    one, none = np.ones_like(x), np.zeros_like(x)
    # for each point: a x - b y + c = u and b x + a y + d = v
    equations = np.concatenate([np.stack([x, -y, one, none], 1), np.stack([y, x, none, one], 1)])
    (a, b, c, d), *_ = np.linalg.lstsq(equations, np.array(wanted).T.ravel(), rcond=None)
    return np.array([[a, -b, c], [b, a, d]])


def oval(softness: float = 0.0) -> NDArray[np.float32]:
    """The face's ellipse as a mask (48, 48) from 0 to 1, its edge blurred by `softness` pixels."""
    y, x = np.mgrid[:FACE_SIZE, :FACE_SIZE].astype(np.float32)
    distance = np.hypot((x - OVAL_CENTRE[0]) / OVAL_HALF_AXES[0], (y - OVAL_CENTRE[1]) / OVAL_HALF_AXES[1])
    mask: NDArray[np.float32] = (distance <= 1).astype(np.float32)
    return cv2.GaussianBlur(mask, (0, 0), softness).astype(np.float32, copy=False) if softness else mask


_OVAL = oval() > 0


def _missing(move: NDArray[np.float64]) -> float:
    """The share of the oval that the picture does not show after the move."""
    there = cv2.warpAffine(np.ones((FACE_SIZE, FACE_SIZE), np.uint8), move, (FACE_SIZE, FACE_SIZE), flags=cv2.INTER_NEAREST)
    return float((there[_OVAL] == 0).mean())


def _evenly_lit(face: Image) -> Image:
    inside = face[_OVAL].astype(np.float32)
    level = (face.astype(np.float32) - inside.mean()) * (DEVIATION / max(float(inside.std()), 1.0)) + MEAN
    lit: Image = np.clip(level, 0, 255).astype(np.uint8)
    return lit
