"""A room's audit stream: who consented when, and what the operator declared, kept longer than anything else."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from redis.asyncio import Redis

from pipeline.entries import PAGE, entries_in, naming, told_in
from pipeline.events import BasisStated, Event
from pipeline.keys import Keys


async def audit_trail(redis: Redis, keys: Keys) -> AsyncIterator[Event]:
    """The events of a room's audit stream, in order; entries that are not events are left out.

    They are copies: each has the same id, epoch and sequence as the original in the stream of events. Raises
    redis.exceptions.RedisError.
    """
    async for _, event in entries_in(redis, keys.audit):
        yield event


async def declarations(redis: Redis, keys: Keys) -> AsyncGenerator[tuple[Event, BasisStated]]:
    """What the runs of a room's bot declared, the newest first, also if the stream of events no longer has it.

    Raises redis.exceptions.RedisError.
    """
    until = "+"
    while True:
        with naming(keys.audit):
            page: Any = await redis.xrevrange(keys.audit, max=until, count=PAGE)
        for _, fields in page:
            if (told := told_in(fields, BasisStated)) is not None:
                yield told
        if len(page) < PAGE:
            return
        until = f"({page[-1][0]}"


async def declared_by_run(redis: Redis, keys: Keys) -> dict[str, BasisStated]:
    """The latest declaration of each run by its epoch; raises redis.exceptions.RedisError."""
    declared: dict[str, BasisStated] = {}
    async for event, basis in declarations(redis, keys):
        declared.setdefault(event.epoch, basis)
    return declared
