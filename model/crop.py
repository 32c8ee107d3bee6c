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
"""In widths of the box: eyes closer together are those of a face from the side, and do not show its tilt. The median is 0.44."""

MOST_TILT = math.radians(120)
"""Eyes further from level are not believed: the detector knows upright heads.

For a head on its side it sees less tilt than there is, yet with levelling 45 to 48 % of PublicTest's faces, 90 pixels wide,
are read as labelled, and without it 26 to 31 %; of upright ones, as many as before."""

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

    It is turned with the head, as `square` says. Where it extends beyond the picture, the pixels of the edge are repeated.
    """
    wanted = square(face, width=image.shape[1], height=image.shape[0], level=level)
    # linear interpolation reads only two pixels per axis, so a large face is cut finer than wanted and averaged down;
    # steps of up to 1.5 pixels were measured to be as good as steps of at most one
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
    """The transform (2, 3) from an output of so many pixels a side to the square, in coordinates of the pixels' centres."""
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

    With `level`, it is turned so that the eyes are level in it, if they show the tilt: docs/model-card.md shows what that
    gains for tilted heads, and that it costs others nothing.
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
    """How far the eyes are from level, in radians, clockwise; 0 if they do not show it."""
    if len(face.keypoints) < 2:
        return 0.0
    (right_x, right_y), (left_x, left_y) = face.keypoints[:2]
    across, down = (left_x - right_x) * width, (left_y - right_y) * height
    tilt = math.atan2(down, across)
    if math.hypot(across, down) < LEAST_BETWEEN_EYES * face.width * width or abs(tilt) > MOST_TILT:
        return 0.0
    return tilt
