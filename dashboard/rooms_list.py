"""The rooms that Redis knows of, and in which of them a bot is live."""

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from dashboard.words import presentable
from pipeline.clock import Clock, now_ms
from pipeline.follow import rooms
from pipeline.keys import Keys

KEPT_MS = 1000
"""How long a list is reused: finding rooms means scanning all keys, which browsers must not cause at will."""

MOST_ROOMS = 200


class RoomsList:
    """The list of rooms, read at most once a second however many browsers ask."""

    def __init__(self, redis: Redis, prefix: str, clock: Clock = now_ms) -> None:
        self._redis = redis
        self._prefix = prefix
        self._clock = clock
        self._read_ms: int | None = None
        self._rooms: list[dict[str, Any]] = []
        self._trouble: RedisError | None = None
        self._one_at_a_time = asyncio.Lock()

    async def get(self) -> list[dict[str, Any]]:
        """Each room's name, how it is shown, and whether a bot is live in it; raises redis.exceptions.RedisError."""
        async with self._one_at_a_time:
            if self._read_ms is None or self._clock() - self._read_ms > KEPT_MS:
                await self._ask()
        if self._trouble is not None:
            raise self._trouble
        return self._rooms

    async def _ask(self) -> None:
        """Read the list, or note why it could not be read: a Redis that is away is not asked more often either."""
        try:
            self._rooms, self._trouble = await self._read(), None
        except RedisError as error:
            self._trouble = error
        self._read_ms = self._clock()

    async def _read(self) -> list[dict[str, Any]]:
        names = (await rooms(self._redis, self._prefix))[:MOST_ROOMS]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.get(Keys(self._prefix, name).bot)
            statuses = await pipe.execute(raise_on_error=False)
        return [
            {"room": name, "shown": presentable(name), "live": isinstance(status, str)}
            for name, status in zip(names, statuses, strict=True)
        ]
