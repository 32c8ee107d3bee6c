"""What a recording holds, checked to its last line before anything is made of it."""

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
    """What is known of a recording once all of it was checked."""

    path: str
    events: int
    seconds: float
    rooms: frozenset[str]
    begins_ms: float
    """When the first event was published, milliseconds since the epoch."""
    heartbeat_ms: float
    """The longest time between two statuses of a run."""

    @property
    def room(self) -> str:
        """The one room it was recorded in; raises SettingsWrong if there are more."""
        if len(self.rooms) > 1:
            named = ", ".join(sorted(map(shown, self.rooms)))
            raise SettingsWrong(f"{self.path} holds the rooms {named}: --room says into which one all of it goes")
        return next(iter(self.rooms))


def survey(path: str) -> Survey:
    """Check a whole recording; raises RecordingUnusable with the first place that cannot be played, NothingHappened if empty."""
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
    """Whether what it holds is gone once it was read."""
    try:
        kind = Path(path).stat().st_mode
    except OSError:  # where it is opened, that is told
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)


def timeline(path: str) -> Iterator[tuple[float, TypedEvent]]:
    """A recording's events, each with the milliseconds since the first; a clock that was set back counts as standing still."""
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
        # what was erased or trimmed leaves a gap, which the new numbers close
        problems += [problem] if problem is not None and problem.kind is not Wrong.GAP else []
    if judged.event is None or problems:
        raise RecordingUnusable(f"{place}: {problems[0].path}: {problems[0].reason}")
    return judged.event


def published_ms(event: TypedEvent) -> float:
    """When an event was published, milliseconds since the epoch."""
    return datetime.fromisoformat(event.time).timestamp() * 1000
