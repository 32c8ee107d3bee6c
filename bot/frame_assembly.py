"""From the packets of a source to its encoded frames: in order, complete, and none that depends on a lost one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

MOST_WAITING = 512
"""How many packets may wait for an earlier one; a larger jump in sequence numbers means that the source has restarted."""

MOST_PARTS = 512
"""Most packets of one frame: some 600 kB, more than any camera's keyframe."""

PATIENCE_SECONDS = 0.5
"""How long to wait for a lost packet: several round trips, so that it can be retransmitted."""

_NUMBERS = 0x10000


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a frame that one packet carries; `data` is empty if that is padding alone.

    `begins` and `ends` tell whether it is the first and the last part of its frame.
    """

    number: int
    timestamp: int
    begins: bool
    ends: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A complete frame as a decoder takes it, and its RTP timestamp."""

    data: bytes
    timestamp: int


class FrameAssembler:
    """Puts the frames of one source together.

    A frame is handed on as soon as its last packet arrives (RFC 3550, marker bit), not with the first packet of the next frame. A
    packet that stays lost for `PATIENCE_SECONDS` is given up, and then nothing is handed on before the next keyframe, because the
    frames in between refer to missing pictures. `broken` is true meanwhile, and before the first keyframe; `lost` counts the
    frames that arrived at least in part but were not handed on.
    """

    def __init__(self, is_keyframe: Callable[[bytes], bool]) -> None:
        self.broken = True
        self.lost = 0
        self._is_keyframe = is_keyframe
        self._next: int | None = None
        self._waiting: dict[int, Piece] = {}
        self._parts: list[Piece] = []
        self._gap_since: float | None = None

    def add(self, piece: Piece, now_seconds: float) -> list[EncodedFrame]:
        """Take in the piece from one packet; returns the frames that it completes, mostly none or one."""
        ahead = 0 if self._next is None else (piece.number - self._next) % _NUMBERS
        if ahead >= _NUMBERS - MOST_WAITING:
            return []  # a duplicate, or too late
        if ahead >= MOST_WAITING:
            self._begin_anew()
            ahead = 0
        if self._next is None:
            self._next = piece.number
        if ahead == 0 and not self._waiting:
            self._next = (piece.number + 1) % _NUMBERS
            return list(self._consumed(piece))
        self._waiting[piece.number] = piece
        frames = self._in_order()
        if self._waiting and self._gives_up(now_seconds):
            self._skip()
            frames += self._in_order()
        return frames

    def use(self, is_keyframe: Callable[[bytes], bool]) -> None:
        """Recognise keyframes by this function from now on, and wait for one: the source has changed its codec."""
        self._is_keyframe = is_keyframe
        self._parts.clear()
        self.broken = True

    def lose(self) -> None:
        """Hand on nothing before the next keyframe, because a frame was lost after it had been handed on."""
        self.broken = True

    def _in_order(self) -> list[EncodedFrame]:
        assert self._next is not None
        frames: list[EncodedFrame] = []
        while (piece := self._waiting.pop(self._next, None)) is not None:
            self._next = (self._next + 1) % _NUMBERS
            self._gap_since = None  # another gap after this one is timed separately
            frames += self._consumed(piece)
        return frames

    def _gives_up(self, now_seconds: float) -> bool:
        if self._gap_since is None:
            self._gap_since = now_seconds
        return now_seconds - self._gap_since > PATIENCE_SECONDS

    def _skip(self) -> None:
        """Go on with the first packet that has arrived; the frame with the gap is lost."""
        next_number = self._next
        assert next_number is not None
        self._next = min(self._waiting, key=lambda number: (number - next_number) % _NUMBERS)
        self._parts.clear()
        self._gap_since = None
        self.broken = True

    def _begin_anew(self) -> None:
        self._waiting.clear()
        self._parts.clear()
        self._next = self._gap_since = None
        self.broken = True

    def _consumed(self, piece: Piece) -> Iterator[EncodedFrame]:
        if not piece.data:
            return
        if self._parts and self._parts[0].timestamp != piece.timestamp:
            yield from self._finished()  # the source does not mark the ends of frames
        self._parts.append(piece)
        if piece.ends:
            yield from self._finished()
        elif len(self._parts) >= MOST_PARTS:
            self._parts.clear()
            self.broken = True
            self.lost += 1

    def _finished(self) -> Iterator[EncodedFrame]:
        first = self._parts[0]
        data = first.data if len(self._parts) == 1 else b"".join([part.data for part in self._parts])
        self._parts.clear()
        if not first.begins:
            self.broken = True
        elif self.broken and self._is_keyframe(data):
            self.broken = False
        if self.broken:
            self.lost += 1
        else:
            yield EncodedFrame(data, first.timestamp)


def vp8_payload(payload: bytes) -> tuple[bool, bytes]:
    """Whether a VP8 packet begins a frame, and its data without the payload descriptor (RFC 7741, section 4.2).

    Raises ValueError if the descriptor is cut short.
    """
    try:
        first, at = payload[0], 1
        if first & 0x80:
            extended, at = payload[1], 2
            if extended & 0x80:
                at += 2 if payload[at] & 0x80 else 1
            at += bool(extended & 0x40) + bool(extended & 0x30)
    except IndexError:
        raise ValueError("a VP8 payload descriptor is cut short") from None
    return first & 0x17 == 0x10, payload[at:]


def is_vp8_keyframe(frame: bytes) -> bool:
    """Whether a VP8 frame can be decoded without any other (RFC 6386, section 9.1)."""
    return not frame[0] & 1


def is_h264_keyframe(frame: bytes) -> bool:
    """Whether an H.264 access unit with start codes can be decoded alone: it begins with the first slice of an IDR picture.

    H.264, table 7-1 and section 7.3.3: a slice begins with `first_mb_in_slice`, coded as a single 1 bit if it is 0. Without this
    check, a picture whose first slices were lost would pass as complete, because every slice can be decoded by itself.
    """
    at = frame.find(b"\0\0\1")
    while 0 <= at < len(frame) - 4:
        kind = frame[at + 3] & 0x1F
        if kind in (1, 5):
            return kind == 5 and frame[at + 4] >= 0x80
        at = frame.find(b"\0\0\1", at + 3)
    return False
