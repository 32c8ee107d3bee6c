"""What a classifier loses on crops other than FER-2013's own squares, and where those lie around a detected face."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.crop import crop_face, square
from model.dataset import FACE_SIZE, Split, resized
from model.evaluate import Candidate
from model.faces import Face, FaceDetector, Image

CROPS = (
    (1.0, 0.0, 0.0),
    (0.9, 0.0, 0.0),
    (1.2, 0.0, 0.0),
    (1.0, 0.08, 0.0),
    (1.0, -0.08, 0.0),
    (1.0, 0.0, 0.08),
    (1.0, 0.0, -0.08),
)
"""Crops to try: their width, and how far they are shifted to the right and down, all in widths of the square."""

TILTS = (0, 15, -15, 30, -30)
"""Tilts to try, in degrees, clockwise, on top of those in FER-2013."""

ENLARGED, MARGIN = 180, 50
"""In pixels: the detector does badly on a face that fills its picture, so squares are enlarged and given a margin."""


def crop_table(candidate: Candidate, split: Split) -> list[dict[str, float]]:
    """Accuracy on squares cut too tight, too wide or off-centre; where a crop extends beyond the edge, the edge is repeated."""
    rows = [{"crop": crop, "right": right, "down": down} for crop, right, down in CROPS]
    accuracies = [_accuracy(candidate, cut_otherwise(split.pixels, *each), split) for each in CROPS]
    return [
        {**row, "accuracy": accuracy, "lost": accuracies[0] - accuracy} for row, accuracy in zip(rows, accuracies, strict=True)
    ]


def cut_otherwise(faces: Image, crop: float, right: float, down: float) -> Image:
    """The faces (n, 48, 48) as a crop of another size and place shows them, (n, 48, 48)."""
    first = (np.array([right, down]) + 0.5 - crop / 2) * FACE_SIZE - 0.5 + crop / 2
    to_square = np.array([[crop, 0, first[0]], [0, crop, first[1]]])
    cut = [
        cv2.warpAffine(
            face,
            to_square,
            (FACE_SIZE, FACE_SIZE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for face in faces
    ]
    return np.array(cut, np.uint8)


def _accuracy(candidate: Candidate, faces: Image, split: Split) -> float:
    predicted = candidate.predict(resized(faces, candidate.size)).argmax(axis=1)
    return float((predicted == split.labels).mean())


def detected(candidate: Candidate, split: Split, detector: FaceDetector) -> dict[str, Any]:
    """Where the detector's box lies in FER-2013's squares, and the accuracy on the live crops that it leads to.

    Lengths are in widths of the square, places from its middle, to the right and down; a tilt is in degrees, clockwise.
    Each is given as its median and its 10th and 90th percentiles.
    """
    rows: list[int] = []
    faces: list[Face] = []
    cut: list[Image] = []
    for row, picture, face in _found(map(roomy, split.pixels), detector):
        rows.append(row)
        faces.append(face)
        cut.append(crop_face(picture, face, candidate.size))
    result: dict[str, Any] = {"faces": len(split), "found": len(rows) / len(split)}
    if not rows:
        return result
    of_found = split.only(np.array(rows))
    accuracy, before = (_accuracy(candidate, each, of_found) for each in (np.stack(cut), of_found.pixels))
    result |= {"accuracy": accuracy, "accuracy_of_squares": before, "lost": before - accuracy}
    return result | {"places": places(faces)}


def _found(pictures: Iterable[Image], detector: FaceDetector) -> Iterator[tuple[int, Image, Face]]:
    """The largest face of each picture that has any: the picture's number, the picture, the face."""
    for row, picture in enumerate(pictures):
        if faces := detector.detect(picture):
            yield row, picture, faces[0]


def tilt_table(candidate: Candidate, split: Split, detector: FaceDetector) -> list[dict[str, float]]:
    """Accuracy on tilted heads, with the eyes levelled as in the live crop, and without.

    Each row has the degrees and the share of faces found; it has no accuracy if none was found.
    """
    return [{"tilt": degrees, **_of_tilted(candidate, split, detector, degrees)} for degrees in TILTS]


def _of_tilted(candidate: Candidate, split: Split, detector: FaceDetector, degrees: float) -> dict[str, float]:
    rows: list[int] = []
    levelled: list[Image] = []
    upright: list[Image] = []
    for row, picture, face in _found((tilted(roomy(pixels), degrees) for pixels in split.pixels), detector):
        rows.append(row)
        levelled.append(crop_face(picture, face, candidate.size))
        upright.append(crop_face(picture, face, candidate.size, level=False))
    result = {"found": len(rows) / len(split)}
    if rows:
        found = split.only(np.array(rows))
        result |= {"levelled": _accuracy(candidate, np.stack(levelled), found)}
        result |= {"as_it_is": _accuracy(candidate, np.stack(upright), found)}
    return result


def tilted(picture: Image, degrees: float) -> Image:
    """The picture turned clockwise around its middle; its edge is repeated where it shows what was outside."""
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
    return cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


def roomy(face: Image) -> Image:
    """The square (48, 48) enlarged, with a margin that repeats its edge, as RGB."""
    large = cv2.resize(face, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
    picture = cv2.copyMakeBorder(large, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)


def places(faces: Sequence[Face]) -> dict[str, dict[str, float]]:
    """Where the boxes, eyes and live crops of faces found in `roomy` pictures lie in their squares."""
    side = ENLARGED + 2 * MARGIN
    boxes = np.array([(face.x, face.y, face.width, face.height) for face in faces]) * side
    eyes = (np.array([face.keypoints[:2] for face in faces]) * side - MARGIN) / ENLARGED
    squares = [square(face, side, side) for face in faces]
    middles = np.array([(each.middle_x, each.middle_y) for each in squares])
    across, down = (eyes[:, 1] - eyes[:, 0]).T
    measured = {
        "box_width": boxes[:, 2] / ENLARGED,
        "box_right": _from_middle(boxes[:, 0] + boxes[:, 2] / 2),
        "box_down": _from_middle(boxes[:, 1] + boxes[:, 3] / 2),
        "eyes_down": eyes[:, :, 1].mean(axis=1) - 0.5,
        "eye_distance": np.hypot(across, down),
        "tilt": np.degrees(np.arctan2(down, across)),
        "crop": np.array([each.side for each in squares]) / ENLARGED,
        "crop_right": _from_middle(middles[:, 0]),
        "crop_down": _from_middle(middles[:, 1]),
    }
    return {name: _spread(values) for name, values in measured.items()}


def _from_middle(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    return (pixels - MARGIN) / ENLARGED - 0.5


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    low, median, high = np.percentile(values, (10, 50, 90))
    return {"median": float(median), "p10": float(low), "p90": float(high)}
