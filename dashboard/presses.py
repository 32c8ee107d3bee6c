"""The teacher's presses that mark the lesson: each marks the moment it was made, once however often it arrives."""

import asyncio

from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis

from pipeline.keys import Keys
from pipeline.markers import SKEW_MS, Marker, events_now_ms, mark, markers

OLDEST_PRESS_MS = 90_000
"""A page sends a press for a minute at most; one that claims to be older was timed by a clock that is no longer valid."""


class Press(BaseModel):
    """A press as a page sends it; without an id, each arrival makes a mark, and without a time, it marks when it arrives."""

    model_config = ConfigDict(frozen=True)

    label: str
    id: str | None = Field(None, pattern="^[0-9a-f]{32}$")
    at_ms: int | None = None


class Presses:
    """Makes a mark of each press, with the press's id, so that the room's marks show which presses are already marked."""

    def __init__(self, redis: Redis, retention_ms: int) -> None:
        self._redis = redis
        self._retention_ms = retention_ms
        self._one_at_a_time = asyncio.Lock()

    async def mark(self, keys: Keys, press: Press) -> Marker:
        """The mark of a press, made now or earlier; raises MarkRefused and redis.exceptions.RedisError."""
        async with self._one_at_a_time:  # a press that is sent again may arrive while it is being marked
            made = {marker.id: marker for marker in await markers(self._redis, keys)}
            if press.id in made:
                return made[press.id]
            at_ms = await self._moment(keys, press)
            return await mark(self._redis, keys, press.label, at_ms, retention_ms=self._retention_ms, marker_id=press.id)

    async def _moment(self, keys: Keys, press: Press) -> int:
        now_ms = await events_now_ms(self._redis, keys)
        if press.at_ms is not None and now_ms - OLDEST_PRESS_MS <= press.at_ms <= now_ms + SKEW_MS:
            return press.at_ms
        return now_ms
