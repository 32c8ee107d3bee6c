"""Finding faces with BlazeFace short range (Bazarevsky et al., arXiv 1907.05047), MediaPipe's weights."""

import math
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.card import SHIPPED_WEIGHTS, Input, read_card, read_weights
from model.drawing import Still
from model.errors import ModelUnusable
from model.faces import Face, Image, Picture
from model.litert import Graph

ANCHOR_GRIDS = ((8, 2), (16, 6))
"""Stride in pixels of each grid of anchors, and anchors per cell; the paper's three grids of stride 16 share their cells."""

COARSEST = 16
"""The largest stride. Sides of the graph's input are multiples of it, so that the grids lie as they were taught."""

OVERLAP = 0.3
"""Intersection over union from which two boxes are taken for the same face, as in MediaPipe's graph."""

LONG = 1.2
"""Ratio of a picture's sides from which it is worth a closer look."""

LONGEST = 2
"""A closer look takes a picture at most this many times as long as a first look does."""

Points = NDArray[np.floating[Any]]
Found = tuple[Points, float]
"""The box's corners and six key points (8, 2) of a face, in fractions of the picture, and its score."""


class BlazeFace:
    """A face detector for faces up to about two metres from the camera. One thread may use it at a time.

    It was taught on squares, of which a picture of 16:9 fills little more than half. All of its layers go from place to place,
    so it is planned, once for each format that is met, for no more than the picture fills.
    Raises ModelUnusable at construction if the weights are missing or not what their card says.
    """

    def __init__(self, folder: Path | None = None, threshold: float = 0.5) -> None:
        folder = folder or SHIPPED_WEIGHTS / "blazeface_short_range"
        card = read_card(folder)
        self._input = card.input
        self._content = read_weights(folder, card)
        self._what = str(folder / card.file)
        # log odds, so that only the rows that pass need a sigmoid
        self._least = math.log(threshold / (1 - threshold))
        self._sheets: dict[tuple[int, int], _Sheet] = {}
        self._sheet(self._input.size, self._input.size)

    def detect(self, picture: Picture | Image) -> list[Face]:
        """The faces in a picture, which may be RGB (height, width, 3) uint8, largest first."""
        if isinstance(picture, np.ndarray):
            picture = Still(picture)
        if not picture.width * picture.height:
            return []
        found = self._look(picture, self._input.size) or self._look_closer(picture)
        return sorted(starmap(_face, found), key=lambda face: face.area, reverse=True)

    def _look_closer(self, picture: Picture) -> list[Found]:
        """What a long picture shows if its shorter side is drawn as large as a first look draws the longer one.

        Measured at 480x270: of faces 34 to 43 pixels wide a first look finds about a quarter, this all.
        """
        longer, shorter = max(picture.width, picture.height), min(picture.width, picture.height)
        if longer < LONG * shorter:
            return []
        return self._look(picture, round(self._input.size * min(longer / shorter, LONGEST)))

    def _look(self, picture: Picture, side: int) -> list[Found]:
        """The faces in a picture that is drawn with its longer side `side` pixels long."""
        width, height = drawn(picture.width, picture.height, side)
        return self._sheet(filled(width), filled(height)).look(picture, width, height, self._least)

    def _sheet(self, width: int, height: int) -> "_Sheet":
        # there are few: one side is always that of a first or of a closer look, the other one a multiple of 16
        if (width, height) not in self._sheets:
            self._sheets[width, height] = _Sheet(self._content, self._input, width, height, self._what)
        return self._sheets[width, height]


