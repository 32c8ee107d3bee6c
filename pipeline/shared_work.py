"""Services that share the work on a room's events: a Redis consumer group gives each event to one of them.

    async def store(change: Change) -> None:
        ...  # raise NotNow to get it again later

    await Worker(redis, Keys("classmood", "demo"), group="archive", name="archive-1", handle=store).run()

What holds:

- At least once. An event counts as done when `handle` has returned. If a worker dies before that, any worker, including
  itself under its old name, takes the event over after `claim_after_seconds`. Make `handle` idempotent by `event.id`.
- Order. A single worker gets events in order, except those that come again. Among several workers there is no order, not
  even for one participant: if you need it, follow the whole room (`pipeline.follow`).
- An event that was given out `most_deliveries` times and never done is put aside: its stream id goes to the stream
  `Keys.aside(group)`, which keeps the newest thousand or a few more for a month, and it counts as done. The event itself
  stays where it was.
- Entries that are not events are counted and acknowledged. What is trimmed or erased before it was done is lost to the
  group. If the group or stream is gone, it is created again, starting after what this worker was given last.

A worker needs the commands XGROUP, XREADGROUP, XACK, XAUTOCLAIM, XPENDING, XRANGE, XINFO STREAM, XADD, MULTI and EXEC.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from pipeline.entries import BEGINNING, last_id_of, position
from pipeline.follow import Change, change_in
from pipeline.keys import Keys
from pipeline.patience import BLOCK_SECONDS, Patience, own_client

logger = logging.getLogger(__name__)

LONGEST_ASIDE = 1000
ASIDE_MS = 30 * 24 * 3600 * 1000

_GROUP_IS_GONE = ("NOGROUP", "UNBLOCKED")
"""First words of Redis' error for a worker whose group or stream was removed, before or while it waits."""

Entries = list[tuple[str, dict[str, str] | None]]


class NotNow(Exception):
    """Raised by a handler that could not do its work and wants the event again later."""


class Worker:
    """One of the services of a group; their names must differ.

    It counts events done (`handled`), events that the handler wanted again later (`postponed`), entries taken over from
    others or itself (`claimed`), entries given up (`set_aside`), and entries that are not events (`skipped`). `start` is
    where a new group begins: "$" with what comes next, "0" with everything that the stream holds. A worker takes up to
    `at_a_time` entries in one read, and `claim_after_seconds` must be longer than it needs for them. If `handle` raises
    anything but NotNow, `run` ends, and the event comes again.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        group: str,
        name: str,
        handle: Callable[[Change], Awaitable[None]],
        start: str = "$",
        claim_after_seconds: float = 60.0,
        most_deliveries: int = 5,
        at_a_time: int = 10,
        block_seconds: float = BLOCK_SECONDS,
        retry_seconds: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.handled = self.postponed = self.claimed = self.set_aside = self.skipped = 0
        self._redis = redis
        self._keys = keys
        self._group = group
        self._name = name
        self._handle = handle
        self._claim_after_ms = int(claim_after_seconds * 1000)
        self._most_deliveries = most_deliveries
        self._at_a_time = at_a_time
        self._block_ms = max(1, int(block_seconds * 1000))  # 0 would block forever
        self._patience = Patience(f"group {group}", retry_seconds, sleep)
        self._behind = start
        self._claim_from = "0-0"

    async def run(self) -> None:
        """Work forever; raises pipeline.publish.RedisUnusable where waiting would not help."""
        async with own_client(self._redis) as redis:
            while True:
                for take in (self._take_over, self._take_new):
                    for stream_id, fields in await self._patience.take(partial(self._or_a_new_group, take, redis)):
                        await self._do(redis, stream_id, fields or {})

    async def _or_a_new_group(self, take: Callable[[Redis], Awaitable[Entries]], redis: Redis) -> Entries:
        try:
            return await take(redis)
        except ResponseError as error:
            if not str(error).startswith(_GROUP_IS_GONE):
                raise
        await self._make_the_group(redis)
        return []

    async def _make_the_group(self, redis: Redis) -> None:
        last = await last_id_of(redis, self._keys)
        if self._behind == "$":
            self._behind = last
        elif position(self._behind) > position(last):
            self._behind = BEGINNING  # of a new stream, nothing has been given out yet
        try:
            await redis.xgroup_create(self._keys.events, self._group, self._behind, mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # another worker was quicker
                raise

    async def _take_new(self, redis: Redis) -> Entries:
        streams: dict[Any, Any] = {self._keys.events: ">"}
        replies: Any = await redis.xreadgroup(self._group, self._name, streams, count=self._at_a_time, block=self._block_ms)
        entries: Entries = replies[0][1] if replies else []
        if entries:
            self._behind = entries[-1][0]
        return entries

    async def _take_over(self, redis: Redis) -> Entries:
        """Entries that others, or this worker, took and did not finish in time; those given out too often are put aside."""
        claimed: Any = await redis.xautoclaim(
            self._keys.events, self._group, self._name, self._claim_after_ms, self._claim_from, count=self._at_a_time
        )
        self._claim_from = claimed[0]  # Redis 6.2 answers with two parts, 7 with three
        entries: Entries = [entry for entry in claimed[1] if entry[0] is not None]
        if len(entries) < len(claimed[1]):
            await self._drop_what_is_erased(redis)
        self.claimed += len(entries)
        deliveries = await self._deliveries(redis, entries)
        for stream_id, count in deliveries.items():
            if count > self._most_deliveries:
                await self._put_aside(redis, stream_id, count - 1)  # this claim counted as one, but nobody gets it
        return [entry for entry in entries if deliveries.get(entry[0], 0) <= self._most_deliveries]

    async def _deliveries(self, redis: Redis, entries: Entries) -> dict[str, int]:
        if not entries:
            return {}
        first, last = entries[0][0], entries[-1][0]
        pending = await self._pending(redis, first, last, self._at_a_time * 10)
        return {each["message_id"]: each["times_delivered"] for each in pending}

    async def _pending(self, redis: Redis, first: str, last: str, count: int) -> Any:
        return await redis.xpending_range(self._keys.events, self._group, first, last, count, consumername=self._name)

    async def _drop_what_is_erased(self, redis: Redis) -> None:
        # Redis 6.2 goes on giving out entries that are no longer in the stream, and does not say which they are
        for each in await self._pending(redis, "-", "+", 1000):
            if not await redis.xrange(self._keys.events, each["message_id"], each["message_id"]):
                await redis.xack(self._keys.events, self._group, each["message_id"])

    async def _put_aside(self, redis: Redis, stream_id: str, deliveries: int) -> None:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.xadd(self._keys.aside(self._group), {"id": stream_id, "deliveries": deliveries}, maxlen=LONGEST_ASIDE)
            pipe.pexpire(self._keys.aside(self._group), ASIDE_MS)
            pipe.xack(self._keys.events, self._group, stream_id)
            await pipe.execute()
        self.set_aside += 1
        logger.warning("group %s: entry %s was given out %d times and is put aside", self._group, stream_id, deliveries)

    async def _do(self, redis: Redis, stream_id: str, fields: dict[str, str]) -> None:
        change = change_in(stream_id, fields)
        if change is None:
            self.skipped += 1
        else:
            try:
                await self._handle(change)
            except NotNow:
                self.postponed += 1
                return
            self.handled += 1
        await self._patience.take(partial(self._acknowledge, redis, stream_id))

    async def _acknowledge(self, redis: Redis, stream_id: str) -> None:
        await redis.xack(self._keys.events, self._group, stream_id)
