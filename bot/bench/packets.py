"""A recording that is cut into RTP payloads once, and the packets that carry it to any number of receivers.

Sources: https://www.rfc-editor.org/rfc/rfc7741 (VP8), https://www.rfc-editor.org/rfc/rfc8285 (header extensions)
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

from bot.bench.ivf import VIDEO_CLOCK_HZ, RecordedFrame, read_ivf

Layer = Literal["simulcast", "single"]
LAYERS: tuple[Layer, ...] = ("simulcast", "single")
STREAMS = Path(__file__).with_name("streams")

LONGEST_PAYLOAD_BYTES = 1160
"""Most bytes that Chromium puts into a packet of the recorded streams, without the descriptor."""

VP8, RTX = 96, 97
ABS_SEND_TIME, MID = 2, 4
"""Ids of header extensions and, above, payload types, as Janus offers them."""

_HEADER = struct.Struct("!BBHII")
_EXTENSIONS = struct.Struct("!HHI")
_MARKER = 0x80
_WITH_EXTENSIONS = 0x90
_LONG_PICTURE_ID = 0x8000


@dataclass(frozen=True, slots=True)
class Recording:
    """Frames in pieces that fit into packets, each frame with its time; after `ticks` it starts over with its keyframe."""

    layer: Layer
    frames: tuple[tuple[bytes, ...], ...]
    timestamps: tuple[int, ...]
    ticks: int

    @classmethod
    def of(cls, layer: Layer, frames: tuple[RecordedFrame, ...]) -> Self:
        """A recording made from the frames of a layer."""
        last = frames[-1].timestamp
        pieces = tuple(_evenly_cut(each.data) for each in frames)
        return cls(layer, pieces, tuple(each.timestamp for each in frames), last + round(last / (len(frames) - 1)))

    @property
    def frames_per_second(self) -> float:
        """The mean frame rate."""
        return len(self.frames) * VIDEO_CLOCK_HZ / self.ticks


def recorded(layer: Layer) -> Recording:
    """The recording of a layer that comes with the program, made by tests/benchmarks/record_streams.py."""
    return Recording.of(layer, read_ivf(STREAMS / f"{layer}.ivf"))


def _evenly_cut(data: bytes) -> tuple[bytes, ...]:
    """Pieces of nearly equal length, as Chromium cuts a frame."""
    count = -(-len(data) // LONGEST_PAYLOAD_BYTES)
    edges = [len(data) * place // count for place in range(count + 1)]
    return tuple(data[start:end] for start, end in pairwise(edges))


@dataclass(slots=True)
class RtpStream:
    """One stream of packets with its running numbers, which sends a recording's frames with descriptors as Chromium's."""

    layer: Layer
    mid: str
    ssrc: int
    rtx_ssrc: int
    sequence_number: int = 0
    rtx_sequence_number: int = 0
    picture_id: int = 0
    key_picture: int = 0
    packets_sent: int = 0
    octets_sent: int = 0

    def packets(self, pieces: tuple[bytes, ...], timestamp: int, send_time: int) -> list[bytes]:
        """The packets of one frame; `send_time` is in units of 2^-18 s, modulo 64 s."""
        last = len(pieces) - 1
        descriptor = self._next_descriptor()
        extensions = self._extensions(send_time)
        packets = []
        for place, piece in enumerate(pieces):
            marker = _MARKER if place == last else 0
            header = _HEADER.pack(_WITH_EXTENSIONS, marker | VP8, self.sequence_number, timestamp & 0xFFFFFFFF, self.ssrc)
            packets.append(header + extensions + (b"\x90" if place == 0 else b"\x80") + descriptor + piece)
            self.sequence_number = self.sequence_number + 1 & 0xFFFF
            self.octets_sent += len(descriptor) + 1 + len(piece)
        self.packets_sent += len(pieces)
        return packets

    def again(self, packet: bytes) -> bytes:
        """A packet as a retransmission (RFC 4588)."""
        first, kind, number, timestamp, _ = _HEADER.unpack_from(packet)
        self.rtx_sequence_number = self.rtx_sequence_number + 1 & 0xFFFF
        header = _HEADER.pack(first, kind & _MARKER | RTX, self.rtx_sequence_number, timestamp, self.rtx_ssrc)
        payload = _HEADER.size + 4 + 4 * struct.unpack_from("!H", packet, _HEADER.size + 2)[0]
        return header + packet[_HEADER.size : payload] + struct.pack("!H", number) + packet[payload:]

    def _next_descriptor(self) -> bytes:
        """The descriptor of the next frame's pieces without its first octet, the only one that differs between pieces."""
        if self.layer == "single":
            self.picture_id = self.picture_id + 1 & 0x7FFF
            return struct.pack("!BH", 0x80, _LONG_PICTURE_ID | self.picture_id)
        # the lowest of three temporal layers has every fourth picture, and the others are never sent
        self.picture_id = self.picture_id + 4 & 0x7FFF
        self.key_picture = self.key_picture + 1 & 0xFF
        return struct.pack("!BHBB", 0xE0, _LONG_PICTURE_ID | self.picture_id, self.key_picture, 0)

    def _extensions(self, send_time: int) -> bytes:
        mid = self.mid.encode()
        named = bytes([MID << 4 | len(mid) - 1]) + mid
        named += bytes(-len(named) % 4)
        stamped = (ABS_SEND_TIME << 4 | 2) << 24 | send_time & 0xFFFFFF
        return _EXTENSIONS.pack(0xBEDE, 1 + len(named) // 4, stamped) + named
