"""Many students in one room: a few of them join at a time, and an event tells when the last has lost the room."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

from bot.clips import Recording
from bot.tasks import background

JOINING_AT_A_TIME = 8


class Student(Protocol):
    """A student in a room, who can turn the camera on and off; `lost` is set when the connection to the room is lost."""

    lost: asyncio.Event

    async def publish(self, recording: Recording) -> None:
        """Send a recording until `unpublish`; raises RoomRefused with the room's own reason."""
        ...

    async def unpublish(self) -> None:
        """Turn the camera off, but stay in the room."""
        ...


Enter = Callable[[int], AbstractAsyncContextManager[Student]]
"""Keeps the student with this number, from 0, in the room while the block runs, at first with the camera off."""

Join = Callable[[int], AbstractAsyncContextManager[asyncio.Event]]
"""Keeps the student with this number, from 0, in the room while the block runs; yields an event for when they lose it."""


@asynccontextmanager
async def together(count: int, join: Join) -> AsyncIterator[asyncio.Event]:
    """Keep `count` students in a room while the block runs; yields an event that is set when all of them have lost it.

    If one of them cannot join, that ends it for all, and the error is raised in an ExceptionGroup.
    """
    deserted = asyncio.Event()
    joining = asyncio.Semaphore(JOINING_AT_A_TIME)
    came = [asyncio.Event() for _ in range(count)]
    gone: set[int] = set()

    async def student(number: int) -> None:
        async with AsyncExitStack() as stack:
            async with joining:
                lost = await stack.enter_async_context(join(number))
            came[number].set()
            await lost.wait()
        gone.add(number)
        if len(gone) == count:
            deserted.set()

    async with background(*(student(number) for number in range(count))):
        for event in came:
            await event.wait()
        yield deserted


@asynccontextmanager
async def showing(enter: Enter, count: int, ready: Sequence[Recording]) -> AsyncIterator[asyncio.Event]:
    """Keep `count` students in a room who each show a recording: student N shows recording N modulo their number.

    Yields an event that is set when all of them have lost the room.
    """

    @asynccontextmanager
    async def join(number: int) -> AsyncIterator[asyncio.Event]:
        async with enter(number) as student:
            await student.publish(ready[number % len(ready)])
            yield student.lost

    async with together(count, join) as deserted:
        yield deserted


def student_name(number: int) -> str:
    """The name in the room of the student with this number, from 0."""
    return f"Student {number + 1}"
