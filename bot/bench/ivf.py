"""Encoded video in IVF files: the frames as they came out of an encoder, each with its time.

Source: https://wiki.multimedia.cx/index.php/Duck_IVF
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.frame_assembly import is_vp8_keyframe

VIDEO_CLOCK_HZ = 90_000
_HEADER = struct.Struct("<4sHH4sHHIIII")
_FRAME = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One VP8 frame; its time is in ticks of the video clock since the first frame."""

    timestamp: int
    data: bytes

    @property
    def is_keyframe(self) -> bool:
        """Whether the frame can be decoded by itself."""
        return is_vp8_keyframe(self.data)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, which only keyframes contain."""
        width, height = struct.unpack_from("<HH", self.data, 6)
        return width & 0x3FFF, height & 0x3FFF


def write_ivf(path: Path, frames: Sequence[RecordedFrame]) -> None:
    """Write frames to a file; the first must be a keyframe."""
    width, height = frames[0].size
    header = _HEADER.pack(b"DKIF", 0, _HEADER.size, b"VP80", width, height, VIDEO_CLOCK_HZ, 1, len(frames), 0)
    path.write_bytes(header + b"".join(_FRAME.pack(len(each.data), each.timestamp) + each.data for each in frames))


def read_ivf(path: Path) -> tuple[RecordedFrame, ...]:
    """The frames of a file that `write_ivf` wrote."""
    return tuple(_frames(path.read_bytes()))


def _frames(content: bytes) -> Iterator[RecordedFrame]:
    place = _HEADER.size
    while place < len(content):
        length, timestamp = _FRAME.unpack_from(content, place)
        place += _FRAME.size
        yield RecordedFrame(timestamp, content[place : place + length])
        place += length
