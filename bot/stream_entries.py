"""The raw entries of a room's stream in Redis, including those that are not events."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from bot.errors import RedisRefused
from pipeline.cancellation import cancellable
from pipeline.entries import BEGINNING, naming, newest_erased_id, position
from pipeline.follow import PAGE
from pipeline.keys import Keys
from pipeline.publish import REDIS_TROUBLES, heals, reason

logger = logging.getLogger(__name__)

REMEMBERED = 1000
"""How many ids of the last entries read are kept, to find the place again if the stream loses its newest entries."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stream entry; `text` is its field `event`, or None if it has none."""

    stream_id: str
    text: str | None


async def present_entries(redis: Redis, keys: Keys) -> AsyncIterator[Entry]:
    """The entries in the stream, from the oldest to the newest; raises RedisRefused, also if Redis is away."""
    after = BEGINNING
    while True:
        try:
            page = await cancellable(_page(redis, keys, after))
        except REDIS_TROUBLES as error:
            raise RedisRefused(_trouble(error)) from None
        for entry in page:
            yield entry
        if len(page) < PAGE:
            return
        after = page[-1].stream_id


async def erased_until(redis: Redis, keys: Keys) -> str:
    """The newest id that was erased from the stream, or `BEGINNING` if none; raises RedisRefused, also if Redis is away."""
    try:
        return await cancellable(newest_erased_id(redis, keys))
    except REDIS_TROUBLES as error:
        raise RedisRefused(_trouble(error)) from None


async def entries_to_come(
    redis: Redis, keys: Keys, after: str | None, *, every_seconds: float, wait_seconds: float
) -> AsyncIterator[list[Entry]]:
    """The stream's entries after the id `after`, or from now on if that is None, forever: in pages, which may be empty.

    It polls every `every_seconds`. While Redis is away it tries again every `wait_seconds`, and then goes on where it was, or
    after the last entry it had read that Redis has not lost. Raises RedisRefused if waiting would not help.
    """
    tail = _Tail(redis, keys, after)
    away = False
    while True:
        try:
            page = await cancellable(tail.read())
        except REDIS_TROUBLES as error:
            if not heals(error):
                raise RedisRefused(_trouble(error)) from None
            if not away:
                logger.warning("redis is away: %s", reason(error))
            away = True
            await asyncio.sleep(wait_seconds)
            continue
        if away:
            logger.info("redis is back")
        away = False
        yield page
        if len(page) < PAGE:
            await asyncio.sleep(every_seconds)


class _Tail:
    """A position in a stream, which moves forward with what is read, and back if the stream has lost entries."""

    def __init__(self, redis: Redis, keys: Keys, after: str | None) -> None:
        self._redis = redis
        self._keys = keys
        self._after = after
        self._read = deque[str]([after] if after is not None else [], REMEMBERED)

    async def read(self) -> list[Entry]:
        """The next page of entries; empty if there is nothing new."""
        if self._after is None:
            self._after = await self._newest()
            self._read.append(self._after)
            return []
        page = await _page(self._redis, self._keys, self._after)
        if page:
            self._after = page[-1].stream_id
            self._read.extend(entry.stream_id for entry in page)
        # checked without an error too: redis-py reconnects by itself, so a restart of Redis may go unnoticed
        elif await self._has_gone_back(self._after):
            await self._go_back()
        return page

    async def _go_back(self) -> None:
        """Move to the newest entry that was read and is still there, or else to the beginning."""
        read = {stream_id for stream_id in self._read if stream_id != BEGINNING}
        there: Any = await self._redis.xrevrange(self._keys.events, min=min(read, key=position)) if read else []
        found = next((stream_id for stream_id, _ in there if stream_id in read), BEGINNING)
        if found == BEGINNING:
            logger.warning("the stream was replaced: reading it from its beginning")
        else:
            logger.warning("the stream has lost its newest entries: reading on from the last that it kept")
        while self._read and self._read[-1] != found:
            self._read.pop()
        self._after = found

    async def _has_gone_back(self, read: str) -> bool:
        """Whether the stream was replaced or restored to an older state, so that new ids may come before the last one read."""
        if position(await self._newest()) >= position(read):
            return False
        try:
            told: Any = await self._redis.xinfo_stream(self._keys.events)
        except NoPermissionError:  # without it, erased entries cannot be told from lost ones
            return False
        except ResponseError as error:
            if "no such key" not in str(error):
                raise
            return True
        # this id also counts entries that were deleted since
        return position(told["last-generated-id"]) < position(read)

    async def _newest(self) -> str:
        entries: Any = await self._redis.xrevrange(self._keys.events, count=1)
        return entries[0][0] if entries else BEGINNING


async def _page(redis: Redis, keys: Keys, after: str) -> list[Entry]:
    with naming(keys.events):
        found: Any = await redis.xrange(keys.events, min=f"({after}", count=PAGE)
    return [Entry(stream_id, (fields or {}).get("event")) for stream_id, fields in found]


def _trouble(error: RedisError) -> str:
    return f"redis {'is away' if heals(error) else 'refuses'}: {reason(error)}"
