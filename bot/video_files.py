"""Reading recorded video: a file's pictures in order, as a player shows them."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import unpack_from

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from bot.errors import SettingsWrong
from model.faces import Image
from pipeline.pixels import usual_matrix

logger = logging.getLogger(__name__)

WIDEST_PIXEL = 4
"""Largest ratio of a pixel's width to its height, or of height to width; beyond that, pixels are taken for square."""
MISSED_SECONDS = 1.0
"""If this much of a file's stated length has no pictures, a warning is logged."""
ANEW_SECONDS = 1.0
"""If time jumps back by more than this, it starts over, as where recordings were joined; by less, pictures are out of order."""

_TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a recording as it was decoded, and when it is shown, in seconds since the first picture.

    `pixel_width` is the width of a pixel divided by its height.
    """

    frame: av.VideoFrame
    at_seconds: float
    until_seconds: float
    pixel_width: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in square pixels, before the picture is turned upright."""
        return max(1, round(self.frame.width * self.pixel_width)), self.frame.height

    def drawn(self, width: int, height: int) -> Image:
        """RGB uint8 pixels, scaled to (height, width, 3) and then turned upright: phones record turned pictures."""
        turns, over = orientation(self.frame)
        pixels = self.frame.to_ndarray(format="rgb24", width=width, height=height, src_colorspace=usual_matrix(self.frame))
        shown = cv2.flip(pixels, 0) if over else pixels
        if turns:
            shown = cv2.rotate(shown, _TURNS[turns])  # takes a tenth of the time of NumPy's rotation
        return np.ascontiguousarray(shown, np.uint8)

    def upright(self) -> av.VideoFrame:
        """The picture as a player shows it; most need no change and are returned as decoded."""
        if self.size == (self.frame.width, self.frame.height) and orientation(self.frame) == (0, False):
            return self.frame
        return av.VideoFrame.from_ndarray(self.drawn(*self.size), format="rgb24")


def orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """By how many quarters to turn a picture counterclockwise, to the nearest, and whether to flip it top to bottom first."""
    try:
        # not frame.side_data: that and the frame refer to each other, so its memory would wait for the garbage collector
        matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # the stub lacks the argument
    except ValueError:  # there is side data that PyAV does not know, such as a camera's metadata in a photograph
        return round(frame.rotation / 90) % 4, False
    # FFmpeg's matrix has nine numbers; these four say where the axes go
    a, b, _, c, d = unpack_from("=5i", matrix) if matrix else (1, 0, 0, 0, 1)
    if a * d == b * c:  # degenerate: nothing would be left of the picture
        return 0, False
    return round(frame.rotation / 90) % 4, a * d < b * c


def check_readable(path: Path) -> None:
    """Raise SettingsWrong unless this is a file that contains a picture and can be read more than once."""
    with suppress(OSError):  # opening the file below will report the error
        if path.is_fifo():
            raise SettingsWrong(f"{path} is a pipe: a recording is read more than once")
    if next(decoded(path), None) is None:
        raise SettingsWrong(f"{path} has no picture in it")


def opened(path: Path) -> InputContainer:
    """Open a video file, whatever its name and metadata contain; raises av.FFmpegError and OSError."""
    # absolute, because otherwise the part of a name before a colon would be taken for a protocol
    return av.open(str(path.absolute()), metadata_errors="replace")


def decoded(path: Path) -> Iterator[Picture]:
    """The pictures of a video file, in order; raises SettingsWrong for a file that cannot be read as video.

    Damaged packets after the first picture are left out, and their number is logged.
    """
    begun, damaged = False, 0
    course = Course()
    try:
        with opened(path) as container:
            stream = next(filter(_moves, container.streams.video), None)
            if stream is None:
                raise SettingsWrong(f"{path} has no video in it")
            stream.thread_type = "AUTO"
            pixel_width, told = _pixel_width(stream), _told_seconds(container, stream)
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.InvalidDataError:
                    if not begun:
                        raise
                    damaged += 1
                    continue
                begun = begun or bool(frames)
                yield from (Picture(frame, *course.stands(frame), pixel_width) for frame in frames)
    except (av.FFmpegError, OSError) as error:
        if not begun:
            raise SettingsWrong(f"{path} cannot be read as video: {error.strerror or error}") from error
        logger.warning("%s cannot be read to its end: %s", path.name, error.strerror or error)
    if damaged:
        logger.warning("%s is damaged: %d packets of it were left out", path.name, damaged)
    if begun and told - course.until_seconds > MISSED_SECONDS:
        logger.warning("%s has pictures for %.1f s, and says that it lasts %.1f s", path.name, course.until_seconds, told)


class Course:
    """Works out when each picture of a recording is shown, in seconds since the first; time never runs backwards."""

    def __init__(self) -> None:
        self.until_seconds = 0.0
        self._at_seconds = 0.0
        self._start_seconds: float | None = None

    def stands(self, frame: av.VideoFrame) -> tuple[float, float]:
        """From when until when the next picture is shown."""
        # a stream without timestamps is taken for one of 25 frames a second
        at_seconds, lasts_seconds = self.until_seconds, 1 / 25
        if frame.time is not None:
            at_seconds = self._counted(frame.time)
            lasts_seconds = float(frame.duration * (frame.time_base or 0))
        self._at_seconds = max(self._at_seconds, at_seconds)
        self.until_seconds = max(self.until_seconds, self._at_seconds + lasts_seconds)
        return self._at_seconds, self.until_seconds

    def _counted(self, time_seconds: float) -> float:
        """A timestamp of the file as time since the first picture; where timestamps start over, time goes on after the last."""
        if self._start_seconds is None:
            self._start_seconds = time_seconds  # some files begin hours after 0
        if time_seconds - self._start_seconds < self._at_seconds - ANEW_SECONDS:
            self._start_seconds = time_seconds - self.until_seconds
        return time_seconds - self._start_seconds


def _moves(stream: VideoStream) -> bool:
    """Whether a stream is video, and not the cover picture of a song."""
    return not stream.disposition & Disposition.attached_pic


def _told_seconds(container: InputContainer, stream: VideoStream) -> float:
    """The length in seconds that a file states for its pictures, or else for its whole content; 0 if it states none."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Matroska's length counts from 0, wherever its pictures begin
    return ((container.duration or 0) - (container.start_time or 0)) / av.time_base


def _pixel_width(stream: VideoStream) -> float:
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 1 / WIDEST_PIXEL <= ratio <= WIDEST_PIXEL else 1.0
