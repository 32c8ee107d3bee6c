"""The pictures of a made-up person's webcam: the generated face on a head, in front of shoulders and a room."""

import cv2
import numpy as np
from numpy.typing import NDArray

from bot.synthetic.backdrops import backdrop
from bot.synthetic.heads import DETAIL, HEIGHT, LEFT, TOP, WIDTH, Layer, hair, shoulders, softened_skull
from bot.synthetic.motion import Motion, Pose
from bot.synthetic.people import Colour, Person
from model.aligned_faces import LEFT_EYE, RIGHT_EYE, oval
from model.faces import EMOTIONS, Image
from model.generated_faces import FaceGenerator, Feeling, Identity

SIZE = (480, 270)
"""Width and height of the pictures: the size that the student page sends."""

SPREAD = 0.7
"""How far people are from the average face, in standard deviations; faces far from it are drawn badly."""

CANDIDATES = 4
"""How many identities are tried for a person, who gets the one that is drawn most smoothly."""

CONTRAST = 0.85
GRAIN = 2.0
"""Standard deviation of a webcam's noise, in levels."""

Sheet = NDArray[np.uint8]
"""A picture (height, width, 4): colours multiplied by their opacity, and the opacity."""

Levels = NDArray[np.float32]

_CANVAS = (WIDTH * DETAIL, HEIGHT * DETAIL)
_FACE = 48


class Webcam:
    """Draws one person. Only one thread at a time may use it and its generator."""

    def __init__(self, person: Person, generator: FaceGenerator) -> None:
        width, height = SIZE
        self._generator = generator
        self.identity = identity(person, generator)
        self._motion = Motion(person)
        self._unit = person.face_height * height / _FACE
        self._left = (0.5 + person.across) * width - _FACE / 2 * self._unit
        self._top = (0.5 + person.down) * height - _FACE / 2 * self._unit
        behind, before = hair(person)
        self._behind = _sheet(behind) if behind.cover.any() else None
        self._hair = _sheet(before)
        self._skin = _skin_tones(person.skin)
        self._skull = softened_skull()
        self._pores = person.random("pores").normal(0, 2.5, self._skull.shape).astype(np.float32)
        self._room = backdrop(person, width, height)
        self._shoulders = _sheet(shoulders(person, width, height, self._left, self._top, self._unit))
        self._light = _light(person, width, height)
        self._grain = _grain(person.random("grain"), width, height)
        self._drawn: tuple[tuple[bytes, float], Sheet] | None = None

    def picture(self, feeling: Feeling, at_seconds: float) -> Image:
        """What the camera shows, RGB (270, 480, 3) uint8."""
        pose = self._motion.pose(at_seconds)
        place = self._placing(pose)
        head = self._head(feeling, pose.lids)
        picture = self._room.copy()
        if self._behind is not None:
            _lay(picture, self._behind, place)
        _lay(picture, self._shoulders, np.array([[1, 0, pose.across * 0.4 * self._unit], [0, 1, pose.down * 0.3 * self._unit]]))
        _lay(picture, head, place)
        cv2.multiply(picture, self._light, dst=picture, scale=1 / 128)
        cv2.add(picture, self._grain, dst=picture)
        return picture

    def _placing(self, pose: Pose) -> NDArray[np.float64]:
        """The transformation (2, 3) from canvas to picture; the head turns about the neck."""
        unit = self._unit * pose.size
        turn = cv2.getRotationMatrix2D(((24 + LEFT) * DETAIL, (46 + TOP) * DETAIL), pose.turn, unit / DETAIL)
        across = self._left + (24 + pose.across) * self._unit - (24 + LEFT) * DETAIL
        down = self._top + (46 + pose.down) * self._unit - (46 + TOP) * DETAIL
        place: NDArray[np.float64] = turn + np.array([[0, 0, across], [0, 0, down]])
        return place

    def _head(self, feeling: Feeling, lids: float) -> Sheet:
        """The head with this expression, drawn again only if it differs from the last one."""
        wanted = (feeling.tobytes(), lids)
        if self._drawn is None or self._drawn[0] != wanted:
            self._drawn = wanted, self._head_around(self._generator.draw(self.identity, feeling), lids)
        return self._drawn[1]

    def _head_around(self, face: Image, lids: float) -> Sheet:
        """The head: the face, which blends into plain skin towards forehead and ears, with the hair over it."""
        levels = (face.astype(np.float32) - 128) * CONTRAST + 128
        if lids:
            _close_eyes(levels, lids)
        around: Levels = cv2.resize(_spread_out(levels), _CANVAS, interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)
        inner = slice(TOP * DETAIL, (TOP + _FACE) * DETAIL), slice(LEFT * DETAIL, (LEFT + _FACE) * DETAIL)
        large = cv2.resize(levels, (_FACE * DETAIL, _FACE * DETAIL), interpolation=cv2.INTER_CUBIC)
        around[inner] += ((large - around[inner]) * _OVAL).astype(np.float32, copy=False)
        around += self._pores
        grey = np.clip(around, 0, 255).astype(np.uint8)
        head = _sheet(Layer(cv2.LUT(cv2.merge([grey] * 3), self._skin).astype(np.uint8, copy=False), self._skull))
        return _over(head, self._hair)


