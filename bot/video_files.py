"""Recorded video: a file's pictures in order, as a player shows them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from bot.errors import SettingsWrong
from model.faces import Image
from pipeline.pixels import usual_matrix

logger = logging.getLogger(__name__)

WIDEST_PIXEL = 4
"""Times its height. What says that its pixels are wider, or narrower by as much, is taken to have square ones."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a recording as it was decoded, and how wide its pixels are for their height."""

    frame: av.VideoFrame
    pixel_width: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in square pixels, as the picture lies."""
        return max(1, round(self.frame.width * self.pixel_width)), self.frame.height

    def drawn(self, width: int, height: int) -> Image:
        """RGB (height, width, 3) uint8 of that size, then turned upright: phones turn what they record."""
        pixels = self.frame.to_ndarray(format="rgb24", width=width, height=height, src_colorspace=usual_matrix(self.frame))
        return np.ascontiguousarray(np.rot90(pixels.astype(np.uint8, copy=False), self._turns))

    def upright(self) -> av.VideoFrame:
        """The picture as it is shown, which most are as they were decoded."""
        if self.size == (self.frame.width, self.frame.height) and not self._turns:
            return self.frame
        return av.VideoFrame.from_ndarray(self.drawn(*self.size), format="rgb24")

    @property
    def _turns(self) -> int:
        return self.frame.rotation // 90 % 4


def check_readable(path: Path) -> None:
    """Raise SettingsWrong unless the file begins with a picture."""
    if next(decoded(path), None) is None:
        raise SettingsWrong(f"{path} has no picture in it")


def opened(path: Path) -> InputContainer:
    """A video file, whatever is in its name and in its metadata; raises av.FFmpegError and OSError."""
    # absolute, or a colon in a name would make a protocol of what stands before it
    return av.open(str(path.absolute()), metadata_errors="replace")


def decoded(path: Path) -> Iterator[Picture]:
    """The pictures of a video file, in order; raises SettingsWrong for a file that cannot be read as video.

    What is damaged behind the first picture is left out, and counted in the log.
    """
    begun, damaged = False, 0
    try:
        with opened(path) as container:
            if not container.streams.video:
                raise SettingsWrong(f"{path} has no video in it")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            pixel_width = _pixel_width(stream)
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.InvalidDataError:
                    if not begun:
                        raise
                    damaged += 1
                    continue
                begun = begun or bool(frames)
                yield from (Picture(frame, pixel_width) for frame in frames)
    except (av.FFmpegError, OSError) as error:
        if not begun:
            raise SettingsWrong(f"{path} cannot be read as video: {error.strerror or error}") from error
        logger.warning("%s cannot be read to its end: %s", path.name, error.strerror or error)
    if damaged:
        logger.warning("%s is damaged: %d packets of it were left out", path.name, damaged)


def _pixel_width(stream: VideoStream) -> float:
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 1 / WIDEST_PIXEL <= ratio <= WIDEST_PIXEL else 1.0
