"""Divides a room's events into classes, and finds the class that is wanted."""

from collections import OrderedDict
from dataclasses import dataclass, field

from dashboard.report.clock import LessonClock
from dashboard.report.lesson import Lesson, RunSoFar, occupied
from pipeline.events import BasisStated, Data, Event

APART_MS = 600_000
"""A class is over once nobody has been seen in its room for so long, whether it was empty or no bot was there."""

APART_IN_AGGREGATE_MS = 3 * APART_MS
"""The same where only figures of the whole class are published: while they are withheld, nobody can be seen there either."""

LONGEST_MS = 24 * 3_600_000
"""A longer class is cut here, to limit memory."""

REMEMBERED_RUNS = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which class: the last one by default; that of one run only; or everything between two moments of wall time."""

    epoch: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def is_a_stretch(self) -> bool:
        """Whether a stretch of time was asked for, however many classes it holds."""
        return self.since_ms is not None or self.until_ms is not None


@dataclass
class Classes:
    """Takes in a room's events in order, and keeps the class that is wanted."""

    wanted: Wanted = field(default_factory=Wanted)
    lesson: Lesson | None = None
    declared: dict[str, BasisStated] = field(default_factory=dict)
    """What each run declared, by epoch, for runs whose own events no longer say so."""
    clock: LessonClock = field(default_factory=LessonClock)
    events: int = 0
    repeated: int = 0
    begins_cut: bool = False
    """Whether the stored events begin in the middle of a run, so that the class may have begun earlier."""
    _cut_ms: int | None = None
    _last: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _quiet: OrderedDict[str, RunSoFar] = field(default_factory=OrderedDict)

    def add(self, event: Event, wall_ms: int, data: Data | None) -> None:
        """Take in the next event; one that is repeated or comes too late is only counted."""
        in_the_middle = event.epoch not in self._last and event.sequence > 1
        missing = self._missing_before(event)
        if missing is None:
            self.repeated += 1
            return
        if not self._is_wanted(event, wall_ms):
            return
        at_ms = self.clock.at(wall_ms)
        if not self.events and in_the_middle and wall_ms > (self.wanted.since_ms or 0):
            self._cut_ms = at_ms
        self.events += 1
        self._begin_a_class_where_one_begins(at_ms, wall_ms, data)
        if self.lesson is None:
            self._note_quietly(event.epoch, at_ms, data)
            return
        if event.epoch in self._quiet:
            self.lesson.begin_run(self._quiet.pop(event.epoch))
        self.lesson.add(at_ms, event.epoch, data)
        if wall_ms >= (self.wanted.since_ms or 0):
            self.lesson.miss(missing)

    def _is_wanted(self, event: Event, wall_ms: int) -> bool:
        if self.wanted.epoch is not None and event.epoch != self.wanted.epoch:
            return False
        return self.wanted.until_ms is None or wall_ms <= self.wanted.until_ms

    def _begin_a_class_where_one_begins(self, at_ms: int, wall_ms: int, data: Data | None) -> None:
        if not occupied(data):
            return
        if self.lesson is None:
            self.lesson = Lesson(self._begins_ms(at_ms, wall_ms), declared=self.declared)
            # if the room has been empty for that long since the cut, whatever came before was another class
            self.begins_cut = self._cut_ms is not None and at_ms - self._cut_ms < APART_MS
        elif not self.wanted.is_a_stretch and self._is_another(self.lesson, at_ms):
            self._quiet = OrderedDict((epoch, _anew(run)) for epoch, run in self.lesson.runs.items())
            self.lesson = Lesson(at_ms, self.lesson.people.withdrawn, self.declared)
            self.begins_cut = False

    def _begins_ms(self, at_ms: int, wall_ms: int) -> int:
        since_ms = self.wanted.since_ms
        return at_ms if since_ms is None else at_ms + max(0, since_ms - wall_ms)

    def _is_another(self, lesson: Lesson, at_ms: int) -> bool:
        started_ms = lesson.from_ms if lesson.started_ms is None else lesson.started_ms
        apart_ms = APART_IN_AGGREGATE_MS if lesson.is_aggregate else APART_MS
        return at_ms - lesson.occupied_ms >= apart_ms or at_ms - started_ms >= LONGEST_MS

    def _note_quietly(self, epoch: str, at_ms: int, data: Data | None) -> None:
        """Remember what a run says of itself while the room is empty."""
        self._quiet.setdefault(epoch, RunSoFar(epoch, at_ms, basis=self.declared.get(epoch))).add(at_ms, data)
        while len(self._quiet) > REMEMBERED_RUNS:
            self._quiet.popitem(last=False)

    def _missing_before(self, event: Event) -> int | None:
        """How many events of the run are missing before this one; None if this one or a later one has already come."""
        last = self._last.pop(event.epoch, None)
        self._last[event.epoch] = max(event.sequence, last or 0)
        if len(self._last) > REMEMBERED_RUNS:
            self._last.popitem(last=False)
        if last is None:
            return 0
        return event.sequence - last - 1 if event.sequence > last else None


def _anew(run: RunSoFar) -> RunSoFar:
    """The run as it continues into the next class, with what it declared and has counted so far."""
    before = run.status or run.before
    return RunSoFar(run.epoch, run.to_ms, heartbeat_ms=run.heartbeat_ms, basis=run.basis, before=before)
