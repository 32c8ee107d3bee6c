"""A room's audit stream: who consented when, and what the operator declared, kept longer than anything else."""

from collections.abc import AsyncIterator

from redis.asyncio import Redis

from pipeline.entries import entries_in
from pipeline.events import Event
from pipeline.keys import Keys


async def audit_trail(redis: Redis, keys: Keys) -> AsyncIterator[Event]:
    """The events of a room's audit stream, in order; entries that are not events are left out.

    They are copies: each has the same id, epoch and sequence as the original in the stream of events. Raises
    redis.exceptions.RedisError.
    """
    async for _, event in entries_in(redis, keys.audit):
        yield event
