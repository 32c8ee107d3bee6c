"""A camera that sends nothing is subscribed to again: once, and watching continues with its new track."""

import asyncio
from collections.abc import AsyncIterator

from bot.attendance import Attendance
from bot.bench.replayed_room import ROOM, replayed_room
from bot.rooms import Arrival, Happening
from bot.rooms.janus import JanusRoom, join_janus
from pipeline.clock import now_ms
from pipeline.frames import LatestFrames
from pipeline.mood import Moods
from tests.test_bench_room import SETTINGS, start_of


class Noting:
    """A room that records who arrives, and passes everything on."""

    over, inside = False, True

    def __init__(self, room: JanusRoom) -> None:
        self.arrivals: list[str] = []
        self._room = room
        self.name = room.name
        self.stalled, self.drop, self.show = room.stalled, room.drop, room.show

    async def happenings(self) -> AsyncIterator[Happening]:
        async for happening in self._room.happenings():
            if isinstance(happening, Arrival):
                self.arrivals.append(happening.participant.id)
            yield happening


async def until_frames(attendance: Attendance, count: int) -> None:
    """Wait until each of two students has sent so many more frames."""
    before = {who: seat.frames_received for who, seat in attendance.seats.items()}
    async with asyncio.timeout(10):
        while len(attendance.seats) < 2 or any(
            seat.frames_received < before.get(who, 0) + count for who, seat in attendance.seats.items()
        ):
            await asyncio.sleep(0.02)


async def test_a_camera_that_is_subscribed_to_anew_is_so_once_and_is_watched_again() -> None:
    async with (
        replayed_room(2, start_of("simulcast", 6)) as port,
        join_janus(f"janus://127.0.0.1:{port}/{ROOM}", SETTINGS) as joined,
    ):
        room = Noting(joined)
        attendance = Attendance(room, LatestFrames(now_ms), Moods(lambda event: None, "none"), 2.0, 60_000, 90_000)
        attending = asyncio.create_task(attendance.run())
        await until_frames(attendance, 2)
        joined.stalled("1001")
        async with asyncio.timeout(10):
            while len(room.arrivals) < 3:
                await asyncio.sleep(0.02)
        await until_frames(attendance, 4)
        attending.cancel()
        await asyncio.wait([attending])
    assert sorted(room.arrivals) == ["1001", "1001", "1002"]
