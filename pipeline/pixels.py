"""A decoder's planes, viewed in place: grey at full resolution, colours only at the size asked for."""

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from model.drawing import draw
from model.faces import Image

_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
"""The colour matrices that FFmpeg converts, by their number in ITU-T H.273; a stream may name others."""

BLACK, WHITE = 16, 235
"""Their grey levels in video."""

_STRETCHED = np.clip(np.rint((np.arange(256) - BLACK) * (255 / (WHITE - BLACK))), 0, 255).astype(np.uint8)


class Pixels:
    """A decoded picture.

    If the picture came in the usual video format, this is a view and not a copy, and must not outlive the picture.
    `grey` (height, width) uint8 is in video levels, 16 to 235.
    """

    def __init__(self, planes: list[Image]) -> None:
        self._planes = planes
        self.grey = planes[0]
        self.height, self.width = self.grey.shape

    def draw(self, place: Image) -> None:
        """Draw the picture, scaled, as RGB into `place` (height, width, 3) uint8, whose height and width are even."""
        height, width = place.shape[:2]
        # all three planes in one array, as OpenCV expects them
        sheet = np.empty((height * 3 // 2, width), np.uint8)
        blue, red = sheet[height:].reshape(2, height // 2, width // 2)
        for plane, part in zip(self._planes, (sheet[:height], blue, red), strict=True):
            draw(plane, part)
        cv2.cvtColor(sheet, cv2.COLOR_YUV2RGB_I420, dst=place)

    @property
    def brightness(self) -> float:
        """The mean level, from 0 for black to 255 for white."""
        mean: float = cv2.mean(self.grey)[0]
        return _level(mean)

    @property
    def brightest(self) -> float:
        """The level of the brightest pixel, from 0 for black to 255 for white."""
        most: float = cv2.minMaxLoc(self.grey)[1]
        return _level(most)


class Converter:
    """Turns decoded pictures into pixels. One thread may use it at a time."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def pixels(self, picture: av.VideoFrame) -> Pixels:
        """The picture's pixels."""
        return Pixels(planes(self._usual(picture)))

    def _usual(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The picture in the format that nearly all come in: 8-bit planes, 4:2:0, in video levels."""
        if picture.format.name == "yuv420p" and picture.color_range != ColorRange.JPEG:
            return picture
        return self._reformatter.reformat(
            picture,
            format="yuv420p",
            src_colorspace=usual_matrix(picture),
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )


def usual_matrix(picture: av.VideoFrame) -> int:
    """The colour matrix of a picture, or ITU-R BT.601 if FFmpeg cannot convert from the one it names."""
    return picture.colorspace if picture.colorspace in _MATRICES else int(Colorspace.ITU601)


def _level(grey: float) -> float:
    return (grey - BLACK) * 255 / (WHITE - BLACK)


def stretched(grey: Image) -> Image:
    """Grey in video levels (16 to 235) stretched to the full range, 0 to 255."""
    levels: Image = cv2.LUT(grey, _STRETCHED).astype(np.uint8, copy=False)
    return levels


def planes(picture: av.VideoFrame) -> list[Image]:
    """A view of the bytes of each plane, (height, width) uint8."""
    return [_view(plane) for plane in picture.planes]


def _view(plane: VideoPlane) -> Image:
    """A view of the plane's bytes, (height, width) uint8; a copy if they are upside down."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, abs(plane.line_size))[:, : plane.width]
    return rows if plane.line_size > 0 else np.ascontiguousarray(rows[::-1])
