"""Finding faces with BlazeFace short range (Bazarevsky et al., arXiv 1907.05047), MediaPipe's weights."""

import math
from itertools import starmap
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.card import SHIPPED_WEIGHTS, read_card, read_weights
from model.errors import ModelUnusable
from model.faces import Face, Image
from model.litert import Graph

ANCHOR_GRIDS = ((8, 2), (16, 6))
"""Stride in pixels of each grid of anchors, and anchors per cell; the paper's three grids of stride 16 share their cells."""

OUTPUTS = {"regressors": (1, 896, 16), "classificators": (1, 896, 1)}

OVERLAP = 0.3
"""Intersection over union from which two boxes are taken for the same face, as in MediaPipe's graph."""

LONG = 1.2
"""Ratio of a picture's sides from which its ends are worth a closer look."""

Points = NDArray[np.floating[Any]]
Found = tuple[Points, float]
"""The box's corners and six key points (8, 2) of a face, in fractions of the picture, and its score."""

_CENTRE, _SIZE, _KEYPOINTS = slice(0, 2), slice(2, 4), slice(4, 16)


class BlazeFace:
    """A face detector for faces up to about two metres from the camera. One thread may use it at a time.

    Raises ModelUnusable at construction if the weights are missing or not what their card says.
    """

    def __init__(self, folder: Path | None = None, threshold: float = 0.5) -> None:
        folder = folder or SHIPPED_WEIGHTS / "blazeface_short_range"
        card = read_card(folder)
        self._size = card.input.size
        self._anchors = anchors(self._size)
        self._graph = Graph(read_weights(folder, card), what=str(folder / card.file))
        if {name: values.shape for name, values in self._graph.run().items()} != OUTPUTS:
            raise ModelUnusable(f"{folder / card.file} is not BlazeFace short range: it has other outputs")
        low, high = card.input.range
        self._scale, self._offset = (high - low) / 255, low
        # log odds, so that only the rows that pass need a sigmoid
        self._least = math.log(threshold / (1 - threshold))
        self._canvas = np.zeros((self._size, self._size, 3), np.uint8)

    def detect(self, image: Image) -> list[Face]:
        """The faces in an RGB picture (height, width, 3) uint8, largest first."""
        if not image.size:
            return []
        found = self._look(image) or self._look_closer(image)
        return sorted(starmap(_face, found), key=lambda face: face.area, reverse=True)

    def _look(self, image: Image) -> list[Found]:
        left, top, width, height = self._letterbox(image)
        self._fill()
        outputs = self._graph.run()
        log_odds = outputs["classificators"][0, :, 0]
        rows = np.flatnonzero(log_odds >= self._least)
        points = decode(outputs["regressors"][0, rows], self._anchors[rows], self._size)
        return merge((points * self._size - (left, top)) / (width, height), sigmoid(log_odds[rows]))

    def _look_closer(self, image: Image) -> list[Found]:
        """What the squares at both ends of a long picture show: a look at the whole makes its faces that much smaller.

        Measured at 480x270: of faces 34 to 43 pixels wide a look at the whole finds about a quarter, this all.
        """
        height, width = image.shape[:2]
        side = min(width, height)
        if max(width, height) < LONG * side:
            return []
        found = [
            ((points * side + (x, y)) / (width, height), score)
            for x, y in ((0, 0), (width - side, height - side))
            for points, score in self._look(image[y : y + side, x : x + side])
        ]
        # a face in both squares is one face
        return merge(np.array([points for points, _ in found]), np.array([score for _, score in found])) if found else []

    def _letterbox(self, image: Image) -> tuple[int, int, int, int]:
        """Draw the picture undistorted in the middle of the canvas; return where: left, top, width and height."""
        height, width = image.shape[:2]
        scale = self._size / max(height, width)
        inner_width, inner_height = max(round(width * scale), 1), max(round(height * scale), 1)
        left, top = (self._size - inner_width) // 2, (self._size - inner_height) // 2
        self._canvas.fill(0)
        place = self._canvas[top : top + inner_height, left : left + inner_width]
        _draw(image, place)
        return left, top, inner_width, inner_height

    def _fill(self) -> None:
        values = self._graph.input[0]
        np.multiply(self._canvas, np.float32(self._scale), out=values)
        values += self._offset


