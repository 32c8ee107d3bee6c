"""The subscriber's side: what a room looks like at present, and then everything that happens in it.

    async for item in follow(redis, "demo"):
        match item:
            case RoomState():
                print(len(item.present), "are here")
            case Change(data=EmotionChanged(participant=who, after=emotion)):
                print(who, "is now", emotion)
            case Missed():
                print(item.count, "events are lost")

It reads the stream, not the channel: a subscriber that is slow or was disconnected falls behind in the stream, which
costs no memory and leaves no gap to fill. What the stream itself no longer holds is reported as `Missed`, followed by a
fresh state once everything that is left has been delivered. A fresh state also comes after Redis lost data. A state is
always a new beginning; what follows it is what happened since.

Reading needs the commands ZRANGE, HGETALL, GET, XINFO STREAM, XRANGE, XREVRANGE, XREAD, MULTI and EXEC, and never writes.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from re import fullmatch
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.entries import BEGINNING, PAGE, entries_since, event_in, events_since, last_id, naming, position
from pipeline.events import DATA_BY_TYPE, Data, Event, schema_url
from pipeline.keys import Keys
from pipeline.patience import BLOCK_SECONDS, Patience, own_client
from pipeline.room import RoomState, room_state, rooms, state_with
from pipeline.sequences import Missed, Sequences

__all__ = [
    "PAGE",
    "Change",
    "Follower",
    "Item",
    "Missed",
    "RoomState",
    "entries_since",
    "events_since",
    "follow",
    "room_state",
    "rooms",
]

logger = logging.getLogger(__name__)

LOOK_BACK = 1000
"""How many of the newest stream entries are searched for one already seen, after Redis lost some."""

NEWEST = 100
"""How many of the newest stream entries are searched for the last number of each run; some may be from other writers."""

Entries = list[tuple[str, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Change:
    """An event and its place in the stream.

    `data` is the event's data as its own model; None for a type or schema version that is not known here. Such an event
    is only in `event`, and its names may mean something else.
    """

    stream_id: str
    event: Event
    data: Data | None


Item = RoomState | Change | Missed


def follow(
    redis: Redis,
    room: str,
    prefix: str = "classmood",
    *,
    after: str | None = None,
    retry_seconds: float = 1.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> "Follower":
    """A room's state, then each change once and in order, forever; use it as `async for item in follow(…)`.

    With `after`, the stream id of an earlier item, it continues after that item and begins without a state; "0" gives
    everything that the stream holds. If Redis goes away, it tries again, at most `retry_seconds` apart, until Redis is
    back. Any redis-py client will do: it is only used to open a connection of its own to the same server. Leaving the
    loop closes that connection; inside `contextlib.aclosing(follow(…).items())`, it does so at once.

    Raises ValueError if `after` is not a stream id, and while iterating RedisUnusable if waiting would not help, such as
    for a wrong password.
    """
    return Follower(redis, Keys(prefix, room), after=after, retry_seconds=retry_seconds, sleep=sleep)


class Follower:
    """Follows one room, and counts what it left out.

    `skipped` counts entries that are not our events, `repeated` events that came again after Redis lost data, `outages`
    how often Redis was away. Only one loop may read it at a time.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        after: str | None = None,
        retry_seconds: float = 1.0,
        block_seconds: float = BLOCK_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.skipped = 0
        self.repeated = 0
        self._redis = redis
        self._keys = keys
        self._block_ms = max(1, int(block_seconds * 1000))  # 0 would block forever
        self._patience = Patience("follow", retry_seconds, sleep)
        self._sequences = Sequences()
        self._cursor = None if after is None else _whole_id(after)
        self._begun = False
        self._behind = False  # the last page was full
        self._at_the_end = False  # the last look at the stream found nothing unread
        self._state_is_due = False
        self._nothing_came = False
        self._outages_looked_into = 0

    @property
    def outages(self) -> int:
        """How often Redis was away."""
        return self._patience.outages

    def __aiter__(self) -> AsyncIterator[Item]:
        return self.items()

    async def items(self) -> AsyncGenerator[Item, None]:
        """One item at a time."""
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page:
                    yield item

    async def pages(self) -> AsyncGenerator[list[Item], None]:
        """All items that are available at a time: at least one, and little more than `PAGE`."""
        async with own_client(self._redis) as redis:
            while True:
                page = await self._patience.take(partial(self._next, redis))
                if page:
                    yield page

    async def _next(self, redis: Redis) -> list[Item]:
        with naming(self._keys.events):
            return await self._step(redis)

    async def _step(self, redis: Redis) -> list[Item]:
        # a failed step is repeated, so each changes this object's state only after its last reply
        self._at_the_end = False
        if not self._begun:
            return await (self._begin(redis) if self._cursor is None else self._begin_after(redis, self._cursor))
        if self._nothing_came or self._outages_looked_into != self.outages:
            await self._look_for_losses(redis)
        if self._state_is_due and not self._behind:
            return await self._read_with_the_state(redis)
        return await self._read(redis)

    async def _begin(self, redis: Redis) -> list[Item]:
        info, newest = ("XINFO STREAM", self._keys.events), ("XREVRANGE", self._keys.events, "+", "-", "COUNT", NEWEST)
        state, replies = await state_with(redis, self._keys, info, newest)
        self._cursor = last_id(replies[0])
        self._sequences.begin(_events(reversed(_checked(replies[1]))))
        self._begun = True
        return [replace(state, stream_id=self._cursor)]

    async def _begin_after(self, redis: Redis, after: str) -> list[Item]:
        at_cursor: Any = await redis.xrange(self._keys.events, after, after)
        if at_cursor:
            self._sequences.begin(_events(at_cursor))
        elif after != BEGINNING:
            self._sequences.begin_behind_something_lost()
            self._state_is_due = True
        self._nothing_came = self._begun = True
        return []

    async def _look_for_losses(self, redis: Redis) -> None:
        """Check whether the stream is still the one read so far; if not, go back to its newest entry that was seen."""
        assert self._cursor is not None
        outages = self.outages
        async with redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("XINFO STREAM", self._keys.events)
            pipe.execute_command("XRANGE", self._keys.events, self._cursor, self._cursor)
            info, at_cursor = await pipe.execute(raise_on_error=False)
        here = bool(_checked(at_cursor)) or self._cursor == BEGINNING
        self._at_the_end = last_id(info) == self._cursor
        if position(last_id(info)) < position(self._cursor):
            self._cursor = await self._newest_that_was_seen(redis)
            self._state_is_due = True
            logger.warning("follow: the stream is gone, was replaced, or lost its newest entries")
        elif not here and outages != self._outages_looked_into:
            self._state_is_due = True  # Redis may have come back empty
        self._outages_looked_into, self._nothing_came = outages, False

    async def _newest_that_was_seen(self, redis: Redis) -> str:
        newest: Any = await redis.xrevrange(self._keys.events, count=LOOK_BACK)
        events = ((stream_id, event_in(fields)) for stream_id, fields in newest)
        return next((stream_id for stream_id, event in events if event and self._sequences.has_seen(event)), BEGINNING)

    async def _read_with_the_state(self, redis: Redis) -> list[Item]:
        """The next page and, if that is the last one, the state after it."""
        rest = ("XRANGE", self._keys.events, f"({self._cursor}", "+", "COUNT", PAGE)
        state, [entries] = await state_with(redis, self._keys, rest)
        await self._look_for_a_lost_end(redis, _checked(entries))
        items = self._items(entries)
        if self._behind:
            return items
        assert self._cursor is not None
        self._state_is_due = False
        self._sequences.begin_anew()
        return [*items, replace(state, stream_id=self._cursor)]

    async def _read(self, redis: Redis) -> list[Item]:
        assert self._cursor is not None
        replies: Any = await redis.xread({self._keys.events: self._cursor}, count=PAGE, block=self._block_ms)
        entries: Entries = replies[0][1] if replies else []
        await self._look_for_a_lost_end(redis, entries)
        self._nothing_came = not entries
        return self._items(entries)

    async def _look_for_a_lost_end(self, redis: Redis, page: Entries) -> None:
        """When a new run begins, find out whether the end of the previous one was trimmed before it was read.

        Only the oldest entries are trimmed: as long as there is one at or before the cursor, none after it is gone.
        Otherwise the publisher's own count tells, for as long as Redis keeps it.
        """
        epoch, first = self._sequences.newest_epoch, next(iter(_events(page)), None)
        same_run = first is not None and self._sequences.knows(first)
        if not page or epoch is None or same_run or self._at_the_end or self._cursor in (None, BEGINNING):
            return
        async with redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("XREVRANGE", self._keys.events, self._cursor, "-", "COUNT", 1)
            pipe.execute_command("GET", self._keys.last(epoch))
            up_to_cursor, last = await pipe.execute(raise_on_error=False)
        if not _checked(up_to_cursor):
            self._sequences.newest_run_has_lost_its_end(_number(last))

    def _items(self, entries: Entries) -> list[Item]:
        self._behind = len(entries) == PAGE
        return [item for stream_id, fields in entries for item in self._items_of(stream_id, fields)]

    def _items_of(self, stream_id: str, fields: dict[str, str]) -> list[Item]:
        self._cursor = stream_id
        change = change_in(stream_id, fields)
        if change is None:
            self.skipped += 1
            return []
        if self._sequences.is_repeated(change.event):
            self.repeated += 1
            return []
        missed = self._sequences.missing_before(change.event, stream_id)
        self._state_is_due = self._state_is_due or bool(missed)
        return [*missed, change]


def change_in(stream_id: str, fields: dict[str, str]) -> Change | None:
    """The change that a stream entry holds; None if it holds no event, or one that does not fit its own schema."""
    event = event_in(fields)
    if event is None:
        return None
    if event.type not in DATA_BY_TYPE or event.dataschema != schema_url(event.type):
        return Change(stream_id, event, None)
    try:
        return Change(stream_id, event, event.typed())
    except ValidationError:
        return None


def _events(entries: Iterable[tuple[str, dict[str, str]]]) -> list[Event]:
    return [event for event in (event_in(fields) for _, fields in entries) if event is not None]


def _number(reply: Any) -> int | None:
    return int(reply) if isinstance(reply, str) and fullmatch(r"\d{1,18}", reply) else None


def _checked(reply: Any) -> Any:
    if isinstance(reply, RedisError):
        raise reply
    return reply


def _whole_id(text: str) -> str:
    found = fullmatch(r"(\d{1,20})(?:-(\d{1,20}))?", text)
    if found is None or max(position(found[0])) >= 2**64:
        raise ValueError(f"{text[:40]!r} is no stream id, such as 1767254400250-0")
    return f"{found[1]}-{found[2] or 0}"
