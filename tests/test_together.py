"""Many students joining one room: in what order, and when it counts as deserted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.errors import RoomRefused
from bot.together import JOINING_AT_A_TIME, student_name, together


class Door:
    """A room that students join, and that lets go of them by number."""

    def __init__(self, count: int) -> None:
        self.lost = [asyncio.Event() for _ in range(count)]
        self.opened = asyncio.Event()
        self.inside: set[int] = set()
        self.knocking = 0

    @asynccontextmanager
    async def join(self, number: int) -> AsyncIterator[asyncio.Event]:
        self.knocking += 1
        await self.opened.wait()
        self.inside.add(number)
        try:
            yield self.lost[number]
        finally:
            self.inside.remove(number)


async def settle() -> None:
    """Let everything happen that can happen without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_few_come_in_at_a_time_and_all_are_gone_with_the_block() -> None:
    door = Door(20)
    entering = asyncio.create_task(once_inside(door, 20))
    await settle()
    assert door.knocking == JOINING_AT_A_TIME
    door.opened.set()
    assert await entering == set(range(20))
    assert door.inside == set()


async def once_inside(door: Door, count: int) -> set[int]:
    async with together(count, door.join):
        return set(door.inside)


async def test_a_room_is_deserted_when_the_last_of_them_has_lost_it() -> None:
    door = Door(3)
    door.opened.set()
    async with together(3, door.join) as deserted:
        for number in (2, 0):
            door.lost[number].set()
            await settle()
            assert number not in door.inside and not deserted.is_set()
        door.lost[1].set()
        async with asyncio.timeout(1):
            await deserted.wait()


async def test_who_loses_the_room_while_others_still_come_in_keeps_nobody_waiting() -> None:
    door = Door(2)
    door.opened.set()
    for lost in door.lost:
        lost.set()
    async with asyncio.timeout(1), together(2, door.join) as deserted:
        await deserted.wait()


async def test_one_who_is_refused_ends_it_for_all() -> None:
    door = Door(2)
    door.opened.set()

    @asynccontextmanager
    async def join(number: int) -> AsyncIterator[asyncio.Event]:
        if number == 1:
            raise RoomRefused("the room is full")
        async with door.join(number) as lost:
            yield lost

    with pytest.raises(ExceptionGroup) as group:
        async with together(2, join):
            pass
    assert group.group_contains(RoomRefused, match="the room is full") and door.inside == set()


def test_students_are_counted_from_one() -> None:
    assert student_name(0) == "Student 1"
