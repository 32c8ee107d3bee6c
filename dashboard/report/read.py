"""Reads the events of a class one by one, from Redis or from lines."""

from collections.abc import Iterable
from datetime import datetime

from pydantic import ValidationError
from redis.asyncio import Redis

from dashboard.report.classes import Classes
from pipeline.audit import declared_by_run
from pipeline.entries import entries_since
from pipeline.events import DATA_BY_TYPE, Data, Event, schema_url
from pipeline.keys import Keys


class Reading:
    """Passes events to a class, and counts the entries that are not events."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self.events = 0
        self.broken = 0
        self.cut_by = ""
        """Why the rest could not be read, if it could not."""
        self.rooms: dict[str, None] = {}

    def add(self, event: Event) -> None:
        """Pass on an event. Data that breaks its schema counts as broken; an unknown type still shows that the bot is alive."""
        try:
            data = _typed(event)
        except ValidationError:
            self.broken += 1
            return
        self.events += 1
        self.rooms[event.source.rpartition("/")[2]] = None
        self.classes.add(event, round(datetime.fromisoformat(event.time).timestamp() * 1000), data)

    def add_lines(self, lines: Iterable[bytes | None]) -> None:
        """Pass on events as JSON, one a line; None stands for a line that is too long."""
        for line in lines:
            try:
                event = Event.model_validate_json(line or b"")
            except ValidationError:
                self.broken += 1
            else:
                self.add(event)

    async def add_room(self, redis: Redis, keys: Keys) -> None:
        """Pass on everything in a room's stream, page by page; raises redis.exceptions.RedisError.

        What its runs declared may have been trimmed from the stream, but not from the audit stream.
        """
        self.classes.declared |= await declared_by_run(redis, keys)
        async for _, event in entries_since(redis, keys, broken=self._count):
            self.add(event)

    def _count(self, stream_id: str) -> None:
        self.broken += 1


def _typed(event: Event) -> Data | None:
    if event.type not in DATA_BY_TYPE or event.dataschema != schema_url(event.type):
        return None
    return event.typed()
