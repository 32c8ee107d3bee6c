"""Checks events against their contract: from a file, from standard input, or from a room's stream in Redis."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.errors import NothingHappened, RedisRefused
from bot.recordings import LONGEST_LINE, Line, RecordingUnusable
from bot.stream_entries import Entry, entries_to_come, erased_until, present_entries
from bot.words import counted
from pipeline.cancellation import cancellable
from pipeline.contract import Judged, Problem, Sequences, Wrong, judge, shown
from pipeline.contract_course import Courses
from pipeline.entries import BEGINNING, newest_erased_id, position
from pipeline.follow import room_state
from pipeline.keys import Keys
from pipeline.publish import REDIS_TROUBLES, reason

MOST_PROBLEMS = 1000
"""How many problems, and about how many unknown fields, are listed in machine output; further problems are only counted."""


@dataclass
class Findings:
    """What has been found so far; `tell` gets a line for each problem as it is found.

    `erased_until` is the newest stream id that was ever erased from the room's stream: events missing before it are assumed to
    have been erased, for instance after a withdrawal of consent, and are counted in `erased`.
    """

    tell: Callable[[str], None]
    allow_gaps: bool = False
    complete: bool = False
    erased_until: str = BEGINNING
    erased: int = 0
    events: int = 0
    valid: int = 0
    types: Counter[str] = field(default_factory=Counter)
    kinds: Counter[Wrong] = field(default_factory=Counter)
    unknown_fields: Counter[str] = field(default_factory=Counter)
    problems: list[dict[str, str]] = field(default_factory=list)
    sequences: Sequences = field(default_factory=Sequences)
    courses: Courses = field(default_factory=Courses)
    last_place: str = BEGINNING

    @property
    def ok(self) -> bool:
        """Whether everything was read, and nothing wrong was found except gaps that are allowed."""
        return self.complete and all(kind is Wrong.GAP and self.allow_gaps for kind in self.kinds)

    def add(self, place: str, text: bytes | str | None, missing: Problem) -> Judged | None:
        """Check the text at a place; if there is none, report the problem `missing` and return None."""
        self.events += 1
        if text is None:
            self.report(place, missing)
            return None
        judged = judge(text)
        for problem in judged.problems:
            self.report(place, problem)
        self.valid += judged.event is not None
        if judged.event is not None:
            self.types[judged.type] += 1
            if len(self.unknown_fields) < MOST_PROBLEMS:
                self.unknown_fields.update(judged.unknown_fields)
        if judged.epoch is not None and judged.sequence is not None:
            self._follows(place, judged.epoch, judged.sequence)
        self._fits(place, judged)
        return judged

    def report(self, place: str, problem: Problem) -> None:
        """Count a problem and report it."""
        self.kinds[problem.kind] += 1
        self.tell(f"{place}: {problem.path}: {problem.reason}")
        if len(self.problems) < MOST_PROBLEMS:
            told = {"place": place, "path": problem.path, "kind": problem.kind.value, "reason": problem.reason}
            self.problems.append(told)

    def _follows(self, place: str, epoch: str, sequence: int) -> None:
        missing = self.sequences.missing
        problem = self.sequences.check(epoch, sequence)
        if problem is None:
            return
        if problem.kind is Wrong.GAP and self._may_be_erased():
            self.erased += self.sequences.missing - missing
        else:
            self.report(place, problem)
        self.courses.missed(epoch)

    def _may_be_erased(self) -> bool:
        """Whether any entry after the previous one has been erased from the stream."""
        return self.erased_until != BEGINNING and position(self.last_place) < position(self.erased_until)

    def _fits(self, place: str, judged: Judged) -> None:
        """Check an event against those before it."""
        if judged.event is None:
            self.courses.missed(judged.epoch or "")  # it might have changed anything
        elif problem := self.courses.check(judged.event):
            self.report(place, problem)

    def summary(self) -> dict[str, Any]:
        """The findings, ready for JSON."""
        return {
            "ok": self.ok,
            "complete": self.complete,
            "events": self.events,
            "valid": self.valid,
            "types": dict(sorted(self.types.items())),
            "runs": {epoch: {"first": first, "last": last} for epoch, (first, last) in self.sequences.runs.items()},
            "missing": self.sequences.missing,
            "erased": self.erased,
            "wrong": {kind.value: count for kind, count in sorted(self.kinds.items())},
            "problems": self.problems,
            "problems_not_listed": self.kinds.total() - len(self.problems),
            "unknown_fields": dict(self.unknown_fields),
        }

    def in_words(self) -> str:
        """The findings in one line."""
        wrong = [f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(self.kinds.items())]
        unknown = [counted(len(self.unknown_fields), "unknown field")] if self.unknown_fields else []
        judged = f"{self.valid} of {self.events} events valid, {counted(len(self.sequences.runs), 'run')} of a bot"
        erased = [f"{self.erased} erased since"] if self.erased else []
        return "; ".join([judged, *wrong, *erased, *unknown])


def check_lines(lines: Iterable[Line], findings: Findings) -> None:
    """Check the lines of a recording."""
    missing = Problem(Wrong.NOT_JSON, "$", f"longer than {LONGEST_LINE} bytes")
    for line in lines:
        findings.add(line.place, line.text, missing)
    findings.complete = True


async def check_room(redis: Redis, keys: Keys, findings: Findings) -> None:
    """Check a room's stream and state as they are now; raises RedisRefused."""
    findings.erased_until = await erased_until(redis, keys)
    async for entry in present_entries(redis, keys):
        _check_entry(entry, findings)
    await _check_state(redis, keys, findings)
    findings.complete = True


async def check_room_as_it_goes(redis: Redis, keys: Keys, findings: Findings, seconds: float | None, wait_seconds: float) -> None:
    """Check what a room's stream holds and then what comes, for `seconds` or forever; raises RedisRefused.

    The state is checked at the end.
    """
    try:
        async with asyncio.timeout(seconds):
            async for page in entries_to_come(redis, keys, BEGINNING, every_seconds=0.5, wait_seconds=wait_seconds):
                if page:
                    with suppress(*REDIS_TROUBLES):  # reading the next page will report them
                        findings.erased_until = await cancellable(newest_erased_id(redis, keys))
                for entry in page:
                    _check_entry(entry, findings)
    except TimeoutError:
        await _check_state(redis, keys, findings)
        findings.complete = True


def _check_entry(entry: Entry, findings: Findings) -> None:
    findings.add(entry.stream_id, entry.text, Problem(Wrong.FOREIGN, "$", "a stream entry without the field `event`"))
    findings.last_place = entry.stream_id


async def _check_state(redis: Redis, keys: Keys, findings: Findings) -> None:
    try:
        state = await cancellable(room_state(redis, keys))
    except RedisError as error:
        raise RedisRefused(f"redis refuses: {reason(error)}") from None
    for key in state.broken_keys:
        findings.report(shown(key), Problem(Wrong.STATE, "$", "not what the state has under this key, or of another type"))


def conclude(findings: Findings, what: str) -> None:
    """Raise RecordingUnusable if anything is wrong, and NothingHappened if there was nothing to check."""
    if not findings.ok:
        raise RecordingUnusable(f"{what}: {findings.in_words()}")
    if not findings.events:
        raise NothingHappened(f"{what} holds no event")
