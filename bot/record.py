"""Records a room's events as they come."""

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial

from pydantic_core import from_json, to_json
from redis.asyncio import Redis

from bot.line_files import Lines
from bot.stream_entries import Entry, entries_to_come
from bot.tasks import in_a_thread
from bot.timeline import published_ms
from pipeline.contract import Judged, Sequences, Wrong, judge
from pipeline.entries import BEGINNING
from pipeline.events import BasisStated
from pipeline.keys import Keys

logger = logging.getLogger(__name__)

EVERY_SECONDS = 0.2
MOST_WARNINGS = 10
"""Of each kind; how many there were is told at the end."""

LAST_PAGE_SECONDS = 1.0
"""How long a reader of our output may take for the rest of a page when a recording ends."""

KEPT_THOUGH_UNKNOWN = {Wrong.FUTURE_VERSION, Wrong.UNKNOWN_TYPE}
"""Problems of an event that is recorded all the same, because a newer program may understand it."""


@dataclass
class Recorder:
    """Writes stream entries that are events, unchanged, and counts those that are not as `left_out`."""

    lines: Lines
    events: int = 0
    left_out: int = 0
    gaps: int = 0
    """Places where the sequence of a run goes on behind events that are missing."""
    begins_ms: float | None = None
    """When the first event was published, in milliseconds since the epoch."""
    marks: int = 0
    """How many of the teacher's marks were written beside the recording."""
    declarations: int = 0
    """How many declarations from before the first event were written beside it."""
    sequences: Sequences = field(default_factory=Sequences)
    declared: set[str] = field(default_factory=set)
    """The runs whose declaration is among the events."""

    @property
    def undeclared(self) -> set[str]:
        """The other runs."""
        return set(self.sequences.runs) - self.declared

    def add(self, page: list[Entry]) -> None:
        """Write a page of entries; raises RecordingUnusable if the file cannot take them."""
        texts = [text for entry in page if (text := self._line(entry)) is not None]
        if texts:
            self.lines.write("".join(f"{text}\n" for text in texts).encode())
            self.events += len(texts)

    def _line(self, entry: Entry) -> str | None:
        judged = judge(entry.text or "")
        wrong = [problem for problem in judged.problems if problem.kind not in KEPT_THOUGH_UNKNOWN]
        if entry.text is None or wrong:
            self._leave_out(entry.stream_id, wrong[0].reason if entry.text else "it has no field `event`")
            return None
        self._count(judged)
        if judged.event is not None and isinstance(judged.event.data, BasisStated):
            self.declared.add(judged.event.epoch)
        if self.begins_ms is None and judged.event is not None:
            self.begins_ms = published_ms(judged.event)
        # another program may have written an event over several lines
        return to_json(from_json(entry.text)).decode() if "\n" in entry.text or "\r" in entry.text else entry.text

    def _leave_out(self, stream_id: str, why: str) -> None:
        self.left_out += 1
        if self.left_out <= MOST_WARNINGS:
            logger.warning("stream entry %s is not an event and is left out: %s", stream_id, why)

    def _count(self, judged: Judged) -> None:
        if judged.epoch is None or judged.sequence is None:
            return
        problem = self.sequences.check(judged.epoch, judged.sequence)
        if problem is not None and problem.kind is Wrong.GAP:
            self.gaps += 1
            if self.gaps <= MOST_WARNINGS:
                logger.warning("events of run %s are missing: %s", judged.epoch, problem.reason)


async def record(
    redis: Redis, keys: Keys, recorder: Recorder, *, from_start: bool, seconds: float | None, wait_seconds: float
) -> None:
    """Record for `seconds`, or until cancelled, and through outages of Redis; raises RedisRefused and RecordingUnusable."""
    after = BEGINNING if from_start else None
    try:
        async with asyncio.timeout(seconds):
            async for page in entries_to_come(redis, keys, after, every_seconds=EVERY_SECONDS, wait_seconds=wait_seconds):
                if recorder.lines.may_wait:
                    await in_a_thread(partial(recorder.add, page), last_seconds=LAST_PAGE_SECONDS)
                else:
                    recorder.add(page)
    except TimeoutError:
        return
