"""Reading a track at line rate."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from pipeline.clock import Clock

Arrived = Callable[[int], bool]
"""Told of each frame and the time it was received, in ms; answers whether its picture is wanted."""

Shown = Callable[[VideoFrame, int], None]
"""Given each wanted picture, with the time its frame was received."""

MOST_UNREAD = 16
"""Pictures that a track keeps which nobody watches; the oldest fall out. They are large, and many wait while Redis is away."""


class Looks:
    """Says when the next look at a participant is due, at an even rate.

    The second look comes earlier by the share `ahead` of an interval, so that those who came together are not looked at together.
    """

    def __init__(self, every_ms: float, ahead: float = 0.0) -> None:
        self._every_ms = every_ms
        self._ahead_ms = ahead * every_ms
        self._next_ms = 0.0

    def due(self, at_ms: int) -> bool:
        """Whether a look is due; if so, the next one is due an interval later."""
        late = at_ms - self._next_ms
        if -self._every_ms <= late < 0:  # longer before it is due than it can be, where the clock was set back
            return False
        # counted from when this look was due, so that the rate holds where frames do not fall on it
        self._next_ms = (self._next_ms if 0 <= late < self._every_ms else at_ms - self._ahead_ms) + self._every_ms
        return True


@dataclass(frozen=True, slots=True)
class _Watcher:
    arrived: Arrived
    shown: Shown
    clock: Clock


class ReceivedTrack(MediaStreamTrack):
    """A track that is told of its frames when they are complete, so that only wanted pictures come back from a decoder.

    Pictures that nobody watches are kept for `recv`, but none once a watcher has left, or the track has ended. `left_out`
    counts the packets that came while decoding did not keep up; `undecodable` tells that what came last could not be decoded.
    """

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.dropped = self.left_out = 0
        self.undecodable = False
        self._over = asyncio.Event()
        self._watcher: _Watcher | None = None
        self._left = False
        self._unread: deque[VideoFrame] = deque()
        self._readable = asyncio.Event()

    def arrived(self) -> int | None:
        """Take note of a frame that is complete; returns its time in ms if its picture is wanted, which must be shown then."""
        if self._watcher is None:
            return None if self._left else 0
        at_ms = self._watcher.clock()
        return at_ms if self._watcher.arrived(at_ms) else None

    def show(self, picture: VideoFrame, at_ms: int) -> None:
        """Hand on a wanted picture."""
        self.undecodable = False
        if self._watcher is not None:
            self._watcher.shown(picture, at_ms)
            return
        if self._left:  # who was watched, and perhaps does not consent any more
            return
        if len(self._unread) >= MOST_UNREAD:
            self._unread.popleft()
            self.dropped += 1
        self._unread.append(picture)
        self._readable.set()

    def stop(self) -> None:
        """There will be no more frames."""
        super().stop()
        self._left = True
        self._over.set()
        self._readable.set()

    async def told(self, watcher: _Watcher) -> None:
        """Tell the watcher of every frame until the track ends, or the task is cancelled."""
        self._unread.clear()
        self._watcher = watcher
        try:
            await self._over.wait()
        finally:
            if self._watcher is watcher:  # and nobody came in its place
                self._watcher, self._left = None, True

    async def recv(self) -> VideoFrame:
        """The next picture; raises MediaStreamError once the track has ended."""
        while not self._unread:
            if self._over.is_set():
                raise MediaStreamError
            self._readable.clear()
            await self._readable.wait()
        return self._unread.popleft()


async def watch(track: MediaStreamTrack, arrived: Arrived, shown: Shown, clock: Clock) -> None:
    """Follow a track to its end; `shown` is given the pictures that `arrived` wants.

    aiortc queues what nobody reads, without a limit, so nothing slow happens between two reads.
    """
    if isinstance(track, ReceivedTrack):
        await track.told(_Watcher(arrived, shown, clock))
        return
    while True:
        try:
            picture = await track.recv()
        except MediaStreamError:  # the track ended
            return
        at_ms = clock()
        if isinstance(picture, VideoFrame) and arrived(at_ms):
            shown(picture, at_ms)
