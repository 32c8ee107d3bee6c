"""The events of a recording and when each is due; the whole recording is checked before it is used."""

import math
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from bot.errors import NothingHappened, SettingsWrong
from bot.recordings import LONGEST_LINE, STANDARD_INPUT, RecordingUnusable, recorded
from pipeline.contract import Sequences, TypedEvent, Wrong, judge, shown
from pipeline.events import BotStatus


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known about a recording after all of it was checked."""

    path: str
    events: int
    seconds: float
    rooms: frozenset[str]
    begins_ms: float
    """When the first event was published, in milliseconds since the epoch."""
    heartbeat_ms: float
    """The longest time between two consecutive `bot.status` events of a run."""

    @property
    def room(self) -> str:
        """The room that was recorded; raises SettingsWrong if there is more than one."""
        if len(self.rooms) > 1:
            named = ", ".join(sorted(map(shown, self.rooms)))
            raise SettingsWrong(f"{self.path} holds the rooms {named}: --room says into which one all of it goes")
        return next(iter(self.rooms))


def survey(path: str) -> Survey:
    """Check a whole recording.

    Raises RecordingUnusable with the first place that cannot be played, NothingHappened if it holds no event, and SettingsWrong
    for standard input or a pipe, which cannot be read twice.
    """
    if path == STANDARD_INPUT or _is_read_once(path):
        raise SettingsWrong("a recording is read twice, which standard input or a pipe cannot be: name a file")
    events, at_ms, begins_ms, rooms = 0, 0.0, 0.0, set()
    heartbeat_ms, statuses = 0.0, dict[str, float]()
    for offset_ms, event in timeline(path):
        begins_ms = begins_ms if events else published_ms(event)
        events, at_ms = events + 1, offset_ms
        rooms.add(unquote(event.source.rpartition("/")[2]))
        if isinstance(event.data, BotStatus):
            heartbeat_ms = max(heartbeat_ms, at_ms - statuses.get(event.epoch, at_ms))
            statuses[event.epoch] = at_ms
    if not events:
        raise NothingHappened(f"{path} holds no event")
    return Survey(path, events, at_ms / 1000, frozenset(rooms), begins_ms, heartbeat_ms)


def _is_read_once(path: str) -> bool:
    """Whether the path is a pipe or a device, whose content is gone once read."""
    try:
        kind = Path(path).stat().st_mode
    except OSError:  # opening it will report the error
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)


def timeline(path: str) -> Iterator[tuple[float, TypedEvent]]:
    """A recording's events, each with the milliseconds since the first; while a clock was set back, no time passes.

    Raises RecordingUnusable for a line that is not a valid event.
    """
    sequences, offset_ms, before_ms = Sequences(), 0.0, math.inf
    for line in recorded(path):
        event = _event(line.place, line.text, sequences)
        at_ms = published_ms(event)
        offset_ms += max(0.0, at_ms - before_ms)
        before_ms = at_ms
        yield offset_ms, event


def _event(place: str, text: bytes | None, sequences: Sequences) -> TypedEvent:
    if text is None:
        raise RecordingUnusable(f"{place}: longer than {LONGEST_LINE} bytes")
    judged = judge(text)
    problems = list(judged.problems)
    if judged.epoch is not None and judged.sequence is not None:
        problem = sequences.check(judged.epoch, judged.sequence)
        # erased or trimmed events leave a gap, which is closed when replayed events are numbered again
        problems += [problem] if problem is not None and problem.kind is not Wrong.GAP else []
    if judged.event is None or problems:
        raise RecordingUnusable(f"{place}: {problems[0].path}: {problems[0].reason}")
    return judged.event


def published_ms(event: TypedEvent) -> float:
    """When an event was published, in milliseconds since the epoch."""
    return datetime.fromisoformat(event.time).timestamp() * 1000
