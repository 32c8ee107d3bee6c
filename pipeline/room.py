"""What a room looks like at present, read from Redis alone.

The client that is handed in decodes its replies; give it `encoding_errors="replace"`, so that bytes which somebody
else wrote to these keys are one broken entry and not an exception.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.events import BotStatus
from pipeline.keys import Keys, any_room, room_of
from pipeline.state import PARTICIPANT, SUMMARY, Command, ParticipantState, SummaryState

BOT: TypeAdapter[BotStatus] = TypeAdapter(BotStatus)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RoomState:
    """A room at one moment.

    Participants stand in the order of their names, those who left among them until the retention ends. `bot` is None
    where no bot is live; `broken` counts hashes and strings that do not fit their names and were left out. `stream_id`
    is of the last event that this state contains, where it was read together with the stream.
    """

    room: str
    participants: tuple[ParticipantState, ...] = ()
    summary: SummaryState | None = None
    bot: BotStatus | None = None
    broken: int = 0
    stream_id: str = ""

    @property
    def present(self) -> tuple[ParticipantState, ...]:
        """The participants who have not left."""
        return tuple(participant for participant in self.participants if participant.present)


async def room_state(redis: Redis, keys: Keys) -> RoomState:
    """The state of a room, read in one transaction; raises redis.exceptions.RedisError."""
    state, _ = await state_with(redis, keys)
    return state


async def state_with(redis: Redis, keys: Keys, *commands: Command) -> tuple[RoomState, list[Any]]:
    """The state of a room, and the replies to other commands of the same transaction, errors among them.

    Raises redis.exceptions.RedisError.
    """
    ids: list[str] = []
    while True:
        ids_now, summary, *hashes, bot, others = await _replies(redis, keys, ids, commands)
        if set(ids_now) == set(ids):
            return _room_state(keys.room, summary, bot, hashes), others
        ids = ids_now  # not known before the first read; later, somebody came or expired between two


async def _replies(redis: Redis, keys: Keys, ids: list[str], commands: tuple[Command, ...]) -> list[Any]:
    """The replies that make a state, and behind them those to `commands` as one list."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.execute_command("ZRANGE", keys.participants, 0, -1)
        for key in (keys.summary, *map(keys.participant, ids)):
            pipe.execute_command("HGETALL", key)
        pipe.execute_command("GET", keys.bot)
        for command in commands:
            pipe.execute_command(*command)
        replies: list[Any] = await pipe.execute(raise_on_error=False)
    of_state, others = replies[: len(replies) - len(commands)], replies[len(replies) - len(commands) :]
    for reply in of_state:
        if isinstance(reply, RedisError):
            raise reply
    return [*of_state, others]


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


def _read(parse: Callable[[Any], Value], written: object) -> Value | None:
    try:
        return parse(written)
    except ValidationError:
        return None
