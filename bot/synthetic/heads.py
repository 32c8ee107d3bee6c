"""What surrounds a made-up face: skull, ears and hair on a canvas that moves with the head; neck and shoulders below.

Lengths are in pixels of the generator's 48x48 faces, and (0, 0) is the upper left corner of the face.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bot.synthetic.people import Colour, Person
from model.faces import Image

LEFT, TOP, WIDTH, HEIGHT = 24, 24, 96, 112
"""How far the canvas extends beyond the face to the left and above, and its size."""

DETAIL = 3
"""Pixels of the drawn canvas per pixel of the face, in each direction."""

Mask = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Layer:
    """A picture (height, width, 3) and how opaque it is (height, width), 0 to 255; both uint8."""

    colours: Image
    cover: Mask


def skull() -> Mask:
    """Where there is skin, including the ears."""
    mask = _ellipse((24, 21), (19.5, 28))
    return mask | _ellipse((4.5, 23), (3, 6)) | _ellipse((43.5, 23), (3, 6))


def hair(person: Person) -> tuple[Layer, Layer]:
    """The hair behind the head and shoulders, and the hair in front of them."""
    random = person.random("hair")
    behind, before = _STYLES[person.hair](random)
    if person.hair == "scarf":
        return _cloth(behind, person.clothes), _cloth(before, person.clothes)
    return _strands(behind, person.hair_colour, random), _strands(before, person.hair_colour, random)


Style = Callable[[np.random.Generator], tuple[Mask, Mask]]


def _short(random: np.random.Generator) -> tuple[Mask, Mask]:
    top = random.uniform(-10, -6)
    cap = _ellipse((24, 17), (21.5, 17 - top)) & _above(random.uniform(20, 26))
    return _nothing(), cap & ~_opening(random.uniform(0, 3), random.uniform(-1, 1))


def _parted(random: np.random.Generator) -> tuple[Mask, Mask]:
    aside = float(random.choice([-4, 4]))
    cap = _ellipse((24, 15), (22.5, 24)) & _above(28)
    return _nothing(), cap & ~_opening(random.uniform(0, 2), aside)


def _curly(random: np.random.Generator) -> tuple[Mask, Mask]:
    """A cloud of small circles around the skull."""
    cloud = _nothing()
    for angle in np.linspace(np.pi * 0.92, np.pi * 2.08, 26):
        centre = 24 + 20 * np.cos(angle), 15 + 19 * np.sin(angle)
        cloud |= _ellipse(centre, (random.uniform(5, 8),) * 2)
    return cloud, (cloud | _ellipse((24, 5), (20, 12))) & ~_opening(2, 0) & _above(26)


def _long(random: np.random.Generator) -> tuple[Mask, Mask]:
    length = random.uniform(56, 80)
    behind = _ellipse((24, 16), (25, 27)) | _polygon([(-1, 16), (49, 16), (52, length), (-4, length)])
    before = behind & ~_opening(random.uniform(0, 2), random.uniform(-3, 3)) & _above(40)
    return behind, before & ~_polygon([(6, 26), (42, 26), (42, 60), (6, 60)])


def _bun(random: np.random.Generator) -> tuple[Mask, Mask]:
    cap = _ellipse((24, 16), (21.5, 23.5)) & _above(24)
    return _ellipse((24 + random.uniform(-5, 5), -10), (9, 8)), cap & ~_opening(1, 0)


def _shaved(random: np.random.Generator) -> tuple[Mask, Mask]:
    cap = _ellipse((24, 20), (20, 27)) & _above(18) & ~_opening(random.uniform(1, 3), 0)
    thin = cap // 255 * np.uint8(random.integers(90, 170))
    return _nothing(), thin.astype(np.uint8)


def _scarf(random: np.random.Generator) -> tuple[Mask, Mask]:
    around = _ellipse((24, 19), (25, 31)) | _polygon([(2, 30), (46, 30), (60, 80), (-12, 80)])
    return around, around & ~_ellipse((24, 25 + random.uniform(0, 1)), (17.5, 24))


_STYLES: dict[str, Style] = {
    "short": _short, "parted": _parted, "curly": _curly, "long": _long, "bun": _bun, "shaved": _shaved, "scarf": _scarf,
}  # fmt: skip


def _opening(down: float, aside: float) -> Mask:
    """The opening in the hair through which the face is seen."""
    return _ellipse((24 + aside, 27 + down), (18.5, 25))


def _nothing() -> Mask:
    return np.zeros((HEIGHT * DETAIL, WIDTH * DETAIL), np.uint8)


def _on_canvas(point: Sequence[float]) -> tuple[int, int]:
    return round((point[0] + LEFT) * DETAIL), round((point[1] + TOP) * DETAIL)


def _ellipse(centre: Sequence[float], half: Sequence[float]) -> Mask:
    mask = _nothing()
    cv2.ellipse(mask, _on_canvas(centre), (round(half[0] * DETAIL), round(half[1] * DETAIL)), 0, 0, 360, 255, -1)
    return mask


def _polygon(points: Sequence[Sequence[float]]) -> Mask:
    mask = _nothing()
    cv2.fillPoly(mask, [np.array([_on_canvas(point) for point in points], np.int32)], 255)
    return mask


def _above(y: float) -> Mask:
    mask = _nothing()
    mask[: round((y + TOP) * DETAIL)] = 255
    return mask


def _strands(cover: Mask, colour: Colour, random: np.random.Generator) -> Layer:
    """Hair of a colour: fine stripes that fall to both sides of the crown, lighter at the top."""
    y, x = np.mgrid[: cover.shape[0], : cover.shape[1]].astype(np.float32)
    angle = np.arctan2(x - (24 + LEFT) * DETAIL, y + 40)
    stripes = cv2.GaussianBlur(random.normal(0, 1, 512).astype(np.float32)[None], (0, 0), 1.0)[0]
    light = 1 + 0.22 * stripes[((angle + np.pi) * 160).astype(int) % 512] + 0.25 * np.exp(-(((y - 40) / 30) ** 2))
    colours = np.clip((np.array(colour) + 10) * light[..., None], 0, 255).astype(np.uint8)
    return Layer(colours, _softened(cover, 2.0))


def _cloth(cover: Mask, colour: Colour) -> Layer:
    """A plain cloth with wide folds."""
    y, x = np.mgrid[: cover.shape[0], : cover.shape[1]].astype(np.float32)
    folds = 1 + 0.12 * np.sin(np.arctan2(x - (24 + LEFT) * DETAIL, y + 10) * 22) - 0.0006 * y
    return Layer(np.clip(np.array(colour) * folds[..., None], 0, 255).astype(np.uint8), _softened(cover, 1.5))


def _softened(mask: Mask, pixels: float) -> Mask:
    return cv2.GaussianBlur(mask, (0, 0), pixels).astype(np.uint8, copy=False)


def softened_skull() -> Mask:
    """Where there is skin, with a soft edge."""
    return _softened(skull(), 2.0)


def shoulders(person: Person, width: int, height: int, face_left: float, face_top: float, unit: float) -> Layer:
    """Neck and clothes in a picture of this size, below a face with its upper left corner at (`face_left`, `face_top`).

    `unit` is the width of one of the face's 48 pixels in the picture.
    """

    def place(x: float, y: float) -> tuple[int, int]:
        return round(face_left + x * unit), round(face_top + y * unit)

    def polygon(points: Sequence[tuple[float, float]]) -> NDArray[np.int32]:
        return np.array([place(*point) for point in points], np.int32)

    random = person.random("shoulders")
    # the colours extend beyond the cover, so that no black is mixed in at its soft edge
    colours = np.full((height, width, 3), person.clothes, np.uint8)
    cover = np.zeros((height, width), np.uint8)
    half = round(random.uniform(48, 58) * unit), round(random.uniform(40, 46) * unit)
    cv2.ellipse(cover, place(24, 98), half, 0, 0, 360, 255, -1)
    cv2.fillPoly(cover, [polygon([(10, 52), (38, 52), (58, 70), (-10, 70)])], 255)
    shaded = tuple(int(value * 0.74) for value in person.skin)
    neck = polygon([(12, 36), (36, 36), (36, 53), (41, 58), (24, 69), (7, 58), (12, 53)])
    cv2.fillPoly(cover, [neck], 255)
    cv2.fillPoly(colours, [neck], shaded)
    collar = tuple(int(value * 0.75) for value in person.clothes)
    cv2.polylines(colours, [polygon([(7, 58), (24, 69), (41, 58)])], False, collar, max(round(unit * 1.6), 1), cv2.LINE_AA)
    return Layer(_folded(colours), _softened(cover, max(unit * 0.7, 0.8)))


def _folded(colours: Image) -> Image:
    """The clothes, shaded more towards the sides."""
    x = np.linspace(-1, 1, colours.shape[1], dtype=np.float32)
    soft = cv2.GaussianBlur(colours, (0, 0), 1.5).astype(np.float32) * (1.05 - 0.25 * x**2)[None, :, None]
    return np.clip(soft, 0, 255).astype(np.uint8)
