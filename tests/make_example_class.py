"""Makes tests/fixtures/example-class.jsonl.gz: 30 students over 10 minutes, without a camera, a student or a model.

Only what each look shows is scripted. The real moods, summary and publisher do the rest, on a clock of their own and with
a fixed seed, so that every run makes the same events: python -m tests.make_example_class
"""

import asyncio
import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.faces import EMOTIONS, Emotion, Face
from pipeline.analysis import Reading
from pipeline.attention import Attention, AttentionRules
from pipeline.coverage import Coverage
from pipeline.events import BasisStated, BotState, BotStatus, ConsentGranted, ConsentWithdrawn
from pipeline.follow import events_since
from pipeline.keys import Keys
from pipeline.mood import MoodRules, Moods
from pipeline.publish import BATCH, Publisher
from pipeline.summary import ClassFigures
from tests.fakes import Clock
from tests.redis_servers import PROGRAMS, RedisServer, running_redis

FILE = Path(__file__).parent / "fixtures" / "example-class.jsonl.gz"

ROOM = "example"
MODEL = "example@00000000"
BASIS = BasisStated(
    jurisdiction="US",
    basis="consent",
    purpose=None,
    level="individual",
    consent="asked",
    names=True,
    attention=True,
    retention_hours=24.0,
    model=MODEL,
    version="example",
)
STARTS_MS = 1_767_258_000_000  # 2026-01-01T09:00:00Z
STUDENTS = 30
SECONDS = 600
LOOK_SECONDS = 0.5
LOOK_TAKES_MS = 60
FRAMES_PER_LOOK = 5
SAMPLE_SECONDS = 5.0
EVERY_SECONDS = 5
"""Seconds between two summaries, and between two statuses."""

PHASES: tuple[tuple[int, dict[Emotion, int]], ...] = (
    (120, {Emotion.NEUTRAL: 6, Emotion.HAPPY: 3}),
    (300, {Emotion.NEUTRAL: 7, Emotion.SURPRISE: 1, Emotion.HAPPY: 1}),
    (420, {Emotion.NEUTRAL: 4, Emotion.SAD: 3, Emotion.FEAR: 1, Emotion.ANGRY: 1, Emotion.DISGUST: 1}),
    (480, {Emotion.SURPRISE: 3, Emotion.NEUTRAL: 4}),
    (SECONDS, {Emotion.HAPPY: 5, Emotion.NEUTRAL: 4}),
)
"""The mood of the class, each until a second: a start, a lecture, a hard problem, its solution, a good end."""


@dataclass
class Student:
    """One student's ten minutes: when they are there, how well they can be seen, and what they show."""

    id: str
    name: str
    comes: float
    leaves: float
    unseen: list[tuple[float, float, Coverage]]
    shown: list[tuple[float, NDArray[np.float32]]]
    face: Face
    agrees: float = 0.0
    withdraws: float = SECONDS + 1.0
    there: bool = field(default=False)
    agreed: bool = field(default=False)

    def consents(self, second: float) -> bool:
        """Whether they may be read."""
        return self.agrees <= second < self.withdraws

    def coverage(self, second: float) -> Coverage:
        """The bot's verdict on their picture."""
        if not self.consents(second):
            return Coverage.NOT_CONSENTED
        return next((why for start, end, why in self.unseen if start <= second < end), Coverage.OK)

    def scores(self, second: float) -> NDArray[np.float32]:
        """The scores that a classifier would give their face."""
        return next(scores for until, scores in self.shown if second < until)


def students(chance: random.Random) -> list[Student]:
    """The class: a few come late, leave early, stay in the dark, do not agree to be read, or agree only for a while."""
    everybody = [_student(number, chance) for number in range(1, STUDENTS + 1)]
    everybody[4].leaves, everybody[11].leaves, everybody[23].leaves = 212.0, 401.5, 555.0
    everybody[7].comes, everybody[19].comes = 95.0, 244.5
    everybody[2].agrees = SECONDS + 1.0
    everybody[12].agrees = 150.0
    everybody[20].withdraws = 365.0
    everybody[9].unseen = [(0.0, 180.0, Coverage.TOO_DARK)]
    everybody[15].unseen = [(300.0, 330.0, Coverage.STALLED), (330.0, SECONDS, Coverage.CAMERA_OFF)]
    everybody[26].unseen = [(0.0, SECONDS, Coverage.CAMERA_OFF)]
    return everybody


def _student(number: int, chance: random.Random) -> Student:
    return Student(
        id=f"s{number:02d}",
        name=f"Student {number}",
        comes=round(chance.uniform(0, 40) * 2) / 2,
        leaves=float(SECONDS + 1),
        unseen=list(_spells(chance)),
        shown=list(_expressions(chance)),
        face=Face(round(chance.uniform(0.3, 0.45), 3), round(chance.uniform(0.2, 0.35), 3), 0.24, 0.36, 0.95, ()),
    )