def _draw(image: Image, place: Image) -> None:
    """Scale the picture to fill the place."""
    height, width = place.shape[:2]
    how = cv2.INTER_AREA if width < image.shape[1] or height < image.shape[0] else cv2.INTER_LINEAR
    if image.shape[1] > 2 * width:
        # linear alone would skip pixels, averaging alone takes up to ten times as long: so draw double and halve
        doubled = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
        cv2.resize(doubled, (width, height), dst=place, interpolation=how)
    else:
        cv2.resize(image, (width, height), dst=place, interpolation=how)


def sigmoid(log_odds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities from log odds, clipped at 80 either way, where float32 is near its ends."""
    odds: NDArray[np.float32] = np.exp(np.clip(log_odds, -80, 80))
    return odds / (1 + odds)


def anchors(size: int) -> NDArray[np.float32]:
    """The centres x, y of the anchors, (n, 2), in fractions of the input: row by row, coarse grids last."""
    grids = [np.repeat(_cells(size // stride), each, axis=0) for stride, each in ANCHOR_GRIDS]
    return np.concatenate(grids).astype(np.float32)


def _cells(count: int) -> NDArray[np.float32]:
    middles = (np.arange(count, dtype=np.float32) + 0.5) / count
    x, y = np.meshgrid(middles, middles)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def decode(raw: NDArray[np.float32], centres: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Rows of eight points x, y (n, 8, 2), in fractions of the input: the box's two corners, then six key points.

    `raw` (n, 16) is in pixels from the anchors' `centres` (n, 2), the box as centre and size.
    """
    scaled = raw / np.float32(size)
    centre, half = scaled[:, _CENTRE] + centres, scaled[:, _SIZE] / 2
    keypoints = scaled[:, _KEYPOINTS].reshape(-1, 6, 2) + centres[:, None]
    return np.concatenate([(centre - half)[:, None], (centre + half)[:, None], keypoints], axis=1)


def merge(points: Points, scores: Points) -> list[Found]:
    """One row (8, 2) and score per face: the mean of the rows whose boxes overlap, weighted by their scores.

    The paper's section 3.2: blending instead of suppression takes the jitter out of a video's boxes.
    """
    found: list[Found] = []
    order = np.argsort(-scores, kind="stable")
    points, scores = points[order], scores[order]
    while len(points):
        same = overlaps(points[0], points) >= OVERLAP
        # a box without area overlaps nothing, not even itself
        same[0] = True
        blended = np.tensordot(scores[same], points[same], 1) / scores[same].sum()
        if (blended[1] > blended[0]).all():
            found.append((blended, float(scores[0])))
        points, scores = points[~same], scores[~same]
    return found


def overlaps(one: Points, many: Points) -> Points:
    """Intersection over union (n,) of one row's box (8, 2) with each of many (n, 8, 2)."""
    shared = _areas(np.maximum(one[0], many[:, 0]), np.minimum(one[1], many[:, 1]))
    union = _areas(one[:1], one[1:2]) + _areas(many[:, 0], many[:, 1]) - shared
    ratio: Points = shared / np.maximum(union, 1e-9)
    return ratio


def _areas(low: Points, high: Points) -> Points:
    """The areas (n,) between corners (n, 2), nothing where they are crossed."""
    sides: Points = np.maximum(high - low, 0)
    area: Points = sides[:, 0] * sides[:, 1]
    return area


def _face(points: Points, score: float) -> Face:
    """A face from eight points (8, 2) in fractions of the picture."""
    (x, y), (right, bottom), *keypoints = points.tolist()
    return Face(x, y, right - x, bottom - y, score, tuple((a, b) for a, b in keypoints))
