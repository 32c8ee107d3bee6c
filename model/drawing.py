"""Drawing pictures as large as a graph reads them."""

import cv2
import numpy as np

from model.faces import Image

SPARSE = 2.6
"""A picture that is this many times too large is halved before it is drawn; halved earlier, it shows fewer small dark faces.

Usual pictures of 16:9 are two and a half times too large, or become so by halving, and show as much without one halving more.
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
    # linear interpolation looks at two pixels a side and skips the others; halves are averages, and quick
    while image.shape[0] >= SPARSE * height or image.shape[1] >= SPARSE * width:
        half = max(image.shape[1] // 2, width), max(image.shape[0] // 2, height)
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    cv2.resize(image, (width, height), dst=place, interpolation=cv2.INTER_LINEAR)
