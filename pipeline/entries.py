"""A room's stream of events, read page by page."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from pipeline.events import Event
from pipeline.keys import Keys

PAGE = 500
"""Stream entries that are read at a time."""

BEGINNING = "0-0"
"""The stream id before every entry."""

Kind = TypeVar("Kind", bound=BaseModel)


async def events_since(
    redis: Redis, keys: Keys, after: str = "0", *, broken: Callable[[str], None] = lambda stream_id: None
) -> AsyncIterator[Event]:
    """A room's events in order, from just after the stream id `after` to the newest.

    An entry that is not an event is left out, and `broken` is called with its stream id.
    """
    async for _, event in entries_since(redis, keys, after, broken=broken):
        yield event


def entries_since(
    redis: Redis, keys: Keys, after: str = "0", *, broken: Callable[[str], None] = lambda stream_id: None
) -> AsyncIterator[tuple[str, Event]]:
    """Like `events_since`, with the stream id of each event, from which to continue later."""
    return entries_in(redis, keys.events, after, broken=broken)


async def entries_in(
    redis: Redis, key: str, after: str = "0", *, broken: Callable[[str], None] = lambda stream_id: None
) -> AsyncIterator[tuple[str, Event]]:
    """Like `entries_since`, for any stream that holds events."""
    while True:
        page: Any = await redis.xrange(key, min=f"({after}", count=PAGE)
        for after, fields in page:
            event = event_in(fields)
            if event is None:
                broken(after)
            else:
                yield after, event
        if len(page) < PAGE:
            return


def event_in(fields: dict[str, str]) -> Event | None:
    """The event that a stream entry holds; None if it holds none."""
    try:
        return Event.model_validate_json(fields.get("event", ""))
    except ValidationError:
        return None


def told_in(fields: dict[str, str], kind: type[Kind]) -> tuple[Event, Kind] | None:
    """The event in an entry and its data, if it is of that kind.

    Samples are by far the most of a stream, so an entry is only parsed if the type stands in it.
    """
    quoted_type = f'"{kind.model_fields["type"].default}"'
    event = event_in(fields) if quoted_type in fields.get("event", "") else None
    try:
        data = event.typed() if event else None
    except ValidationError:
        return None
    return (event, data) if event and isinstance(data, kind) else None


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Make the error for a key of the wrong type name that key."""
    try:
        yield
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        raise ResponseError(f"WRONGTYPE {key} is of another type than it should be") from None


def position(stream_id: str) -> tuple[int, int]:
    """A stream id as its sort key: milliseconds of the Redis server's clock, and a number within that millisecond."""
    milliseconds, _, number = stream_id.partition("-")
    return int(milliseconds), int(number or 0)


def last_id(info: Any) -> str:
    """The last id that a stream assigned, from the reply to XINFO STREAM; `BEGINNING` if there is no stream.

    Raises the reply if it is any other redis.exceptions.RedisError.
    """
    if isinstance(info, ResponseError) and "no such key" in str(info):
        return BEGINNING
    if isinstance(info, RedisError):
        raise info
    last: str = info["last-generated-id"]
    return last


async def last_id_of(redis: Redis, keys: Keys) -> str:
    """The last id that a room's stream assigned; raises redis.exceptions.RedisError."""
    try:
        return last_id(await redis.xinfo_stream(keys.events))
    except ResponseError as error:
        return last_id(error)


async def newest_erased_id(redis: Redis, keys: Keys) -> str:
    """The newest id ever erased from a room's stream; `BEGINNING` if none was, or if Redis is older than 7.

    Trimming by age does not count as erasing. Raises redis.exceptions.RedisError.
    """
    try:
        with naming(keys.events):
            info: Any = await redis.xinfo_stream(keys.events)
    except ResponseError as error:
        return last_id(error)
    erased: str = info.get("max-deleted-entry-id", BEGINNING)
    return erased