class _Sheet:
    """BlazeFace planned for one shape of input: what pictures are drawn on, and what it answers to them."""

    def __init__(self, content: bytes, wanted: Input, width: int, height: int, what: str) -> None:
        # the file names a square, yet nothing in it depends on that
        self._graph = Graph(content, (1, height, width, wanted.channels), strict=False, what=what)
        self._anchors = anchors(width, height)
        count = len(self._anchors)
        outputs = {name: values.shape for name, values in self._graph.run().items()}
        if outputs != {"regressors": (1, count, 16), "classificators": (1, count, 1)}:
            raise ModelUnusable(f"{what} is not BlazeFace short range: it has other outputs")
        low, high = wanted.range
        self._scale, self._offset = np.float32((high - low) / 255), np.float32(low)
        self._canvas = np.zeros((height, width, wanted.channels), np.uint8)

    def look(self, picture: Picture, width: int, height: int, least: float) -> list[Found]:
        """The faces in a picture that is drawn width x height large, whose log odds are `least` or more."""
        left, top = (self._canvas.shape[1] - width) // 2, (self._canvas.shape[0] - height) // 2
        self._canvas.fill(0)
        picture.draw(self._canvas[top : top + height, left : left + width])
        self._fill()
        outputs = self._graph.run()
        log_odds = outputs["classificators"][0, :, 0]
        (rows,) = (log_odds >= least).nonzero()
        points = decode(outputs["regressors"][0, rows], self._anchors[rows])
        corner, size = np.array([[left, top], [width, height]], np.float32)
        return [((each - corner) / size, score) for each, score in merge(points, sigmoid(log_odds[rows]))]

    def _fill(self) -> None:
        values = self._graph.input[0]
        np.multiply(self._canvas, self._scale, out=values)
        values += self._offset


def drawn(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height of a picture whose longer side becomes `side`, in pixels; even, since colours may come in pairs."""
    scale = side / max(width, height)
    return max(2 * round(width * scale / 2), 2), max(2 * round(height * scale / 2), 2)


def filled(side: int) -> int:
    """The side of the input, in pixels, that holds a picture's side."""
    return math.ceil(side / COARSEST) * COARSEST


def sigmoid(log_odds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities from log odds, clipped at 80 either way, where float32 is near its ends."""
    odds: NDArray[np.float32] = np.exp(np.minimum(np.maximum(log_odds, -80), 80))
    return odds / (1 + odds)


def anchors(width: int, height: int) -> NDArray[np.float32]:
    """The centres x, y of the anchors, (n, 2), in pixels of the input: row by row, coarse grids last."""
    grids = [np.repeat(_cells(width, height, stride), each, axis=0) for stride, each in ANCHOR_GRIDS]
    return np.concatenate(grids).astype(np.float32)


def _cells(width: int, height: int, stride: int) -> NDArray[np.float64]:
    x, y = np.meshgrid(np.arange(stride / 2, width, stride), np.arange(stride / 2, height, stride))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def decode(raw: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of eight points x, y (n, 8, 2): the box's two corners, then six key points.

    `raw` (n, 16) is counted from the anchors' `centres` (n, 2), the box as centre and size; all in pixels of the input.
    """
    points = raw.reshape(-1, 8, 2) + centres[:, None]
    half = raw[:, 2:4] / 2
    points[:, 1] = points[:, 0] + half
    points[:, 0] -= half
    return points


def merge(points: Points, scores: Points) -> list[Found]:
    """One row (8, 2) and score per face: the mean of the rows whose boxes overlap, weighted by their scores.

    The paper's section 3.2: blending instead of suppression takes the jitter out of a video's boxes.
    """
    found: list[Found] = []
    while len(points):
        best = int(scores.argmax())
        same = overlaps(points[best], points) >= OVERLAP
        # a box without area overlaps nothing, not even itself
        same[best] = True
        weights = scores[same]
        blended = (weights @ points[same].reshape(-1, 16) / weights.sum()).reshape(8, 2)
        (left, top), (right, bottom) = blended[:2].tolist()
        if left < right and top < bottom:
            found.append((blended, float(scores[best])))
        if len(weights) == len(scores):
            break
        points, scores = points[~same], scores[~same]
    return found


def overlaps(one: Points, many: Points) -> Points:
    """Intersection over union (n,) of one row's box (8, 2) with each of many (n, 8, 2)."""
    shared = _areas(np.maximum(one[0], many[:, 0]), np.minimum(one[1], many[:, 1]))
    (left, top), (right, bottom) = one[:2].tolist()
    union = max(right - left, 0) * max(bottom - top, 0) + _areas(many[:, 0], many[:, 1]) - shared
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
