"""Draws pictures at the size that a graph reads."""

import cv2
import numpy as np

from model.faces import Image

SPARSE = 2.6
"""A picture this many times too large is halved before it is drawn; with a lower limit, fewer small dark faces are found.

Common 16:9 pictures are 2.5 times too large, or become so by halving, and show as much without one more halving.
"""


class Still:
    """An RGB picture (height, width, 3) uint8."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self.height, self.width = image.shape[:2]

    def draw(self, place: Image) -> None:
        """Fill the place (height, width, 3) uint8 with the picture, scaled."""
        draw(self._image, place)


def draw(image: Image, place: Image) -> None:
    """Fill the place with the picture, scaled; both uint8, with as many channels."""
    height, width = place.shape[:2]
    # linear interpolation reads two pixels per axis and skips the others; halving averages them, and is quick
    while image.shape[0] >= SPARSE * height or image.shape[1] >= SPARSE * width:
        half = max(image.shape[1] // 2, width), max(image.shape[0] // 2, height)
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    cv2.resize(image, (width, height), dst=place, interpolation=cv2.INTER_LINEAR)
