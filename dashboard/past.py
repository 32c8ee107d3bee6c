"""What the last minutes of a room's stream say about the class, and what its operator declared."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError
from redis.asyncio import Redis

from dashboard.history import WINDOW_MS, Moment
from pipeline.coverage import Coverage
from pipeline.entries import PAGE, event_in, position
from pipeline.events import BasisStated, Event, Summary
from pipeline.keys import Keys

_SUMMARY = '"classmood.summary"'
_BASIS = '"classmood.basis.stated"'

NEWEST = 20
"""Entries by which the bot's clock is judged."""

NEWEST_AUDITED = 1000
"""How many of the audit stream's newest entries are searched for the latest declaration; the others say who consented."""

Kind = TypeVar("Kind", Summary, BasisStated)


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
    newest: Any = await redis.xrevrange(keys.audit, count=NEWEST_AUDITED)
    return next((basis for _, fields in newest if (basis := _data(fields, _BASIS, BasisStated)[1])), None)


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
            event, summary = _data(fields, _SUMMARY, Summary)
            if event and summary:
                moments.append(moment_of(summary, published_ms(event)))
        if len(page) < PAGE:
            return moments
        after = f"({page[-1][0]}"


def _data(fields: dict[str, str], quoted_type: str, kind: type[Kind]) -> tuple[Event | None, Kind | None]:
    """The event in an entry and its data, if it is of that kind.

    Most entries of a stream are samples, so an entry is parsed only if it contains the type's name.
    """
    event = event_in(fields) if quoted_type in fields.get("event", "") else None
    try:
        data = event.typed() if event else None
    except ValidationError:
        data = None
    return event, data if isinstance(data, kind) else None
