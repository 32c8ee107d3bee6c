"""The pictures on which costs are measured: the portrait in the size of the lowest simulcast layer."""

from itertools import islice

import av
import cv2

from bot.clips import portrait_pictures
from model.faces import Image

SIZE = (320, 180)
COUNT = 20


def pictures() -> list[Image]:
    """RGB pictures (180, 320, 3) uint8 with one face each."""
    chosen = islice(portrait_pictures(0), 0, 4 * COUNT, 4)
    return [cv2.resize(each, SIZE, interpolation=cv2.INTER_AREA).astype("uint8", copy=False) for each in chosen]


def decoded(images: list[Image]) -> list[av.VideoFrame]:
    """The pictures as a decoder returns them: planes of YUV 4:2:0."""
    return [av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p") for image in images]
