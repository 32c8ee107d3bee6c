"""What the last minutes of a room's stream say about the class, and what its operator declared."""

from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis.asyncio import Redis

from dashboard.history import WINDOW_MS, Moment
from pipeline.audit import declarations
from pipeline.coverage import Coverage
from pipeline.entries import PAGE, event_in, position, told_in
from pipeline.events import BasisStated, Event, Summary
from pipeline.keys import Keys

NEWEST = 20
"""Entries by which the bot's clock is judged."""


@dataclass(frozen=True, slots=True)
class Past:
    """What an earlier watcher would know; `times` are those of events, by the bot's clock and by that of Redis, in ms."""

    basis: BasisStated | None
    times: list[tuple[int, int]]
    moments: list[Moment]


async def read_past(redis: Redis, keys: Keys, until_id: str) -> Past:
    """The last ten minutes up to a stream id; raises redis.exceptions.RedisError."""
    return Past(await _basis(redis, keys), await _times(redis, keys, until_id), await _moments(redis, keys, until_id))


def moment_of(summary: Summary, at_ms: int) -> Moment:
    """A summary that was published at `at_ms`, as a moment of the past."""
    seen = summary.coverage.get(Coverage.OK, 0)
    return Moment(at_ms, summary.participants, seen, summary.scored, summary.shares, summary.valence)


def published_ms(event: Event) -> int:
    """When an event was published, by the bot's clock."""
    return round(datetime.fromisoformat(event.time).timestamp() * 1000)


async def _basis(redis: Redis, keys: Keys) -> BasisStated | None:
    async with aclosing(declarations(redis, keys)) as newest_first:
        told = await anext(newest_first, None)
    return None if told is None else told[1]


async def _times(redis: Redis, keys: Keys, until_id: str) -> list[tuple[int, int]]:
    newest: Any = await redis.xrevrange(keys.events, max=until_id, count=NEWEST)
    # in the order in which they came, which tells a clock that was set from an event that waited
    events = ((stream_id, event_in(fields)) for stream_id, fields in reversed(newest))
    return [(published_ms(event), position(stream_id)[0]) for stream_id, event in events if event is not None]


async def _moments(redis: Redis, keys: Keys, until_id: str) -> list[Moment]:
    moments: list[Moment] = []
    after = str(max(0, position(until_id)[0] - WINDOW_MS))
    while True:
        page: Any = await redis.xrange(keys.events, min=after, max=until_id, count=PAGE)
        for _, fields in page:
            if (told := told_in(fields, Summary)) is not None:
                event, summary = told
                moments.append(moment_of(summary, published_ms(event)))
        if len(page) < PAGE:
            return moments
        after = f"({page[-1][0]}"
