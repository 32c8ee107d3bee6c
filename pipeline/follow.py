"""The subscriber's side: what a room looks like at present, and what happened in it, read from Redis alone.

The client that is handed in decodes its replies; give it `encoding_errors="replace"`, so that bytes which somebody
else wrote to these keys are one broken entry and not an exception.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from pipeline.events import BotStatus, Event
from pipeline.keys import Keys, any_room, room_of
from pipeline.state import PARTICIPANT, SUMMARY, ParticipantState, SummaryState

PAGE = 500
"""Stream entries that are read at a time."""

BOT: TypeAdapter[BotStatus] = TypeAdapter(BotStatus)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RoomState:
    """A room at one moment.

    Participants stand in the order of their names, those who left among them until the retention ends. `bot` is None
    where no bot is live; `broken` counts hashes and strings that do not fit their names and were left out.
    """

    room: str
    participants: tuple[ParticipantState, ...] = ()
    summary: SummaryState | None = None
    bot: BotStatus | None = None
    broken: int = 0

    @property
    def present(self) -> tuple[ParticipantState, ...]:
        """The participants who have not left."""
        return tuple(participant for participant in self.participants if participant.present)


async def room_state(redis: Redis, keys: Keys) -> RoomState:
    """The state of a room, read in one transaction; raises redis.exceptions.RedisError."""
    ids: list[str] = []
    while True:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("ZRANGE", keys.participants, 0, -1)
            for key in (keys.summary, *map(keys.participant, ids)):
                pipe.execute_command("HGETALL", key)
            pipe.execute_command("GET", keys.bot)
            ids_now, summary, *hashes, bot = await pipe.execute()
        if set(ids_now) == set(ids):
            return _room_state(keys.room, summary, bot, hashes)
        ids = ids_now  # not known before the first read; later, somebody came or expired between two


def _room_state(room: str, summary: dict[str, str], bot: str | None, hashes: list[dict[str, str]]) -> RoomState:
    # a hash may be gone while its id still stands in the sorted set
    participants = [_read(PARTICIPANT.validate_python, fields) for fields in hashes if fields]
    read_summary = _read(SUMMARY.validate_python, summary) if summary else None
    read_bot = _read(BOT.validate_json, bot) if bot else None
    return RoomState(
        room,
        tuple(sorted(filter(None, participants), key=lambda each: (each.name.casefold(), each.id))),
        read_summary,
        read_bot,
        participants.count(None) + bool(summary and read_summary is None) + bool(bot and read_bot is None),
    )


async def rooms(redis: Redis, prefix: str) -> list[str]:
    """The rooms that Redis knows of, live or within the retention, in the order of their names."""
    found = [room_of(key, prefix) async for key in redis.scan_iter(any_room(prefix), count=1000)]
    return sorted({room for room in found if room is not None})


async def events_since(
    redis: Redis, keys: Keys, after: str = "0", *, broken: Callable[[str], None] = lambda stream_id: None
) -> AsyncIterator[Event]:
    """A room's events in order, from behind the stream id `after` to the newest there is.

    An entry that is no event is left out, and `broken` is told its stream id.
    """
    async for _, event in entries_since(redis, keys, after, broken=broken):
        yield event


async def entries_since(
    redis: Redis, keys: Keys, after: str = "0", *, broken: Callable[[str], None] = lambda stream_id: None
) -> AsyncIterator[tuple[str, Event]]:
    """As `events_since`, each event with the stream id from which to go on later."""
    while True:
        page: Any = await redis.xrange(keys.events, min=f"({after}", count=PAGE)
        for after, fields in page:
            event = _read(Event.model_validate_json, fields.get("event", ""))
            if event is None:
                broken(after)
            else:
                yield after, event
        if len(page) < PAGE:
            return


def _read(parse: Callable[[Any], Value], written: object) -> Value | None:
    try:
        return parse(written)
    except ValidationError:
        return None
