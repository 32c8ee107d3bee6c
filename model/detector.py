"""Finding faces with BlazeFace short range (Bazarevsky et al., arXiv 1907.05047), MediaPipe's weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
"""The largest stride. Sides of the graph's input are multiples of it, so that the grids lie as they did in training."""

OVERLAP = 0.3
"""Intersection over union from which two boxes are taken for the same face, as in MediaPipe's graph."""

LONG = 1.2
"""Ratio of a picture's sides from which it is worth a closer look."""

LONGEST = 2
"""A closer look draws a picture at most this many times as long as a first look does."""

Box = Sequence[float]
"""Left, top, right and bottom."""

Answer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Log odds (n,), and rows (n, 16) of boxes and key points."""

Found = tuple[list[float], float]
"""A face's box as the middle x, y and the width and height, then six key points x, y, in pixels of the input; and its score."""


class BlazeFace:
    """A face detector for faces up to about two metres from the camera. One thread may use it at a time.

    It was trained on squares, of which a 16:9 picture fills little more than half. All of its layers are convolutional, so it
    is planned for only as much as the picture fills, once for each picture format.
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
        (faces,) = self.detect_each([picture])
        return faces

    def detect_each(self, pictures: Sequence[Picture | Image]) -> list[list[Face]]:
        """What `detect` finds in each picture. Together they cost less, as each step is still cached when it is repeated."""
        shown = [Still(picture) if isinstance(picture, np.ndarray) else picture for picture in pictures]
        first = {number: self._input.size for number, picture in enumerate(shown) if picture.width * picture.height}
        found = dict[int, list[Face]]((number, []) for number in range(len(shown))) | self._look(shown, first)
        missed = [number for number in first if not found[number] and _is_long(shown[number])]
        found |= self._look(shown, {number: self._closer(shown[number]) for number in missed})
        return [sorted(faces, key=lambda face: face.area, reverse=True) for faces in found.values()]

    def _closer(self, picture: Picture) -> int:
        """The longer side, in pixels, that a picture needs for its shorter side to be as long as the longer one in a first look.

        It is at most `LONGEST` times as long. Measured at 480x270: of faces 34 to 43 pixels wide, a first look finds about
        a quarter, a closer look all.
        """
        longer, shorter = max(picture.width, picture.height), min(picture.width, picture.height)
        return round(self._input.size * min(longer / shorter, LONGEST))

    def _look(self, pictures: list[Picture], sides: dict[int, int]) -> dict[int, list[Face]]:
        """The faces in the pictures numbered in `sides`, drawn with their longer side that many pixels long."""
        drawings = {number: self._drawn(pictures[number], side) for number, side in sides.items()}
        answers = {number: drawing.sheet.answer(drawing.canvas) for number, drawing in drawings.items()}
        return {number: drawings[number].faces_by(answer, self._least) for number, answer in answers.items()}

    def _drawn(self, picture: Picture, side: int) -> "_Drawing":
        width, height = drawn(picture.width, picture.height, side)
        sheet = self._sheet(filled(width), filled(height))
        return _Drawing(sheet, width, height, sheet.draw(picture, width, height))

    def _sheet(self, width: int, height: int) -> "_Sheet":
        # there are few: one side is always that of a first or a closer look, the other a multiple of 16
        if (width, height) not in self._sheets:
            self._sheets[width, height] = _Sheet(self._content, self._input, width, height, self._what)
        return self._sheets[width, height]


def _is_long(picture: Picture) -> bool:
    """Whether a picture is worth a closer look."""
    return max(picture.width, picture.height) >= LONG * min(picture.width, picture.height)


class _Sheet:
    """BlazeFace planned for one shape of input: it draws pictures in that shape, and reads the graph's answers."""

    def __init__(self, content: bytes, wanted: Input, width: int, height: int, what: str) -> None:
        # the file declares a square, but nothing in the graph depends on that
        self._graph = Graph(content, (1, height, width, wanted.channels), strict=False, what=what)
        centres = anchors(width, height)
        # the graph's answers are relative to them, except for the size of the box
        self._shifts = np.tile(centres, 8)
        self._shifts[:, 2:4] = 0
        count = len(centres)
        outputs = {name: values.shape for name, values in self._graph.run().items()}
        if outputs != {"regressors": (1, count, 16), "classificators": (1, count, 1)}:
            raise ModelUnusable(f"{what} is not BlazeFace short range: it has other outputs")
        low, high = wanted.range
        self._scale, self._offset = np.float32((high - low) / 255), np.float32(low)
        self._shape = height, width, wanted.channels

    def draw(self, picture: Picture, width: int, height: int) -> Image:
        """A black canvas of the sheet's shape, (h, w, 3) uint8, with the picture drawn width x height large in its middle."""
        left, top = self._corner(width, height)
        canvas = np.zeros(self._shape, np.uint8)
        picture.draw(canvas[top : top + height, left : left + width])
        return canvas

    def answer(self, canvas: Image) -> Answer:
        """The graph's answer to a drawn picture: log odds (n,), and rows (n, 16) of boxes and key points."""
        values = self._graph.input[0]
        np.multiply(canvas, self._scale, out=values)
        values += self._offset
        del values  # the graph does not run while its input is held
        outputs = self._graph.run()
        return outputs["classificators"][0, :, 0], outputs["regressors"][0]

    def faces(self, answer: Answer, width: int, height: int, least: float) -> list[Face]:
        """The faces in a picture that was drawn width x height large, whose log odds are `least` or more."""
        log_odds, boxes = answer
        (rows,) = (log_odds >= least).nonzero()
        found = merge(boxes[rows] + self._shifts[rows], [sigmoid(each) for each in log_odds[rows].tolist()])
        return [_face(numbers, score, *self._corner(width, height), width, height) for numbers, score in found]

    def _corner(self, width: int, height: int) -> tuple[int, int]:
        """The left and top of a picture of that size."""
        return (self._shape[1] - width) // 2, (self._shape[0] - height) // 2


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A picture as the graph sees it: width x height large in the middle of a canvas of its sheet."""

    sheet: _Sheet
    width: int
    height: int
    canvas: Image

    def faces_by(self, answer: Answer, least: float) -> list[Face]:
        """The faces in it, from the graph's answer."""
        return self.sheet.faces(answer, self.width, self.height, least)


