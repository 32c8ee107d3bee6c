"""Attends a Janus room as the bot does, and checks whose mark each frame carries."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from bot.attendance import Attendance
from bot.clips import Clip
from bot.janus_students import JanusStudent, janus_student
from bot.rooms.janus import JanusRoom, join_janus
from bot.rooms.janus_stay import RECONCILE_SECONDS
from bot.settings import Settings, read_settings
from bot.tasks import background
from pipeline.clock import now_ms
from pipeline.frames import Frame, LatestFrames
from pipeline.mood import Moods
from tests.fakes import Told
from tests.marks import mark_of

BLIND_SECONDS = 3.0


class CheckedFrames(LatestFrames):
    """Records at once for each frame whose it is said to be, and whose mark it carries."""

    def __init__(self) -> None:
        super().__init__(now_ms)
        self.booked: Counter[tuple[str, int | None]] = Counter()
        self.newest: dict[str, float] = {}
        self.sizes: dict[str, tuple[int, int]] = {}

    def put(self, frame: Frame) -> None:
        self.booked[frame.participant_id, mark_of(frame.picture)] += 1
        self.newest[frame.participant_id] = time.monotonic()
        self.sizes[frame.participant_id] = (frame.picture.width, frame.picture.height)

    async def after_now(self, participant_id: str, seconds: float = 5) -> None:
        """Wait for a frame of that participant that is received from now on."""
        since = time.monotonic()
        async with asyncio.timeout(seconds):
            while self.newest.get(participant_id, 0) <= since:
                await asyncio.sleep(0.01)


@dataclass
class Attended:
    """A room that is being attended, and what was seen in it."""

    room: JanusRoom
    frames: CheckedFrames
    attendance: Attendance
    told: Told

    def kinds(self) -> list[str]:
        """The types of the events so far, without their prefix."""
        return [data.type.removeprefix("classmood.") for data in self.told.all]


@asynccontextmanager
async def attended(room_url: str, reconcile_seconds: float = RECONCILE_SECONDS, **settings: object) -> AsyncIterator[Attended]:
    """Attend a room while the block runs, and look at every frame that comes; those who do not answer count as consenting."""
    these: Settings = read_settings(**{"consent": "everyone", **settings})
    async with join_janus(room_url, these, reconcile_seconds) as room:
        frames, told = CheckedFrames(), Told()
        moods = Moods(told, "test@0")
        stalled_ms, left_ms = these.stalled_seconds * 1000, these.left_seconds * 1000
        attendance = Attendance(room, frames, moods, 1000.0, stalled_ms, left_ms)
        async with background(_stay_after_stay(attendance), attendance.watchdog(0.2)):
            yield Attended(room, frames, attendance, told)


async def _stay_after_stay(attendance: Attendance) -> None:
    while True:
        await attendance.run()


@dataclass
class Someone:
    """A student of the script."""

    student: JanusStudent
    mark: int
    inside: AsyncExitStack
    sends_since: float | None = None
    paused: bool = False


@dataclass
class Script:
    """People who come, go, publish, unpublish and publish again, in an order that the seed determines."""

    room_url: str
    seen: Attended
    clips: dict[int, Clip]
    random: random.Random
    people: list[Someone] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    longest_blind: float = 0.0

    async def play(self, steps: int, most: int) -> None:
        """Take so many steps, with at most `most` people; those still sending at the end must be seen, and then all leave."""
        try:
            for _ in range(steps):
                await self._step(most)
                await self._look_on(self.random.uniform(0, 0.8))
            for someone in self.people:
                if someone.sends_since is not None:
                    await self.seen.frames.after_now(someone.student.id, BLIND_SECONDS)
        finally:
            while self.people:
                await self._go()

    @property
    def wrongly_booked(self) -> dict[tuple[str, int | None], int]:
        """How many frames were attributed to somebody else."""
        return {
            (participant_id, mark): count
            for (participant_id, mark), count in self.seen.frames.booked.items()
            if mark is not None and self.marks.get(participant_id) != mark
        }

    async def _step(self, most: int) -> None:
        steps = [self._come] * (len(self.people) < most) + [self._go, self._switch, self._again, self._pause] * bool(self.people)
        await self.random.choice(steps)()

    async def _come(self) -> None:
        inside = AsyncExitStack()
        student = await inside.enter_async_context(janus_student(self.room_url, "Student", read_settings()))
        mark = len(self.marks) % len(self.clips)
        self.marks[student.id] = mark
        self.people.append(Someone(student, mark, inside))
        if self.random.random() < 0.7:
            await self._publish(self.people[-1])

    async def _go(self) -> None:
        someone = self.people.pop(self.random.randrange(len(self.people)))
        await someone.inside.aclose()

    async def _switch(self) -> None:
        """Turn somebody's camera on or off."""
        someone = self.random.choice(self.people)
        if someone.sends_since is None:
            await self._publish(someone)
        else:
            someone.sends_since = None
            await someone.student.unpublish()

    async def _again(self) -> None:
        """Turn somebody's camera off and on again at once."""
        await self._publish(self.random.choice(self.people))

    async def _pause(self) -> None:
        """Pause or resume somebody's camera within the same publication."""
        someone = self.random.choice(self.people)
        if someone.sends_since is not None or someone.paused:
            someone.paused = not someone.paused
            someone.sends_since = None
            await someone.student.pause(someone.paused)
            someone.sends_since = None if someone.paused else time.monotonic()

    async def _publish(self, someone: Someone) -> None:
        someone.paused = False
        await someone.student.publish(self.clips[someone.mark])
        someone.sends_since = time.monotonic()

    async def _look_on(self, seconds: float) -> None:
        """Wait, and keep the longest time that anybody who sends has gone without a frame being seen."""
        ends = time.monotonic() + seconds
        while True:
            for someone in self.people:
                if someone.sends_since is not None:
                    seen = max(someone.sends_since, self.seen.frames.newest.get(someone.student.id, 0.0))
                    self.longest_blind = max(self.longest_blind, time.monotonic() - seen)
            if time.monotonic() >= ends:
                return
            await asyncio.sleep(0.02)
