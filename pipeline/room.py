"""What a room looks like at present, read from Redis alone.

The client passed in must decode its replies; give it `encoding_errors="replace"`, so that invalid bytes which somebody
else wrote to these keys make one broken entry instead of an exception.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from pipeline.events import BotStatus
from pipeline.keys import Keys, any_room, room_of
from pipeline.state import PARTICIPANT, SUMMARY, Command, ParticipantState, SummaryState

BOT: TypeAdapter[BotStatus] = TypeAdapter(BotStatus)

Value = TypeVar("Value")

ALIEN = object()
"""Stands for the value of a key of the wrong type: it is truthy, and no model accepts it."""


@dataclass(frozen=True, slots=True)
class RoomState:
    """A room at one moment.

    Participants are in order of their names, including those who left, until the retention ends. `bot` is None if no bot
    is live; `broken_keys` were left out because their type or value is not what their name says. `stream_id` is that of
    the last event that this state includes, if it was read together with the stream.
    """

    room: str
    participants: tuple[ParticipantState, ...] = ()
    summary: SummaryState | None = None
    bot: BotStatus | None = None
    broken_keys: tuple[str, ...] = ()
    stream_id: str = ""

    @property
    def broken(self) -> int:
        """How many keys were left out."""
        return len(self.broken_keys)

    @property
    def present(self) -> tuple[ParticipantState, ...]:
        """The participants who have not left."""
        return tuple(participant for participant in self.participants if participant.present)


async def room_state(redis: Redis, keys: Keys) -> RoomState:
    """The state of a room, read in one transaction; raises redis.exceptions.RedisError."""
    state, _ = await state_with(redis, keys)
    return state


async def state_with(redis: Redis, keys: Keys, *commands: Command) -> tuple[RoomState, list[Any]]:
    """The state of a room, and the replies, errors included, to other commands in the same transaction.

    Raises redis.exceptions.RedisError.
    """
    ids: list[str] = []
    while True:
        replies, others = await _replies(redis, keys, ids, commands)
        ids_now = [] if (listed := replies[keys.participants]) is ALIEN else listed
        if set(ids_now) == set(ids):
            return _room_state(keys, ids, replies), others
        ids = ids_now  # unknown before the first read; later, somebody came or expired between two reads


async def _replies(redis: Redis, keys: Keys, ids: list[str], commands: tuple[Command, ...]) -> tuple[dict[str, Any], list[Any]]:
    """The replies that make up a state, by key, and those to `commands`."""
    hashes = [("HGETALL", key) for key in (keys.summary, *map(keys.participant, ids))]
    of_state: list[Command] = [("ZRANGE", keys.participants, 0, -1), *hashes, ("GET", keys.bot)]
    async with redis.pipeline(transaction=True) as pipe:
        for command in (*of_state, *commands):
            pipe.execute_command(*command)
        replies: list[Any] = await pipe.execute(raise_on_error=False)
    own, others = replies[: len(of_state)], replies[len(of_state) :]
    return {str(key): _known(reply) for (_, key, *_), reply in zip(of_state, own, strict=True)}, others


def _known(reply: Any) -> Any:
    if isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE"):
        return ALIEN
    if isinstance(reply, RedisError):
        raise reply
    return reply


def _room_state(keys: Keys, ids: list[str], replies: dict[str, Any]) -> RoomState:
    broken = [keys.participants] if replies[keys.participants] is ALIEN else []

    def read(parse: Callable[[Any], Value], key: str) -> Value | None:
        written = replies[key]
        value = _read(parse, written) if written else None  # a hash may be gone while its id is still in the sorted set
        if written and value is None:
            broken.append(key)
        return value

    participants = [read(PARTICIPANT.validate_python, keys.participant(each)) for each in ids]
    in_order = sorted(filter(None, participants), key=lambda each: (each.name.casefold(), each.id))
    summary, bot = read(SUMMARY.validate_python, keys.summary), read(BOT.validate_json, keys.bot)
    return RoomState(keys.room, tuple(in_order), summary, bot, tuple(broken))


async def rooms(redis: Redis, prefix: str) -> list[str]:
    """The rooms that Redis knows of, live or within the retention, in the order of their names."""
    found = [room_of(key, prefix) async for key in redis.scan_iter(any_room(prefix), count=1000)]
    return sorted({room for room in found if room is not None})


def _read(parse: Callable[[Any], Value], written: object) -> Value | None:
    try:
        return parse(written)
    except ValidationError:
        return None
