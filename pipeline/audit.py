"""The audit stream of a room: who consented when, and what the operator declared, longer than anything else is kept."""

from collections.abc import AsyncIterator

from redis.asyncio import Redis

from pipeline.entries import entries_in
from pipeline.events import Event
from pipeline.keys import Keys


async def audit_trail(redis: Redis, keys: Keys) -> AsyncIterator[Event]:
    """The events of a room's audit stream, in order; what is no event is left out.

    They are copies: each has the id, the run and the sequence of the same event in the stream of events. Raises
    redis.exceptions.RedisError.
    """
    async for _, event in entries_in(redis, keys.audit):
        yield event
