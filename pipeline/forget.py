"""Erases one person from a room: what Redis would otherwise keep about them until the retention ends."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from pipeline.events import ConsentWithdrawn, Summary
from pipeline.keys import Keys

PAGE = 250
"""Stream entries that one command reads, or at most erases: less than a millisecond of the server's time."""

_WITHDRAWAL = ConsentWithdrawn.model_fields["type"].default
_SUMMARY = Summary.model_fields["type"].default

Page = Iterable[tuple[str, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased about a person; `is_present` if they are in the room of a live bot, which goes on publishing about them.

    `audit` counts entries of the audit stream, the record of their consent; `summaries` counts class summaries.
    """

    states: int
    ranks: int
    entries: int
    scanned: int
    is_present: bool
    audit: int = 0
    summaries: int = 0

    @property
    def anything(self) -> bool:
        """Whether Redis knew the person."""
        return bool(self.states or self.ranks or self.entries or self.audit)


async def forget(
    redis: Redis, keys: Keys, participant_id: str, *, keep_consent: bool = False, summaries: bool = False
) -> Forgotten:
    """Erase a participant's hash, their place among the participants, and every entry about them in stream and audit stream.

    The streams are read in pages, so neither side holds more than one of them. What the bot publishes about the person
    meanwhile is erased too if it arrives before the stream's last page is read; the state is erased once more at the end.
    `keep_consent` leaves the audit stream alone; `summaries` erases the class summaries too, which would reveal the
    person to anybody who subtracts everybody else.
    Raises redis.exceptions.RedisError; what was erased by then stays erased, and calling it again erases the rest.
    """
    is_present = await _is_present(redis, keys, participant_id)
    states, ranks = await _forget_state(redis, keys, participant_id)

    def about_them(page: Page) -> list[str]:
        return [stream_id for stream_id, _ in _about(participant_id, page)]

    scanned, entries = await _erase(redis, keys.events, about_them)
    _, audit = (0, 0) if keep_consent else await _erase(redis, keys.audit, about_them)
    of_class = 0
    if summaries:
        _, of_class = await _erase(redis, keys.events, _summaries)
        await redis.delete(keys.summary)
    states_since, ranks_since = await _forget_state(redis, keys, participant_id)
    return Forgotten(max(states, states_since), max(ranks, ranks_since), entries, scanned, is_present, audit, of_class)


class Withdrawal:
    """Erases what the stream holds about a participant from before they last withdrew their consent.

    It goes page by page, newest first, so that other work can be done in between. Their withdrawals stay, as does
    everything after the last one, and the audit stream, which shows that whoever was read had agreed.
    """

    def __init__(self, keys: Keys, participant_id: str) -> None:
        self.is_done = False
        self.erased = 0
        self._key = keys.events
        self._participant_id = participant_id
        self._newest = "+"
        self._is_before = False

    async def erase_page(self, redis: Redis) -> None:
        """Erase what is due in the next page; raises redis.exceptions.RedisError, after which it can be called again."""
        page: Any = await redis.xrevrange(self._key, max=self._newest, count=PAGE)
        outdated, is_before = self._outdated(page)
        if outdated:
            self.erased += await redis.xdel(self._key, *outdated)
        # only now, so that a page whose erasure fails is read again from its beginning
        self._is_before = is_before
        self._newest = f"({page[-1][0]}" if page else self._newest
        self.is_done = len(page) < PAGE

    def _outdated(self, page: Page) -> tuple[list[str], bool]:
        """The entries to erase from a page, newest first, and whether older pages are from before the withdrawal."""
        outdated, is_before = [], self._is_before
        for stream_id, event in _about(self._participant_id, page):
            if event.get("type") == _WITHDRAWAL:
                is_before = True
            elif is_before:
                outdated.append(stream_id)
        return outdated, is_before


async def _is_present(redis: Redis, keys: Keys, participant_id: str) -> bool:
    async with redis.pipeline(transaction=False) as pipe:  # in a transaction, a full Redis refuses even to read
        pipe.execute_command("GET", keys.bot)
        pipe.execute_command("HGET", keys.participant(participant_id), "present")
        bot, present = await pipe.execute()
    return bot is not None and present == "1"


async def _forget_state(redis: Redis, keys: Keys, participant_id: str) -> tuple[int, int]:
    async with redis.pipeline(transaction=False) as pipe:  # in a transaction, a full Redis refuses even to make room
        pipe.execute_command("DEL", keys.participant(participant_id))
        pipe.execute_command("ZREM", keys.participants, participant_id)
        states, ranks = await pipe.execute()
    return states, ranks


async def _erase(redis: Redis, key: str, outdated: Callable[[Page], list[str]]) -> tuple[int, int]:
    """Erase the `outdated` entries of each page of a stream; returns how many entries were read and how many erased."""
    after, scanned, erased = "-", 0, 0
    while True:
        page: Any = await redis.xrange(key, min=after, count=PAGE)
        if ours := outdated(page):
            erased += await redis.xdel(key, *ours)
        scanned += len(page)
        if len(page) < PAGE:
            return scanned, erased
        after = f"({page[-1][0]}"


def _summaries(page: Page) -> list[str]:
    texts = ((stream_id, fields.get("event", "")) for stream_id, fields in page)
    return [stream_id for stream_id, text in texts if _SUMMARY in text and _read(text).get("type") == _SUMMARY]


def _about(participant_id: str, page: Page) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries about a participant, according to the envelope or the data; even those of a later schema version."""
    for stream_id, fields in page:
        text = fields.get("event", "")
        if participant_id not in text and "\\" not in text:  # without escapes, JSON holds strings as they are
            continue
        event = _read(text)
        data = event.get("data")
        if participant_id in (event.get("subject"), data.get("participant") if isinstance(data, dict) else None):
            yield stream_id, event


def _read(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):  # written by somebody else
        return {}
    return event if isinstance(event, dict) else {}