def _spells(chance: random.Random) -> Iterator[tuple[float, float, Coverage]]:
    """Times of looking away, and times with the camera off."""
    second = chance.uniform(60, 150)
    while second < SECONDS:
        away = chance.random() < 0.75
        lasts = chance.uniform(2, 8) if away else chance.uniform(20, 60)
        yield second, second + lasts, Coverage.NO_FACE if away else Coverage.CAMERA_OFF
        second += lasts + chance.uniform(60, 180)


def _expressions(chance: random.Random) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """What they show, and until when: one expression for 8 to 45 s, as certain as a classifier would be of it."""
    second = 0.0
    while second < SECONDS:
        likely = next(weights for until, weights in PHASES if second < until)
        [emotion] = chance.choices(list(likely), list(likely.values()))
        second += chance.uniform(8, 45)
        yield second, _scores(emotion, chance)


def _scores(emotion: Emotion, chance: random.Random) -> NDArray[np.float32]:
    others = np.array([chance.uniform(0.1, 1) for _ in EMOTIONS], np.float32)
    others[EMOTIONS.index(emotion)] = 0
    sure = chance.uniform(0.35, 0.95)
    scores: NDArray[np.float32] = (others / others.sum() * (1 - sure)).astype(np.float32)
    scores[EMOTIONS.index(emotion)] = sure
    return scores


class ExampleClass:
    """The class as it proceeds, look by look."""

    def __init__(self, publisher: Publisher, clock: Clock) -> None:
        self._students = students(random.Random(30))
        self._publisher = publisher
        self._attention = Attention(AttentionRules(most=3), publisher.publish)
        self._moods = Moods(self._attention.tell, MODEL, MoodRules(sample_seconds=SAMPLE_SECONDS))
        self._figures = ClassFigures(smallest_group=5)
        self._clock = clock
        self._looks = 0

    async def run(self) -> None:
        """Publish the whole class."""
        self._publisher.publish(BASIS)
        self._publisher.publish(self._status("starting", 0.0))
        before = 0
        for step in range(int(SECONDS / LOOK_SECONDS) + 1):
            second = step * LOOK_SECONDS
            for student in self._students:
                self._clock.at_ms = STARTS_MS + round(second * 1000) + 7 * int(student.id[1:])
                await self._look_at(student, second)
            if second.is_integer():
                self._attention.look(self._moods.present(), self._clock())
            if second and second % EVERY_SECONDS == 0:
                self._publisher.publish(self._figures.summary(self._moods.present(), self._clock()))
                self._publisher.publish(self._status("running", (self._looks - before) / EVERY_SECONDS))
                before = self._looks
            if self._publisher.waiting > BATCH:
                await self._publisher.flush(60)
        await self._publisher.flush(60)

    async def _look_at(self, student: Student, second: float) -> None:
        here = student.comes <= second < student.leaves
        if here and not student.there:
            self._moods.joined(student.id, student.name, "joined")
        elif student.there and not here:
            self._moods.left(student.id, "left")
        student.there = here
        if here:
            await self._ask(student, second)
            self._read(student, second)

    async def _ask(self, student: Student, second: float) -> None:
        agrees = student.consents(second)
        if agrees and not student.agreed:
            self._attention.tell(ConsentGranted(participant=student.id, source="page"))
        elif student.agreed and not agrees:
            await self._publisher.flush(60)  # whatever is still waiting would be taken back
            self._attention.tell(ConsentWithdrawn(participant=student.id, source="page"))
        student.agreed = agrees

    def _read(self, student: Student, second: float) -> None:
        at_ms, coverage = self._clock() - LOOK_TAKES_MS, student.coverage(second)
        if coverage is not Coverage.OK:
            self._moods.unseen(student.id, at_ms, coverage)
            return
        self._looks += 1
        self._moods.add(Reading(student.id, at_ms, coverage, student.face, 1, student.scores(second)))

    def _status(self, state: BotState, looks_per_second: float) -> BotStatus:
        return BotStatus(
            state=state,
            participants=sum(student.there for student in self._students),
            looks_per_second=looks_per_second,
            frames_received=self._looks * FRAMES_PER_LOOK,
            looks=self._looks,
            frames_skipped=self._looks * (FRAMES_PER_LOOK - 1),
            frames_dropped=0,
            events_dropped=0,
            tracks_failed=0,
        )


async def example_class(server: RedisServer) -> list[str]:
    """The events of the class, one line each, as the stream holds them."""
    keys, clock = Keys("classmood", ROOM), Clock(STARTS_MS)
    async with server.client() as redis:
        publisher = Publisher(
            redis,
            keys,
            str(STARTS_MS),
            outbox_limit=10_000,
            retention_ms=366 * 24 * 3_600_000,
            status_ttl_ms=15_000,
            retry_seconds=1.0,
            clock=clock,
        )
        await ExampleClass(publisher, clock).run()
        return [event.to_json() async for event in events_since(redis, keys)]


def main() -> None:
    """Write the file."""
    with running_redis(PROGRAMS["debian"] or PROGRAMS["packaged"]) as server:
        lines = asyncio.run(example_class(server))
    # no time in the header, so that the same events make the same file
    FILE.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
