"""Video files for tests that contain nothing belonging to anybody."""

from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

from bot.clips import PORTRAIT
from model.faces import Image


def write_video(
    path: Path,
    size: tuple[int, int],
    frames_per_second: int,
    seconds: float,
    picture: Image | None = None,
    codec: Literal["mpeg4", "libx264"] = "mpeg4",
    pixel_width: Fraction = Fraction(1),
    axes: tuple[float, float, float, float] = (1, 0, 0, 1),
) -> Path:
    """A file of that size and length, showing the given RGB picture, or grey that grows lighter.

    `pixel_width` is relative to the pixels' height; `axes` say how a player must turn the picture, as in FFmpeg's display matrix.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=frames_per_second)
        stream.width, stream.height, stream.pix_fmt = size[0] // 2 * 2, size[1] // 2 * 2, "yuv420p"
        stream.sample_aspect_ratio = pixel_width
        if axes != (1, 0, 0, 1):
            a, b, c, d = (round(65536 * part) for part in axes)
            stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        for number in range(round(seconds * frames_per_second)):
            pixels = np.full((stream.height, stream.width, 3), number % 200, np.uint8) if picture is None else picture
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def portrait(width: int, height: int) -> Image:
    """The astronaut's portrait centred in a picture of that size and as high as it, RGB (height, width, 3) uint8."""
    bgr = cv2.imread(str(PORTRAIT), cv2.IMREAD_COLOR)
    assert bgr is not None
    side = min(width, height)
    face = cv2.resize(bgr[0:300, 74:374], (side, side), interpolation=cv2.INTER_AREA)[..., ::-1]
    picture = np.full((height, width, 3), 90, np.uint8)
    left, top = (width - side) // 2, (height - side) // 2
    picture[top : top + side, left : left + side] = face
    return picture


def write_joined(path: Path, seconds: float, levels: tuple[int, ...]) -> Path:
    """Joined segments of that length, one of each grey level, ten pictures a second; each starts at the same timestamp."""
    segment = path.with_name("segment.ts")
    whole = b""
    for level in levels:
        write_video(segment, (64, 48), 10, seconds, np.full((48, 64, 3), level, np.uint8), "libx264")
        whole += segment.read_bytes()
    path.write_bytes(whole)
    return path
