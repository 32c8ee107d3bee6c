"""Erase one person from a room: what Redis would have kept of them until the end of the retention."""

import json
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from pipeline.keys import Keys

PAGE = 250
"""Stream entries that are looked at, and at most erased, in one command: less than a millisecond of the server's time."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased of a person; `is_present` if the room's bot still published about them, and so goes on."""

    states: int
    ranks: int
    entries: int
    scanned: int
    is_present: bool

    @property
    def anything(self) -> bool:
        """Whether Redis knew the person."""
        return bool(self.states or self.ranks or self.entries)


async def forget(redis: Redis, keys: Keys, participant_id: str) -> Forgotten:
    """Erase a participant's hash, their place among the participants, and every stream entry about them.

    The stream is read in pages, so neither side holds more than one of them. Where the bot publishes about the person
    meanwhile, that is erased too, up to the moment that this returns. Raises redis.exceptions.RedisError; what was
    erased until then stays erased, and asking again erases the rest.
    """
    is_present = await _is_present(redis, keys, participant_id)
    states, ranks = await _forget_state(redis, keys, participant_id)
    scanned, entries = await _forget_entries(redis, keys, participant_id)
    states_since, ranks_since = await _forget_state(redis, keys, participant_id)
    return Forgotten(max(states, states_since), max(ranks, ranks_since), entries, scanned, is_present)


async def _is_present(redis: Redis, keys: Keys, participant_id: str) -> bool:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.execute_command("GET", keys.bot)
        pipe.execute_command("HGET", keys.participant(participant_id), "present")
        bot, present = await pipe.execute()
    return bot is not None and present == "1"


async def _forget_state(redis: Redis, keys: Keys, participant_id: str) -> tuple[int, int]:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.execute_command("DEL", keys.participant(participant_id))
        pipe.execute_command("ZREM", keys.participants, participant_id)
        states, ranks = await pipe.execute()
    return states, ranks


async def _forget_entries(redis: Redis, keys: Keys, participant_id: str) -> tuple[int, int]:
    """Erase what the stream holds about a participant; returns how many entries were looked at, and how many erased."""
    after, scanned, erased = "-", 0, 0
    while True:
        page: Any = await redis.xrange(keys.events, min=after, count=PAGE)
        ours = [stream_id for stream_id, fields in page if participant_id in _subjects(fields.get("event", ""))]
        if ours:
            erased += await redis.xdel(keys.events, *ours)
        scanned += len(page)
        if len(page) < PAGE:
            return scanned, erased
        after = f"({page[-1][0]}"


def _subjects(text: str) -> set[str]:
    """Whom an entry is about, by the envelope and by the data: also of a schema version from the future."""
    try:
        event = json.loads(text)
    except ValueError:  # written by somebody else
        return set()
    if not isinstance(event, dict):
        return set()
    data = event.get("data")
    named = (event.get("subject"), data.get("participant") if isinstance(data, dict) else None)
    return {each for each in named if isinstance(each, str)}
