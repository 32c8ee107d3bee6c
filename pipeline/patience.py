"""A reader's own connection, and how it waits while Redis is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from pipeline.publish import FIRST_RETRY_SECONDS, REDIS_TROUBLES, RedisUnusable, heals, reason

logger = logging.getLogger(__name__)

BLOCK_SECONDS = 2.0
"""How long a reader waits for the next entry before it checks whether the stream is still the one it knows."""

REPLY_SECONDS = 5.0
CANCEL_AGAIN_SECONDS = 0.05

Result = TypeVar("Result")

_OF_THE_OTHER_POOL = ("maint_notifications", "himport", "orig_")


def own_client(redis: Redis) -> Redis:
    """A client of the same server with the settings that a reader needs, whatever those of `redis` are.

    It decodes replies, so that invalid text only makes a broken entry; it does not retry by itself, its timeout is longer
    than a blocking read, and it takes no connection from the other client's pool.
    """
    pool = redis.connection_pool
    same: dict[str, Any] = {
        name: value for name, value in pool.connection_kwargs.items() if not name.startswith(_OF_THE_OTHER_POOL)
    }
    manners = {
        "decode_responses": True,
        "encoding": "utf-8",
        "encoding_errors": "replace",
        "protocol": 2,  # its replies have the same shape in all versions of Redis and redis-py
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": BLOCK_SECONDS + REPLY_SECONDS,
        "socket_connect_timeout": same.get("socket_connect_timeout") or REPLY_SECONDS,
    }
    own: Redis = Redis.from_pool(ConnectionPool(pool.connection_class, **{**same, **manners}))
    return own


class Patience:
    """Repeats a step while Redis is away; logs once that it is, and once that it is back."""

    def __init__(self, who: str, longest_wait_seconds: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.outages = 0
        self._who = who
        self._longest_wait_seconds = longest_wait_seconds
        self._sleep = sleep

    async def take(self, step: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of the step once Redis answers; raises RedisUnusable where waiting would not help."""
        wait_seconds = 0.0
        while True:
            try:
                result = await _interruptible(step())
            except REDIS_TROUBLES as error:
                self._give_up_or_tell(error, first=not wait_seconds)
                wait_seconds = min(max(2 * wait_seconds, FIRST_RETRY_SECONDS), self._longest_wait_seconds)
                await self._sleep(wait_seconds)
                continue
            if wait_seconds:
                logger.info("%s: redis is back", self._who)
            return result

    def _give_up_or_tell(self, error: RedisError, *, first: bool) -> None:
        if not heals(error):
            raise RedisUnusable(f"redis refuses: {reason(error)}") from None
        if first:
            self.outages += 1
            logger.warning("%s: redis is away: %s", self._who, reason(error))


async def _interruptible(step: Coroutine[Any, Any, Result]) -> Result:
    """The result of `step`; a cancellation ends it at once, even if redis-py loses the first one.

    It would otherwise take effect only after the blocking read. Source: https://bugs.python.org/issue37658
    """
    task = asyncio.create_task(step)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN_SECONDS)
        if not task.cancelled():
            task.exception()  # retrieved, or asyncio would warn that nobody did
        raise
    return task.result()