def identity(person: Person, generator: FaceGenerator) -> Identity:
    """The face of a person: of CANDIDATES random ones, that with the fewest spots and ripples over all emotions."""
    random = person.random("identity")
    kinds = np.eye(len(EMOTIONS), dtype=np.float32)

    def roughness(proposed: Identity) -> float:
        return float(sum(cv2.Laplacian(generator.draw(proposed, kind), cv2.CV_32F)[_INSIDE].std() for kind in kinds))

    return min((generator.identity(random, SPREAD) for _ in range(CANDIDATES)), key=roughness)


_INSIDE = oval() > 0
_SOFT = oval(2.5)
_OVAL = cv2.resize(_SOFT, (_FACE * DETAIL, _FACE * DETAIL), interpolation=cv2.INTER_LINEAR)


def _spread_out(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The levels (48, 48) of a face, extended from its rim over the whole canvas (112, 96)."""
    canvas, there = np.zeros((2, HEIGHT, WIDTH), np.float32)
    inner = slice(TOP, TOP + _FACE), slice(LEFT, LEFT + _FACE)
    canvas[inner], there[inner] = levels * _SOFT, _SOFT
    near, far = (_blurred(canvas, sigma) / np.maximum(_blurred(there, sigma), 1e-4) for sigma in (4, 14))
    close = np.minimum(_blurred(there, 4) * 4, 1)
    spread: NDArray[np.float32] = (near * close + far * (1 - close)).astype(np.float32)
    return spread


def _blurred(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE).astype(np.float32, copy=False)


def _eyes() -> NDArray[np.float32]:
    """Where the eyes are in a face, as a mask (48, 48, 1) from 0 to 1."""
    mask = np.zeros((_FACE, _FACE), np.float32)
    for x, y in (RIGHT_EYE, LEFT_EYE):
        cv2.ellipse(mask, (round(x), round(y) + 1), (5, 3), 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), 1.0).astype(np.float32, copy=False)


_EYES = _eyes()


def _close_eyes(levels: NDArray[np.float32], lids: float) -> None:
    """Draw lids over the eyes, in place: the skin from below them, and a dark line."""
    rows = round(RIGHT_EYE[1])
    skin = np.broadcast_to(levels[rows + 6 : rows + 8].mean(axis=0), levels.shape).copy()
    skin[rows + 2 : rows + 4] -= 30
    levels += (skin - levels) * _EYES * lids


def _skin_tones(skin: Colour) -> NDArray[np.uint8]:
    """The colour (1, 256, 3) of each level of grey: darker ones redder, lighter ones paler."""
    level = np.arange(256, dtype=np.float32) / 150
    tones = []
    for number, base in enumerate(skin):
        dark = base * np.minimum(level, 1) ** (0.9 + 0.12 * number)
        pale = np.maximum(level - 1, 0) * (255 - base) * 0.6
        tones.append(np.clip(dark + pale, 0, 255))
    return np.stack(tones, 1).astype(np.uint8)[None]


def _light(person: Person, width: int, height: int) -> Image:
    """The light from both sides at each pixel and colour, (height, width, 3) uint8: 128 is neutral, and corners are darker."""
    left, right = person.light
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(-1, 1, height))
    level = (left + (right - left) * x) * (1.02 - 0.10 * ((2 * x - 1) ** 2 + y**2))
    tint = np.array([1 + person.warmth, 1.0, 1 - person.warmth])
    light: Image = np.clip(level[..., None] * tint * 128, 0, 255).astype(np.uint8)
    return light


def _grain(random: np.random.Generator, width: int, height: int) -> Image:
    noise = random.normal(GRAIN * 2, GRAIN, (height, width, 1)).clip(0, 12).astype(np.uint8)
    return np.repeat(noise, 3, axis=2)


def _sheet(layer: Layer) -> Sheet:
    """The layer as a sheet: colours multiplied by its cover, and the cover as the fourth channel."""
    share = cv2.merge([layer.cover] * 3)
    return cv2.merge([cv2.multiply(layer.colours, share, scale=1 / 255), layer.cover]).astype(np.uint8, copy=False)


def _over(below: Sheet, above: Sheet) -> Sheet:
    """One sheet laid over another of the same size."""
    left = cv2.bitwise_not(above[..., 3])
    return cv2.add(cv2.multiply(below, cv2.merge([left] * 4), scale=1 / 255), above).astype(np.uint8, copy=False)


def _lay(picture: Image, sheet: Sheet, place: NDArray[np.float64]) -> None:
    """Lay a sheet over the picture, in place, after moving it by the transformation `place` (2, 3)."""
    left, top, right, bottom = _reach(place, sheet, picture)
    if right <= left or bottom <= top:
        return
    move = place - [[0, 0, left], [0, 0, top]]
    moved = cv2.warpAffine(sheet, move, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    part = picture[top:bottom, left:right]
    seen = cv2.multiply(part, cv2.merge([cv2.bitwise_not(moved[..., 3])] * 3), scale=1 / 255)
    cv2.add(seen, cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB), dst=part)


def _reach(place: NDArray[np.float64], sheet: Sheet, picture: Image) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of a picture that a moved sheet can cover."""
    height, width = sheet.shape[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ place.T
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return max(int(left), 0), max(int(top), 0), min(int(right) + 1, picture.shape[1]), min(int(bottom) + 1, picture.shape[0])
