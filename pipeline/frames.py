"""The newest unread frame of each participant: the first of the two places where excess load is dropped."""

import asyncio
from dataclasses import dataclass

import av

from pipeline.clock import Clock

MOST_LATE_MS = 600
"""Age above which a frame is dropped if fresher ones wait: a face from a second ago says less than the next frame will."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture of one participant, decoded but not yet converted to pixels."""

    participant_id: str
    at_ms: int
    picture: av.VideoFrame


class LatestFrames:
    """A mailbox that holds at most one frame of each participant.

    A newer frame replaces an unread older one, and a frame older than `most_late_ms` is dropped if fresher ones wait; both
    count as dropped. Whoever has waited longest is served first, and keeps that place when their frame is dropped.
    """

    def __init__(self, clock: Clock, most_late_ms: float = MOST_LATE_MS) -> None:
        self.dropped = 0
        self._clock = clock
        self._most_late_ms = most_late_ms
        self._line: dict[str, Frame | None] = {}
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return sum(frame is not None for frame in self._line.values())

    def put(self, frame: Frame) -> None:
        """Leave a frame for the next `take`."""
        if self._line.get(frame.participant_id) is not None:
            self.dropped += 1
        self._line[frame.participant_id] = frame  # an old key keeps its place in the line
        self._arrived.set()

    def forget(self, participant_id: str) -> None:
        """Throw away a participant's unread frame and their place in the line."""
        self._line.pop(participant_id, None)

    async def take(self, limit: int, gather_ms: float = 0.0) -> list[Frame]:
        """The frames of up to `limit` participants, longest wait first.

        Waits until there is one, then for more until the first is `gather_ms` old; older frames are not kept waiting.
        """
        gathered = False
        while not (waiting := len(self)) or (waiting < limit and not gathered):
            if waiting:
                await self._gather(gather_ms)
                gathered = True
            else:
                self._arrived.clear()
                await self._arrived.wait()
        late, fresh = self._first(limit)
        if fresh:
            self._line |= dict.fromkeys([frame.participant_id for frame in late])
            self.dropped += len(late)
        frames = fresh or late[:limit]  # if all are late, a late look is better than none
        for frame in frames:
            del self._line[frame.participant_id]
        return frames

    async def _gather(self, gather_ms: float) -> None:
        received_ms = next(frame.at_ms for frame in self._line.values() if frame is not None)
        wait_ms = received_ms + gather_ms - self._clock()
        if wait_ms > 0:
            await asyncio.sleep(min(wait_ms, gather_ms) / 1000)  # the clock may have been set back

    def _first(self, limit: int) -> tuple[list[Frame], list[Frame]]:
        """The late and the fresh frames, up to the `limit`-th fresh one."""
        oldest_ms = self._clock() - self._most_late_ms
        late, fresh = list[Frame](), list[Frame]()
        for frame in self._line.values():
            if frame is not None:
                (fresh if frame.at_ms >= oldest_ms else late).append(frame)
            if len(fresh) == limit:
                break
        return late, fresh
