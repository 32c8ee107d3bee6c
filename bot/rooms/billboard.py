"""The newest mood of one participant, for those who follow it."""

import asyncio
from collections.abc import AsyncIterator

from bot.rooms.waiting import in_time
from pipeline.mood import Mood


class Billboard:
    """Holds one mood; a newer one replaces it, so that a slow follower sees only the newest."""

    def __init__(self) -> None:
        self._newest: Mood | None = None
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, mood: Mood) -> None:
        """Replace the mood."""
        self._newest = mood
        self._wake()

    def close(self) -> None:
        """End all followers."""
        self._closed = True
        self._wake()

    async def follow(self, silence_seconds: float) -> AsyncIterator[Mood | None]:
        """Each mood as it comes, and None after each silence of `silence_seconds`, until the billboard is closed."""
        seen: Mood | None = None
        while not self._closed:
            changed = self._changed
            if self._newest is not seen:
                seen = self._newest
                yield seen
            elif not await in_time(changed, silence_seconds):
                yield None

    def _wake(self) -> None:
        # a new event for each change, so that no follower can miss one
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