def drawn(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height of a picture whose longer side becomes `side`, in pixels; even, since colours may be subsampled."""
    scale = side / max(width, height)
    return max(2 * round(width * scale / 2), 2), max(2 * round(height * scale / 2), 2)


def filled(side: int) -> int:
    """The side of the input, in pixels, into which a picture's side fits."""
    return math.ceil(side / COARSEST) * COARSEST


def sigmoid(log_odds: float) -> float:
    """The probability from log odds, which are clipped to -80 to 80, near the limits of a float32."""
    odds = math.exp(min(max(log_odds, -80.0), 80.0))
    return odds / (1 + odds)


def anchors(width: int, height: int) -> NDArray[np.float32]:
    """The centres x, y of the anchors, (n, 2), in pixels of the input: row by row, coarse grids last."""
    grids = [np.repeat(_cells(width, height, stride), each, axis=0) for stride, each in ANCHOR_GRIDS]
    return np.concatenate(grids).astype(np.float32)


def _cells(width: int, height: int, stride: int) -> NDArray[np.float64]:
    x, y = np.meshgrid(np.arange(stride / 2, width, stride), np.arange(stride / 2, height, stride))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def merge(rows: NDArray[np.float32], scores: list[float]) -> list[Found]:
    """A row and a score for each face: those of the rows (n, 16) whose boxes overlap are averaged, weighted by their scores.

    Blending instead of non-maximum suppression takes the jitter out of a video's boxes (the paper's section 3.2). A picture
    has only a few rows, for which Python's own numbers are quicker than arrays.
    """
    found: list[Found] = []
    boxes = [_box(*row) for row in rows[:, :4].tolist()]
    left = list(range(len(scores)))
    while left:
        best = max(left, key=scores.__getitem__)
        # a box without area overlaps nothing, not even itself
        same = [each for each in left if each == best or overlap(boxes[best], boxes[each]) >= OVERLAP]
        weights = [scores[each] for each in same]
        blended = (np.array(weights, np.float32) @ rows[same] / sum(weights)).tolist()
        if blended[2] > 0 and blended[3] > 0:
            found.append((blended, scores[best]))
        left = [each for each in left if each not in same]
    return found


def _box(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    shared = _area(max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    return shared / max(_area(*one) + _area(*other) - shared, 1e-9)


def _area(left: float, top: float, right: float, bottom: float) -> float:
    """The area of a box; 0 if its sides are crossed."""
    return max(right - left, 0.0) * max(bottom - top, 0.0)


def _face(numbers: list[float], score: float, left: int, top: int, width: int, height: int) -> Face:
    """A face found in a picture that was drawn width x height large at `left`, `top`."""
    x, y, across, down, *points = numbers
    keypoints = zip(points[::2], points[1::2], strict=True)
    return Face(
        x=(x - across / 2 - left) / width,
        y=(y - down / 2 - top) / height,
        width=across / width,
        height=down / height,
        score=score,
        keypoints=tuple(((x - left) / width, (y - top) / height) for x, y in keypoints),
    )
