"""Cutting a face out of a picture the way FER-2013's own squares are cut."""

import math

import cv2
import numpy as np

from model.faces import Face, Image

BOX_PER_SQUARE = 0.85
"""Width of BlazeFace's box in widths of the FER-2013 square around the same face, measured on that data set."""

BOX_BELOW_SQUARE = 0.08
"""How far the box's centre lies below the square's, in widths of the square, measured likewise."""

MOST_SAMPLES = 8
"""Samples per output pixel and axis, at most: eight a side average out the noise of a face of any size."""


def crop_face(image: Image, face: Face, size: int) -> Image:
    """The square around the face, grey (size, size) uint8, from a picture uint8: grey (height, width) or RGB (height, width, 3).

    Where the square reaches over the picture's edge, the edge's pixels are repeated.
    """
    left, top, side = square(face, width=image.shape[1], height=image.shape[0])
    # linear interpolation looks at two pixels a side, so a large face is cut finer than wanted and averaged down
    samples = min(max(math.ceil(side / size), 1), MOST_SAMPLES)
    step = side / (size * samples)
    # pixels are sampled at their centres, which lie half a step and half a pixel from the corners
    to_image = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    cut = cv2.warpAffine(
        image,
        to_image,
        (size * samples, size * samples),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if samples > 1:
        cut = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
    return (cut if cut.ndim == 2 else cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY)).astype(np.uint8, copy=False)


def square(face: Face, width: int, height: int) -> tuple[float, float, float]:
    """The square that FER-2013 would cut around the face: left, top and side in pixels of a width x height picture."""
    side = face.width * width / BOX_PER_SQUARE
    centre_x = (face.x + face.width / 2) * width
    centre_y = (face.y + face.height / 2) * height - BOX_BELOW_SQUARE * side
    return centre_x - side / 2, centre_y - side / 2, side
