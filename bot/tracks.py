"""Watching a video track: every frame is noted as it arrives, and only wanted pictures are handed on."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from pipeline.clock import Clock

Arrived = Callable[[int], bool]
"""Called for each frame with the time it was received, in ms; returns whether its picture is wanted."""

Shown = Callable[[VideoFrame, int], None]
"""Called with each wanted picture and the time its frame was received, in ms."""

MOST_UNREAD = 16
"""How many pictures an unwatched track keeps before it drops the oldest: they are large, and many wait while Redis is away."""


class Looks:
    """Tells when looks at a participant are due, at an even rate.

    The second look comes earlier by the fraction `ahead` of an interval, so that people who joined together are not all looked
    at at the same time.
    """

    def __init__(self, every_ms: float, ahead: float = 0.0) -> None:
        self._every_ms = every_ms
        self._ahead_ms = ahead * every_ms
        self._next_ms = 0.0

    def due(self, at_ms: int) -> bool:
        """Whether a look is due; if so, the next one is due an interval later."""
        late = at_ms - self._next_ms
        if -self._every_ms <= late < 0:  # if it is even earlier, the clock was set back
            return False
        # counted from when this look was due, so that the rate is right even if frames come later than that
        self._next_ms = (self._next_ms if 0 <= late < self._every_ms else at_ms - self._ahead_ms) + self._every_ms
        return True


@dataclass(frozen=True, slots=True)
class _Watcher:
    arrived: Arrived
    shown: Shown
    clock: Clock


class ReceivedTrack(MediaStreamTrack):
    """A track whose receiver announces each frame when it is complete, so that only wanted pictures are handed on.

    While nobody watches, pictures are kept for `recv`, but no more once a watcher has left or the track has ended. `left_out`
    counts the packets that came while decoding did not keep up; `undecodable` is true if the latest frame could not be decoded.
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
        """Note a complete frame; if its picture is wanted and so must be passed to `show`, returns its time in ms, else None."""
        if self._watcher is None:
            return None if self._left else 0
        at_ms = self._watcher.clock()
        return at_ms if self._watcher.arrived(at_ms) else None

    def show(self, picture: VideoFrame, at_ms: int) -> None:
        """Hand on a wanted picture, to the watcher or, as long as there has been none, to `recv`."""
        self.undecodable = False
        if self._watcher is not None:
            self._watcher.shown(picture, at_ms)
            return
        if self._left:  # they were watched before, and may have withdrawn their consent
            return
        if len(self._unread) >= MOST_UNREAD:
            self._unread.popleft()
            self.dropped += 1
        self._unread.append(picture)
        self._readable.set()

    def stop(self) -> None:
        """End the track: there will be no more frames."""
        super().stop()
        self._left = True
        self._over.set()
        self._readable.set()

    async def told(self, watcher: _Watcher) -> None:
        """Announce every frame to the watcher until the track ends or the task is cancelled."""
        self._unread.clear()
        self._watcher = watcher
        try:
            await self._over.wait()
        finally:
            if self._watcher is watcher:  # no other watcher has taken its place
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
    """Follow a track to its end: call `arrived` for each frame, and `shown` with the pictures that it wants.

    Both must be quick, because aiortc queues unread pictures without limit.
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
