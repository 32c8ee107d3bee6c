"""The newest unread frame of each participant: the first of the two places where pressure is let off."""

import asyncio
from dataclasses import dataclass
from itertools import islice

import av


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture of one participant, decoded but not yet converted to pixels."""

    participant_id: str
    at_ms: int
    picture: av.VideoFrame


class LatestFrames:
    """A mailbox that holds at most one frame of each participant.

    A newer frame replaces an unread older one and counts as a drop; who has waited longest is served first.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._unread: dict[str, Frame] = {}
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._unread)

    def put(self, frame: Frame) -> None:
        """Leave a frame for whoever takes next."""
        if frame.participant_id in self._unread:
            self.dropped += 1
        self._unread[frame.participant_id] = frame  # an old key keeps its place in the line
        self._arrived.set()

    def forget(self, participant_id: str) -> None:
        """Throw away what is unread of a participant who is gone."""
        self._unread.pop(participant_id, None)

    async def take(self, limit: int) -> list[Frame]:
        """The frames of up to `limit` participants, longest wait first; waits until there is one."""
        while not self._unread:
            self._arrived.clear()
            await self._arrived.wait()
        return [self._unread.pop(participant_id) for participant_id in list(islice(self._unread, limit))]
