"""Videos in which every frame carries a mark that says whom it shows, and the reading of that mark from a received frame."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from av import VideoFrame

from bot.clips import FRAMES_PER_SECOND, Clip, encode, portrait_pictures
from model.faces import Image

BITS = 8
LARGEST_MARK = 2**BITS - 1
STRIP = 0.25
"""The mark's share of the height, below the portrait: a row of blocks, white for 1, and a row of their opposites."""
LIGHT, DARK = 215, 40
LEAST_CONTRAST = 60
"""Least contrast between a block and its opposite, of 175 sent; with less it is no mark, or a mix of two."""


def marked(picture: Image, number: int) -> Image:
    """The RGB picture with the mark of a number from 0 to 255 along its bottom."""
    assert 0 <= number <= LARGEST_MARK
    ones = np.array([number >> place & 1 for place in range(BITS)], dtype=bool)
    blocks = np.where(np.stack([ones, ~ones]), LIGHT, DARK).astype(np.uint8)
    height, width = picture.shape[:2]
    strip = cv2.resize(blocks, (width, round(height * STRIP)), interpolation=cv2.INTER_NEAREST)
    picture = picture.copy()
    picture[height - len(strip) :] = strip[..., None]
    return picture


def mark_of(frame: VideoFrame) -> int | None:
    """Whose mark a received frame carries, or None if it carries none for certain."""
    return mark_in(frame.to_ndarray(format="gray").astype(np.uint8, copy=False))


def mark_in(grey: Image) -> int | None:
    """Whose mark a grey picture (height, width) carries, or None."""
    height = len(grey)
    strip = grey[height - round(height * STRIP) :].astype(np.float32)
    # the middle of each block, away from its blurred edges
    ones, opposites = (
        cv2.resize(strip, (BITS * 8, 2 * 8), interpolation=cv2.INTER_AREA).reshape(2, 8, BITS, 8)[:, 2:6, :, 2:6].mean((1, 3))
    )
    contrast = ones - opposites
    if np.abs(contrast).min() < LEAST_CONTRAST:
        return None
    return int(sum(1 << place for place in range(BITS) if contrast[place] > 0))


def marked_pictures(number: int, size: tuple[int, int], seconds: float) -> Iterator[Image]:
    """The moving portrait with a number's mark, RGB, ten pictures a second; `size` is width and height."""
    for picture in islice(portrait_pictures(number % 4), round(seconds * FRAMES_PER_SECOND)):
        yield marked(cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8), number)


def marked_clip(number: int, size: tuple[int, int] = (320, 180), seconds: float = 2) -> Clip:
    """A clip for a simulated student who must be told apart from others."""
    return encode(marked_pictures(number, size, seconds))


def marked_camera(path: Path, number: int, size: tuple[int, int] = (1280, 720), seconds: float = 2, lying: int = 0) -> Path:
    """A file of consecutive JPEG pictures that Chromium takes for its camera, turned anticlockwise by `lying` quarter turns."""
    pictures = (np.rot90(picture, lying)[..., ::-1] for picture in marked_pictures(number, size, seconds))
    jpegs = (cv2.imencode(".jpg", np.ascontiguousarray(picture))[1].tobytes() for picture in pictures)
    path.write_bytes(b"".join(jpegs))
    return path
