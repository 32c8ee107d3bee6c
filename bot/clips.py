"""Short videos, encoded once, for any number of simulated students to send."""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, repeat, takewhile
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext

from bot.errors import SettingsWrong
from bot.video_files import Picture, decoded
from bot.vp8_encoder import vp8_encoder
from model.faces import Image

FRAMES_PER_SECOND = 10
LONGEST_SECONDS = 300
"""How much of a file is played before it starts again: its encoded packets stay in memory."""
HUNDREDTH = 0.01
"""In frame intervals: a picture this much late still counts as on time, because timestamps are rounded."""
LARGEST = (640, 360)
PORTRAIT_SIZE = (480, 270)
PORTRAIT_SECONDS = 8
PORTRAIT = Path(__file__).with_name("astronaut.jpg")
"""Eileen Collins, photographed by NASA in 1999; in the public domain."""


class Recording(Protocol):
    """Encoded video that can be sent endlessly."""

    @property
    def frames_per_second(self) -> int: ...

    async def packet(self, number: int) -> bytes:
        """The frame with this number, counted from 0, as a VP8 packet; frames are requested in order."""
        ...


@dataclass(frozen=True, slots=True)
class Clip:
    """A video as VP8 packets, one per frame, with a keyframe every second; it is repeated endlessly."""

    packets: tuple[bytes, ...]
    frames_per_second: int = FRAMES_PER_SECOND

    async def packet(self, number: int) -> bytes:
        """The frame with this number, starting again after the last one."""
        return self.packets[number % len(self.packets)]


def encode(pictures: Iterator[Image]) -> Clip:
    """Encode RGB pictures as VP8: (height, width, 3) uint8, all of the same size, with even height and width."""
    context: VideoCodecContext | None = None
    packets: list[bytes] = []
    for number, picture in enumerate(pictures):
        context = context or _encoder(picture.shape[1], picture.shape[0])
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        packets += [bytes(packet) for packet in context.encode(frame)]
    if context is None:
        return Clip(())
    packets += [bytes(packet) for packet in context.encode(None)]
    return Clip(tuple(packets))


def _encoder(width: int, height: int) -> VideoCodecContext:
    # a receiver that joins late or loses packets can start again within a second; a recording cannot answer keyframe requests
    return vp8_encoder((width, height), Fraction(FRAMES_PER_SECOND), 250_000, keyframe_every=FRAMES_PER_SECOND)


def portrait_pictures(variant: int) -> Iterator[Image]:
    """The astronaut's portrait as it moves and changes its size, RGB; each variant moves in its own way."""
    bgr = cv2.imread(str(PORTRAIT), cv2.IMREAD_COLOR)
    assert bgr is not None, f"{PORTRAIT} is part of the package"
    portrait = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    width, height = PORTRAIT_SIZE
    count = PORTRAIT_SECONDS * FRAMES_PER_SECOND
    for number in range(count):
        turn = 2 * np.pi * number / count  # a whole turn, so that the loop closes
        scale = (1.0 + 0.12 * (variant % 4)) * (1 + 0.15 * np.sin(turn + variant)) * height / 300
        # lets the face, at (224, 110) in the portrait, wander about the middle
        across = width / 2 + 0.15 * width * np.sin(turn + 2 * variant) - 224 * scale
        down = height / 2 + 0.08 * height * np.sin(2 * turn + variant) - 110 * scale
        place = np.array([[scale, 0, across], [0, scale, down]])
        picture = cv2.warpAffine(portrait, place, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        yield picture.astype(np.uint8)


def file_clip(path: Path, ended: threading.Event | None = None) -> Clip:
    """Encode the first minutes of a video file, scaled down to what a student would send; stops early once `ended` is set.

    Raises SettingsWrong for a file without a picture.
    """
    pictures = islice(_file_pictures(path), LONGEST_SECONDS * FRAMES_PER_SECOND)
    clip = encode(takewhile(lambda _: ended is None or not ended.is_set(), pictures))
    if not clip.packets:
        raise SettingsWrong(f"{path} has no picture in it")
    return clip


def _file_pictures(path: Path) -> Iterator[Image]:
    """The file's pictures at FRAMES_PER_SECOND, whatever its own frame rate, all in the size of the first."""
    shown, size = 0, (0, 0)
    before: Picture | None = None
    for picture in decoded(path):
        if before is None:
            size = _fitting(*picture.size)
        elif due := _pictures_until(picture.at_seconds) - shown:
            shown += due
            yield from repeat(before.drawn(*size), due)  # it is shown until the next one is due
        before = picture
    if before is not None:
        yield from repeat(before.drawn(*size), max(_pictures_until(before.until_seconds) - shown, 1))


def _pictures_until(seconds: float) -> int:
    return math.ceil(seconds * FRAMES_PER_SECOND - HUNDREDTH)


def _fitting(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, LARGEST[0] / max(width, height), LARGEST[1] / min(width, height))
    return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)
