"""The rooms that somebody watches at present, each followed once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from redis.asyncio import Redis

from dashboard.hub import RoomHub
from pipeline.keys import Keys


class TooManyRooms(Exception):
    """More rooms are watched than one dashboard follows."""


@dataclass(slots=True)
class _Followed:
    hub: RoomHub
    task: asyncio.Task[None]
    watchers: int = 0
    ending: asyncio.TimerHandle | None = None


class Hubs:
    """Follows the rooms that somebody watches, while its block runs.

    A room is followed for `linger_seconds` after its last watcher left, so that a reloaded page still finds its past.
    """

    def __init__(self, redis: Redis, prefix: str, *, most_rooms: int = 50, linger_seconds: float = 20.0) -> None:
        self._tasks = asyncio.TaskGroup()
        self._redis = redis
        self._prefix = prefix
        self._most_rooms = most_rooms
        self._linger_seconds = linger_seconds
        self._followed: dict[str, _Followed] = {}

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for room in self.rooms:
            self._let_go(room)
        await self._tasks.__aexit__(kind, error, trace)

    @property
    def rooms(self) -> list[str]:
        """The rooms that are followed at present."""
        return list(self._followed)

    @contextmanager
    def watching(self, room: str) -> Iterator[RoomHub]:
        """A room's hub, shared with everybody else who watches it; raises TooManyRooms or RoomNameUnusable."""
        followed = self._followed.get(room) or self._follow(room)
        followed.watchers += 1
        if followed.ending:
            followed.ending.cancel()
        try:
            yield followed.hub
        finally:
            followed.watchers -= 1
            if not followed.watchers:
                loop = asyncio.get_running_loop()
                followed.ending = loop.call_later(self._linger_seconds, self._let_go, room)

    def hurry(self, room: str) -> None:
        """Have a room's marks looked for at once, if somebody watches it."""
        if room in self._followed:
            self._followed[room].hub.hurry()

    def _follow(self, room: str) -> _Followed:
        keys = Keys(self._prefix, room)
        if len(self._followed) >= self._most_rooms:
            raise TooManyRooms(f"{self._most_rooms} rooms are watched already")
        hub = RoomHub(self._redis, keys)
        self._followed[room] = followed = _Followed(hub, self._tasks.create_task(hub.run()))
        return followed

    def _let_go(self, room: str) -> None:
        followed = self._followed.pop(room, None)
        if followed is None:
            return
        if followed.ending:
            followed.ending.cancel()
        followed.hub.close()
        followed.task.cancel()
