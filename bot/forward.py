"""A bridge out of Redis: delivers a room's events to another system, at least once and in order per participant.

The stream id of the last page sent is kept in Redis, so that a restarted bridge repeats at most the page that it was sending.
Each participant's events go out in a lane of their own, with up to `LANES` events under way at a time. An event that the target
does not take now is tried again before the next in its lane, and meanwhile all lanes wait.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.cancellation import cancellable
from pipeline.entries import BEGINNING, naming
from pipeline.events import Event
from pipeline.follow import Change, Follower, Item, Missed
from pipeline.keys import Keys
from pipeline.publish import REDIS_TROUBLES, RedisUnusable, heals, reason

logger = logging.getLogger(__name__)

REMEMBERED_MS = 30 * 24 * 3600 * 1000
"""How long a stopped bridge's place is kept, in ms; events that the stream has lost when it returns count as missed."""

LANES = 16
"""Most events under way at a time; with a target 50 ms away, that allows some 300 a second."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0

MOST_TRIES = 12
"""After this many failures that may be the event's own fault (some five minutes) it is dropped, so that the rest goes on."""


class NotNow(Exception):
    """The target does not take the event now but may later; the text says why.

    `after_seconds` is how long the target asked us to wait, or 0. `perhaps_the_event` is true if this very event may be the
    reason, and false if the target is away or busy.
    """

    def __init__(self, why: str, after_seconds: float = 0.0, *, perhaps_the_event: bool = False) -> None:
        super().__init__(why)
        self.after_seconds = after_seconds
        self.perhaps_the_event = perhaps_the_event


class Refused(Exception):
    """The target will never take this event; the text says why."""


class Target(Protocol):
    """Where events go."""

    async def send(self, event: Event) -> None:
        """Return once the target has the event; raises NotNow or Refused."""


@dataclass(slots=True)
class Counts:
    """What became of the events.

    `forwarded` were taken by the target, `dropped` were refused by it or failed too often, `retries` are failed attempts, and
    `missed` were gone from Redis before they could be sent, as far as is known.
    """

    forwarded: int = 0
    dropped: int = 0
    retries: int = 0
    missed: int = 0


class Forwarder:
    """Forwards one room's events to one target; `name` identifies the target in the Redis key that holds how far it has got."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        target: Target,
        name: str,
        *,
        retry_seconds: float = 1.0,
        from_start: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = Counts()
        self._redis = redis
        self._keys = keys
        self._target = target
        self._memory = keys.forwarded(name)
        self._retry_seconds = retry_seconds
        self._from_start = from_start
        self._sleep = sleep
        self._monotonic = monotonic
        self._not_before = 0.0
        self._rounds = 0
        self._free = asyncio.Semaphore(LANES)

    async def run(self) -> None:
        """Forward forever; raises pipeline.publish.RedisUnusable if Redis refuses or the remembered place cannot be read."""
        after = await self._where_to_begin()
        async with aclosing(self._follower(after).pages()) as pages:
            async for page in pages:
                await self._forward(page)
                await self._remember(page[-1].stream_id)

    def _follower(self, after: str | None) -> Follower:
        try:
            return Follower(self._redis, self._keys, after=after, retry_seconds=self._retry_seconds, sleep=self._sleep)
        except ValueError as error:
            raise RedisUnusable(f"{self._memory} does not say how far events were forwarded: {error}") from None

    async def _where_to_begin(self) -> str | None:
        after = await self._remembered()
        if after is None and self._from_start:
            after = BEGINNING
            await self._remember(after)  # so that a bridge that ends within its first page begins there again
        return after

    async def _remembered(self) -> str | None:
        while True:
            try:
                with naming(self._memory):
                    stored: Any = await cancellable(self._redis.get(self._memory))
            except REDIS_TROUBLES as error:
                _only_weather(error)
                await self._sleep(self._retry_seconds)
                continue
            return stored or None

    async def _remember(self, stream_id: str) -> None:
        try:
            await cancellable(self._redis.set(self._memory, stream_id, px=REMEMBERED_MS))
        except REDIS_TROUBLES as error:
            _only_weather(error)  # the next page is remembered in its turn

    async def _forward(self, page: list[Item]) -> None:
        for missed in page:
            if isinstance(missed, Missed):
                self.counts.missed += missed.count or 0
                logger.warning("gone before they could be forwarded: %s", _in_words(missed))
        async with asyncio.TaskGroup() as lanes:
            for lane in _by_participant(page):
                lanes.create_task(self._empty(lane))

    async def _empty(self, lane: deque[Event]) -> None:
        while lane:
            await self._deliver(lane[0])
            lane.popleft()

    async def _deliver(self, event: Event) -> None:
        """Send until the event is taken, refused, or has failed too often."""
        its_own_tries = 0
        while True:
            await self._until_the_target_may_be_asked()
            try:
                async with self._free:
                    await cancellable(self._target.send(event))
            except Refused as error:
                return self._drop(event, error)
            except NotNow as error:
                its_own_tries += error.perhaps_the_event
                if its_own_tries >= MOST_TRIES:
                    return self._drop(event, error)
                self._wait_before_the_next_try(error)
                continue
            return self._took()

    async def _until_the_target_may_be_asked(self) -> None:
        while (seconds := self._not_before - self._monotonic()) > 0:
            await self._sleep(seconds)

    def _wait_before_the_next_try(self, error: NotNow) -> None:
        if not self._rounds:
            logger.warning("the target does not accept events now: %s", error)
        self.counts.retries += 1
        now = self._monotonic()
        if now >= self._not_before:  # failures of lanes while we already wait belong to the same round
            self._rounds += 1
        backoff = min(FIRST_WAIT_SECONDS * 2 ** min(self._rounds - 1, 10), LONGEST_WAIT_SECONDS)
        self._not_before = max(self._not_before, now + max(backoff, error.after_seconds))

    def _took(self) -> None:
        self.counts.forwarded += 1
        if self._rounds and self._monotonic() >= self._not_before:  # else it was on its way before the others failed
            logger.info("the target accepts events again")
            self._rounds = 0

    def _drop(self, event: Event, error: Exception) -> None:
        self.counts.dropped += 1
        logger.warning("event %s is dropped: %s", event.id, error)

    def told(self) -> str:
        """The counts in one line."""
        return ", ".join(f"{count} {name}" for name, count in asdict(self.counts).items())


def _by_participant(page: Iterable[Item]) -> Iterable[deque[Event]]:
    lanes: dict[str | None, deque[Event]] = {}
    for item in page:
        if isinstance(item, Change):
            lanes.setdefault(item.event.subject, deque()).append(item.event)
    return lanes.values()


def _in_words(missed: Missed) -> str:
    if not missed.epoch:
        return "perhaps events; where it was before is no longer in the stream"
    first, last = ("?" if number is None else number for number in (missed.first, missed.last))
    return f"events {first} to {last} of {missed.epoch}"


def _only_weather(error: RedisError) -> None:
    if not heals(error):
        raise RedisUnusable(f"redis refuses: {reason(error)}") from None
