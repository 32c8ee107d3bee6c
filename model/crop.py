"""Cutting a face out of a picture the way FER-2013's own squares are cut."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.faces import Face, Image

BOX_PER_SQUARE = 0.85
"""Width of BlazeFace's box in widths of the FER-2013 square around the same face, measured on that data set."""

BOX_BELOW_SQUARE = 0.08
"""How far the box's centre lies below the square's, in widths of the square, measured likewise."""

LEAST_BETWEEN_EYES = 0.2
"""In widths of the box: eyes that are closer together are those of a face from the side, and tell no tilt. The median is 0.44."""

MOST_TILT = math.radians(120)
"""Eyes that lie further from level are not believed: the detector knows upright heads.

Of a head that lies on its side it sees a smaller tilt than there is, yet with it 45 to 48 % of PublicTest's faces, 90 pixels
wide, are read as labelled, and 26 to 31 % without; of upright ones as many as before."""

MOST_SAMPLES = 8
"""Samples per output pixel and axis, at most: eight a side average out the noise of a face of any size."""


@dataclass(frozen=True, slots=True)
class Square:
    """A square in a picture: its middle and its side in pixels, and its turn in radians, clockwise."""

    middle_x: float
    middle_y: float
    side: float
    turn: float


def crop_face(image: Image, face: Face, size: int, level: bool = True) -> Image:
    """The square around the face, grey (size, size) uint8, from a picture uint8: grey (height, width) or RGB (height, width, 3).

    It is turned with the head, as `square` says. Where it reaches over the picture's edge, the edge's pixels are repeated.
    """
    wanted = square(face, width=image.shape[1], height=image.shape[0], level=level)
    # linear interpolation looks at two pixels a side, so a large face is cut finer than wanted and averaged down; a step of
    # up to one pixel and a half was measured as good as one of at most one
    samples = min(max(round(wanted.side / size), 1), MOST_SAMPLES)
    cut = cv2.warpAffine(
        image,
        _to_image(wanted, size * samples),
        (size * samples, size * samples),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if samples > 1:
        cut = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
    return (cut if cut.ndim == 2 else cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY)).astype(np.uint8, copy=False)


def _to_image(wanted: Square, pixels: int) -> NDArray[np.float64]:
    """The move (2, 3) from a picture of so many pixels a side to where the square lies, both counted at pixels' centres."""
    right, down = (wanted.side / pixels * each(wanted.turn) for each in (math.cos, math.sin))
    middle = (pixels - 1) / 2
    return np.array(
        [
            [right, -down, wanted.middle_x - 0.5 - middle * (right - down)],
            [down, right, wanted.middle_y - 0.5 - middle * (down + right)],
        ]
    )


def square(face: Face, width: int, height: int, level: bool = True) -> Square:
    """The square that FER-2013 would cut around the face of a picture of `width` x `height`.

    With `level`, it is turned so that the eyes lie level in it, if they tell where level is: docs/model-card.md shows what
    that saves a tilted head, and that it costs others nothing.
    """
    side = face.width * width / BOX_PER_SQUARE
    turn = _tilt(face, width, height) if level else 0.0
    # up from the middle of the box, as the head is turned
    return Square(
        middle_x=(face.x + face.width / 2) * width + BOX_BELOW_SQUARE * side * math.sin(turn),
        middle_y=(face.y + face.height / 2) * height - BOX_BELOW_SQUARE * side * math.cos(turn),
        side=side,
        turn=turn,
    )


def _tilt(face: Face, width: int, height: int) -> float:
    """How far the eyes are from level, in radians, clockwise; 0 where they do not tell."""
    if len(face.keypoints) < 2:
        return 0.0
    (right_x, right_y), (left_x, left_y) = face.keypoints[:2]
    across, down = (left_x - right_x) * width, (left_y - right_y) * height
    tilt = math.atan2(down, across)
    if math.hypot(across, down) < LEAST_BETWEEN_EYES * face.width * width or abs(tilt) > MOST_TILT:
        return 0.0
    return tilt
