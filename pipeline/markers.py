"""The teacher's marks in a lesson, such as "exercise": a stream beside the events, owned by no run of the bot.

They are not events: the one bot that writes events numbers them, whereas a mark may come from anywhere. Marking needs the
commands XTRIM, XLEN, XADD, PEXPIRE, PTTL, TIME, XRANGE, XREVRANGE, MULTI and EXEC; reading marks needs XRANGE.
"""

import unicodedata
import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from redis.asyncio import Redis

from pipeline.entries import event_in, naming, position
from pipeline.keys import Keys

LONGEST_LABEL = 60
"""Characters."""

MOST_MARKERS = 500
"""Marks that a room keeps; one more is refused."""

RETENTION_MS = 24 * 3_600_000
"""How long the bot keeps its events by default."""

SKEW_MS = 5_000
"""Clocks that differ by no more are taken to agree: the difference also includes an event's time on its way to Redis."""

LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, after which no date can be written."""

_JOINERS = "\u200c\u200d"
"""Format characters that some scripts and emoji need."""


class MarkRefused(ValueError):
    """A mark that cannot be made; its text is one line."""


def _checked_label(text: str) -> str:
    label = text.strip()
    if not 1 <= len(label) <= LONGEST_LABEL:
        raise ValueError(f"a label has 1 to {LONGEST_LABEL} characters, this has {len(label)}")
    if any(_is_control(character) for character in label):
        raise ValueError("a label must not contain control characters")
    return label


def _is_control(character: str) -> bool:
    """Whether it is a control character, or one that changes the direction of text or breaks the line."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in _JOINERS


class Marker(BaseModel):
    """A moment of the lesson that the teacher gave a name."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(min_length=1, max_length=64, description="names this mark and no other")
    label: Annotated[str, AfterValidator(_checked_label)] = Field(description="what begins here, in the teacher's words")
    at_ms: int = Field(ge=0, le=LATEST_MS, description="when, milliseconds since the epoch, by the clock of the events")
    kind: str = Field("", max_length=LONGEST_LABEL, description="free text for programs, such as `exercise`")


def new_marker(label: str, at_ms: int, kind: str = "", marker_id: str | None = None) -> Marker:
    """A mark, with an id of its own if none is given; raises MarkRefused for a label, kind or time out of bounds."""
    try:
        return Marker(id=marker_id or uuid.uuid4().hex, label=label, at_ms=at_ms, kind=kind)
    except ValidationError as error:
        [first, *_] = error.errors(include_input=False, include_url=False)
        raise MarkRefused(f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None


async def mark(
    redis: Redis,
    keys: Keys,
    label: str,
    at_ms: int | None = None,
    *,
    kind: str = "",
    retention_ms: int = RETENTION_MS,
    marker_id: str | None = None,
) -> Marker:
    """Make a mark, now if no time is given; marks older than the retention go, unless events of their time are still there.

    Raises MarkRefused for what is out of bounds or one mark too many, and redis.exceptions.RedisError.
    """
    marker = new_marker(label, await events_now_ms(redis, keys) if at_ms is None else at_ms, kind, marker_id)
    with naming(keys.events):
        since_ms = await _kept_since_ms(redis, keys, retention_ms)
    with naming(keys.markers):
        async with redis.pipeline(transaction=False) as pipe:
            pipe.xtrim(keys.markers, minid=str(since_ms), approximate=False)
            pipe.xlen(keys.markers)
            pipe.pttl(keys.events)
            pipe.pttl(keys.markers)
            _, kept, *lifetimes_ms = await pipe.execute()
        if kept >= MOST_MARKERS:
            raise MarkRefused(f"the room already has {MOST_MARKERS} marks, and no more are kept")
        async with redis.pipeline(transaction=True) as pipe:
            pipe.xadd(keys.markers, {"marker": marker.model_dump_json()})
            # the bot, or whoever made an earlier mark, may use a longer retention
            pipe.pexpire(keys.markers, max(retention_ms, *lifetimes_ms))
            await pipe.execute()
    return marker


async def has_events(redis: Redis, keys: Keys) -> bool:
    """Whether a bot has told of the room within the retention; raises redis.exceptions.RedisError."""
    with naming(keys.events):
        return bool(await redis.xrange(keys.events, count=1))


async def _kept_since_ms(redis: Redis, keys: Keys, retention_ms: int) -> int:
    """Since when marks are kept, by the clock of Redis: the start of the retention, or the oldest event if that is earlier."""
    since_ms = max(0, await _redis_now_ms(redis) - retention_ms)
    oldest: Any = await redis.xrange(keys.events, count=1)
    return min(since_ms, position(oldest[0][0])[0]) if oldest else since_ms


async def events_now_ms(redis: Redis, keys: Keys) -> int:
    """Now, by the clock of the bot that writes the room's events, or by that of Redis if they agree or there are no events.

    A mark belongs among the events, whatever the clock says on the machine where it is made.
    """
    now_ms = await _redis_now_ms(redis)
    newest: Any = await redis.xrevrange(keys.events, count=1)
    event = event_in(newest[0][1]) if newest else None
    if event is None:
        return now_ms
    skew_ms = round(datetime.fromisoformat(event.time).timestamp() * 1000) - position(newest[0][0])[0]
    return now_ms + (skew_ms if abs(skew_ms) > SKEW_MS else 0)


async def _redis_now_ms(redis: Redis) -> int:
    seconds, microseconds = await redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


async def markers(redis: Redis, keys: Keys) -> list[Marker]:
    """A room's marks in order of time; entries that are not marks are left out. Raises redis.exceptions.RedisError."""
    with naming(keys.markers):
        entries: Any = await redis.xrange(keys.markers)
    return in_order([marker for _, fields in entries if (marker := marker_in(fields)) is not None])


def in_order(found: list[Marker]) -> list[Marker]:
    """Marks in order of time; those of the same moment stay in the order they were made."""
    return sorted(found, key=lambda marker: marker.at_ms)


def marker_in(fields: dict[str, str]) -> Marker | None:
    """The mark that a stream entry holds; None if it holds none."""
    try:
        return Marker.model_validate_json(fields.get("marker", ""))
    except ValidationError:
        return None
