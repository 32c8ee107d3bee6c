"""Students who follow a script in a real room: who is there, and whose camera is on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiortc.mediastreams import MediaStreamError

from bot.clips import Recording
from bot.errors import RoomRefused
from bot.rooms import Arrival, Departure
from bot.rooms.local import host
from bot.scripts import Script
from bot.settings import read_settings
from bot.students import whip_entrance
from bot.synthetic.acting import acting
from bot.together import Enter


def script(*steps: dict[str, object], duration_seconds: float = 60, students: int = 1) -> Script:
    return Script.model_validate({"students": students, "duration_seconds": duration_seconds, "steps": steps})


class Stage:
    """A room that records what its students do, and lets go of them when told to."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.refuses = False
        self.lost = asyncio.Event()

    def entrance(self) -> Enter:
        @asynccontextmanager
        async def enter(number: int) -> AsyncIterator[Stage]:
            if self.refuses:
                raise RoomRefused("the room is full")
            self.seen.append(f"{number} comes")
            try:
                yield self
            finally:
                self.seen.append(f"{number} goes")

        return enter

    async def publish(self, recording: Recording) -> None:
        assert await recording.packet(0)
        self.seen.append("camera on")

    async def unpublish(self) -> None:
        self.seen.append("camera off")


async def until(stage: Stage, *seen: str) -> None:
    """Wait until these things have happened, each directly after the previous one."""
    async with asyncio.timeout(20):
        while not any(stage.seen[at : at + len(seen)] == list(seen) for at in range(len(stage.seen))):
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_a_camera_goes_off_and_on_and_a_student_leaves_and_joins_as_the_script_says_again_and_again() -> None:
    lesson = script(
        {"at_seconds": 0.3, "camera": False},
        {"at_seconds": 0.6, "camera": True},
        {"at_seconds": 0.9, "leave": True},
        {"at_seconds": 1.2, "join": True},
        duration_seconds=1.5,
    )
    stage = Stage()
    async with acting(stage.entrance(), lesson, 1):
        once = ("camera off", "camera on", "0 goes", "0 comes", "camera on")
        await until(stage, *once, *once)
    assert stage.seen[-1] == "0 goes"


async def test_who_is_let_go_by_the_room_goes_and_the_class_is_deserted_with_the_last() -> None:
    stage = Stage()
    async with acting(stage.entrance(), script({"at_seconds": 50, "feel": "sad"}), 2) as deserted:
        assert not deserted.is_set()
        stage.lost.set()
        async with asyncio.timeout(5):
            await deserted.wait()
    assert sorted(stage.seen[-2:]) == ["0 goes", "1 goes"]


async def test_a_room_that_refuses_is_told_with_its_own_reason() -> None:
    stage = Stage()
    stage.refuses = True
    with pytest.raises(ExceptionGroup) as group:
        async with acting(stage.entrance(), script({"at_seconds": 50, "feel": "sad"}), 1):
            pass
    assert group.group_contains(RoomRefused, match="^the room is full$")


@pytest.mark.slow
async def test_in_a_local_room_they_are_seen_turn_their_camera_off_and_leave() -> None:
    steps = {"at_seconds": 5, "camera": False}, {"at_seconds": 6, "leave": True}
    settings = read_settings(port=0)
    async with host("algebra", settings) as room, asyncio.timeout(20):
        happenings = room.happenings()
        async with whip_entrance(room.whip_url, settings) as enter, acting(enter, script(*steps), 1):
            arrival = await anext(happenings)
            while not isinstance(arrival, Arrival):
                arrival = await anext(happenings)
            picture = await arrival.track.recv()
            assert (picture.width, picture.height) == (480, 270)  # type: ignore[union-attr]
            frames = 0
            while arrival.track.readyState == "live":
                try:
                    await arrival.track.recv()
                    frames += 1
                except MediaStreamError:
                    break
            assert frames > 3
            happening = await anext(happenings)
            while not isinstance(happening, Departure):
                happening = await anext(happenings)
            assert happening.participant_id == arrival.participant.id
