"""Many students in one room: a few come in at a time, and it is known when the last of them has lost it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

from bot.clips import Recording
from bot.tasks import background

JOINING_AT_A_TIME = 8


class Student(Protocol):
    """Somebody in a room, who turns the camera on and off; `lost` tells when the room let go of them."""

    lost: asyncio.Event

    async def publish(self, recording: Recording) -> None:
        """Send a recording until `unpublish`; raises RoomRefused with the room's own reason."""
        ...

    async def unpublish(self) -> None:
        """Turn the camera off, and stay in the room."""
        ...


Enter = Callable[[int], AbstractAsyncContextManager[Student]]
"""Be the student of a number, from 0, in the room while a block runs, with the camera off."""

Join = Callable[[int], AbstractAsyncContextManager[asyncio.Event]]
"""Be the student of a number, from 0, in the room while a block runs; yields an event that tells when the room let go."""


@asynccontextmanager
async def together(count: int, join: Join) -> AsyncIterator[asyncio.Event]:
    """Have `count` students in a room while the block runs; yields an event that tells when all of them lost it.

    What keeps one of them from coming in comes out, in an ExceptionGroup, and ends it for all.
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
    """Have `count` students who show a recording each: student N shows number N modulo how many there are."""

    @asynccontextmanager
    async def join(number: int) -> AsyncIterator[asyncio.Event]:
        async with enter(number) as student:
            await student.publish(ready[number % len(ready)])
            yield student.lost

    async with together(count, join) as deserted:
        yield deserted


def student_name(number: int) -> str:
    """What the student of a number, from 0, is called in the room."""
    return f"Student {number + 1}"
