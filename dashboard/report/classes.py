"""Which events of a room belong to which class, and which class is meant."""

from collections import OrderedDict
from dataclasses import dataclass, field

from dashboard.report.clock import LessonClock
from dashboard.report.lesson import Lesson, RunSoFar, occupied
from pipeline.events import BasisStated, Data, Event

APART_MS = 600_000
"""A room that nobody was seen in for so long, because it was empty or no bot was there, has had its class."""

APART_IN_AGGREGATE_MS = 3 * APART_MS
"""The same where counts are published of the whole class alone: while they are withheld, nobody can be seen in it either."""

LONGEST_MS = 24 * 3_600_000
"""A class that lasts longer is cut here, for the sake of memory."""

REMEMBERED_RUNS = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which class: the last one, if nothing is said; of one run alone; or all between two moments, which are wall times."""

    epoch: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def is_a_stretch(self) -> bool:
        """Whether a stretch of time was asked for, whatever classes are in it."""
        return self.since_ms is not None or self.until_ms is not None


@dataclass
class Classes:
    """Takes in the events of a room in their order, and keeps the class that is wanted."""

    wanted: Wanted = field(default_factory=Wanted)
    lesson: Lesson | None = None
    declared: dict[str, BasisStated] = field(default_factory=dict)
    """What runs declared, by their epochs, for those whose own events no longer say it."""
    clock: LessonClock = field(default_factory=LessonClock)
    events: int = 0
    repeated: int = 0
    begins_cut: bool = False
    """Whether what is left of the class that is kept begins in the middle of a run: it may have begun before."""
    _cut_ms: int | None = None
    _last: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _quiet: OrderedDict[str, RunSoFar] = field(default_factory=OrderedDict)

    def add(self, event: Event, wall_ms: int, data: Data | None) -> None:
        """The next event; one that came before, or too late, is counted alone."""
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
            # in a room that was empty for so long since, an earlier class would have been another
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
        """Remember what a run tells of itself in an empty room."""
        self._quiet.setdefault(epoch, RunSoFar(epoch, at_ms, basis=self.declared.get(epoch))).add(at_ms, data)
        while len(self._quiet) > REMEMBERED_RUNS:
            self._quiet.popitem(last=False)

    def _missing_before(self, event: Event) -> int | None:
        """How many events of the run are missing before this one; None if it, or a later one, was there already."""
        last = self._last.pop(event.epoch, None)
        self._last[event.epoch] = max(event.sequence, last or 0)
        if len(self._last) > REMEMBERED_RUNS:
            self._last.popitem(last=False)
        if last is None:
            return 0
        return event.sequence - last - 1 if event.sequence > last else None


def _anew(run: RunSoFar) -> RunSoFar:
    """A run that goes on into the next class, with what it declared and has counted so far."""
    before = run.status or run.before
    return RunSoFar(run.epoch, run.to_ms, heartbeat_ms=run.heartbeat_ms, basis=run.basis, before=before)
