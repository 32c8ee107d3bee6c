"""One class as its events come in; it keeps so little of them that a day's stream needs little memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dashboard.report.model import Gap, Run
from dashboard.report.people import Everybody
from dashboard.report.summaries import Curve
from pipeline.events import BasisStated, BotStatus, Data, EmotionSample, ParticipantLeft, Summary

AWAY_LEAST_MS = 15_000
"""The bot counts as away after three heartbeat intervals without an event, but never sooner than this."""

PARTING_MS = 60_000
"""Somebody reported as having left this soon after the room was last seen occupied was there until then."""

MOST_GAPS = 1000


@dataclass(slots=True)
class RunSoFar:
    """One run of the bot, as far as it has been read."""

    epoch: str
    from_ms: int
    to_ms: int = 0
    events: int = 0
    missing: int = 0
    status: BotStatus | None = None
    status_ms: int | None = None
    before: BotStatus | None = None
    """The last status before the class; the bot's counters, which start with the bot, are counted from there."""
    heartbeat_ms: int | None = None
    basis: BasisStated | None = None
    models: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.basis is not None:
            self.models[self.basis.model] = None

    def add(self, at_ms: int, data: Data | None) -> None:
        """Take in an event of the run."""
        self.to_ms, self.events = at_ms, self.events + 1
        match data:
            case BotStatus():
                apart_ms = None if self.status_ms is None else at_ms - self.status_ms
                self.heartbeat_ms = min(filter(None, (apart_ms, self.heartbeat_ms)), default=None)
                self.status, self.status_ms = data, at_ms
            case BasisStated():
                self.basis = data
                self.models[data.model] = None
            case EmotionSample() if len(self.models) < 8:
                self.models[data.model] = None

    @property
    def is_aggregate(self) -> bool:
        """Whether the run publishes only the whole class; a withheld summary then says nothing, not even how many there are."""
        return self.basis is not None and self.basis.level == "aggregate"

    @property
    def away_ms(self) -> int:
        """Milliseconds without an event after which the bot counts as away."""
        return max(AWAY_LEAST_MS, 3 * (self.heartbeat_ms or 0))

    def part(self, started_ms: int) -> Run:
        """Its row in the report."""
        return Run(
            epoch=self.epoch,
            from_seconds=(self.from_ms - started_ms) / 1000,
            to_seconds=(self.to_ms - started_ms) / 1000,
            events=self.events,
            missing_events=self.missing,
            events_dropped=self._counted("events_dropped"),
            frames_dropped=self._counted("frames_dropped"),
            tracks_failed=self._counted("tracks_failed"),
            looks=self._counted("looks"),
            ended=self.status is not None and self.status.state == "stopping",
            models=tuple(self.models),
        )

    def _counted(self, name: Literal["events_dropped", "frames_dropped", "tracks_failed", "looks"]) -> int:
        """How much a counter of the bot has grown since the class began."""
        if self.status is None:
            return 0
        so_far: int = getattr(self.status, name)
        return max(0, so_far - (getattr(self.before, name) if self.before else 0))


class Lesson:
    """A class from the first to the last sign of somebody in the room; all times are lesson time in milliseconds.

    Events before `from_ms` say how things stood then, and are not counted. `withdrawn` are those who withdrew their consent
    earlier. `declared` maps epochs to what those runs declared, as their own events may no longer say so.
    """

    def __init__(self, from_ms: int, withdrawn: Iterable[str] = (), declared: Mapping[str, BasisStated] | None = None) -> None:
        self.from_ms = from_ms
        self.declared = declared or {}
        self.started_ms: int | None = None
        self.occupied_ms = from_ms
        self.runs: dict[str, RunSoFar] = {}
        self.curve = Curve()
        self.people = Everybody(from_ms, withdrawn)
        self.gaps: list[tuple[int, int]] = []
        self.gaps_left_out = 0
        self._run: RunSoFar | None = None
        self._last_ms: int | None = None

    def begin_run(self, run: RunSoFar) -> None:
        """Take in a run that had already reported itself before the class began."""
        run.before = run.status or run.before
        self.runs[run.epoch] = self._run = run

    def add(self, at_ms: int, epoch: str, data: Data | None) -> None:
        """Take in the next event."""
        is_new = epoch not in self.runs
        before, run = self._run, self.runs.setdefault(epoch, RunSoFar(epoch, at_ms, basis=self.declared.get(epoch)))
        run.add(at_ms, data)
        if at_ms < self.from_ms:
            run.before = run.status
        self._look_for_a_gap(at_ms, before or run, is_new)
        self._last_ms, self._run = at_ms, run
        if occupied(data) or (isinstance(data, ParticipantLeft) and at_ms - self.occupied_ms < PARTING_MS):
            self.occupied_ms = at_ms
            if self.started_ms is None and at_ms >= self.from_ms:
                self.started_ms = at_ms
        if isinstance(data, Summary) and data.withheld and run.is_aggregate:
            self.curve.end(at_ms)
        elif isinstance(data, Summary):
            self.curve.add(at_ms, data)
        elif data is not None:
            self.people.add(at_ms, data)

    @property
    def is_aggregate(self) -> bool:
        """Whether the current run says nothing of anybody while the class is too small."""
        return self._run is not None and self._run.is_aggregate

    def miss(self, count: int) -> None:
        """Count events that are missing from the sequence before the next one."""
        if self._run is not None:
            self._run.missing += count

    def end(self, at_ms: int | None = None) -> int:
        """Close everything that is still open, and return the end of the class."""
        ends_ms = self.occupied_ms if at_ms is None else min(at_ms, self.occupied_ms)
        self.curve.end(ends_ms)
        self.people.end(ends_ms)
        return ends_ms

    def _look_for_a_gap(self, at_ms: int, run: RunSoFar, is_new: bool) -> None:
        """Carry nothing over a time without the bot, nor from one run to the next."""
        last_ms = self._last_ms
        if last_ms is None:
            return
        is_away = at_ms - last_ms > run.away_ms
        if is_away:
            self._keep_gap(last_ms, at_ms)
        if is_away or is_new:
            self.curve.end(last_ms)
            self.people.pause(last_ms, at_ms)
        if is_new:
            self.people.begin_run(last_ms)  # the new run reports everybody again

    def _keep_gap(self, from_ms: int, to_ms: int) -> None:
        if len(self.gaps) < MOST_GAPS:
            self.gaps.append((from_ms, to_ms))
        else:
            self.gaps_left_out += 1

    def gaps_within(self, from_ms: int, to_ms: int) -> tuple[Gap, ...]:
        """The times without the bot, cut to the class."""
        cut = ((max(start, from_ms), min(end, to_ms)) for start, end in self.gaps)
        return tuple(
            Gap(from_seconds=(start - from_ms) / 1000, to_seconds=(end - from_ms) / 1000) for start, end in cut if start < end
        )


def occupied(data: Data | None) -> bool:
    """Whether an event shows that somebody is in the room."""
    match data:
        case Summary() | BotStatus():
            return data.participants > 0
        case None | BasisStated() | ParticipantLeft():
            return False
        case _:
            return True
