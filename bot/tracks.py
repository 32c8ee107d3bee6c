"""Reading a track at line rate."""

from collections.abc import Callable

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from pipeline.clock import Clock


class Looks:
    """Says when the next look at a participant is due, at an even rate."""

    def __init__(self, every_ms: float) -> None:
        self._every_ms = every_ms
        self._next_ms = 0.0

    def due(self, at_ms: int) -> bool:
        """Whether a look is due; if so, the next one is due an interval later."""
        late = at_ms - self._next_ms
        if -self._every_ms <= late < 0:  # longer before it is due than it can be, where the clock was set back
            return False
        # counted from when this look was due, so that the rate holds where frames do not fall on it
        self._next_ms = (self._next_ms if 0 <= late < self._every_ms else at_ms) + self._every_ms
        return True


async def watch(track: MediaStreamTrack, received: Callable[[VideoFrame, int], None], clock: Clock) -> None:
    """Read a track to its end and hand on each picture with the time it was received, in ms.

    aiortc queues what nobody reads, without a limit, so nothing slow happens between two reads.
    """
    while True:
        try:
            picture = await track.recv()
        except MediaStreamError:  # the track ended
            return
        if isinstance(picture, VideoFrame):
            received(picture, clock())
