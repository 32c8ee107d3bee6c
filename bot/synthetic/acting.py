"""A class of made-up students in a room, who follow a script."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from bot.scripts import Script
from bot.synthetic.parts import Doing, Part
from bot.synthetic.performance import Performance
from bot.synthetic.studio import Studio, studio
from bot.tasks import background
from bot.together import Enter, Student, together

MOST_PEOPLE = 24
"""How many different people there are; in a larger class some look the same, which saves drawing and memory."""


@asynccontextmanager
async def acting(enter: Enter, script: Script, count: int) -> AsyncIterator[asyncio.Event]:
    """Have `count` students follow the script, again and again, while the block runs.

    The lesson begins as they come in. Yields, once all have come, an event that is set when all of them have lost the room.
    """
    async with studio() as place:
        begun_seconds = asyncio.get_running_loop().time()

        @asynccontextmanager
        async def join(number: int) -> AsyncIterator[asyncio.Event]:
            actor = Actor(enter, place, Part(script, number, count), number, begun_seconds)
            async with background(actor.act()):
                await actor.came.wait()
                yield actor.lost

        async with together(count, join) as deserted:
            yield deserted


class Actor:
    """One student who follows a part: `came` is set once they have begun, `lost` when they lose the connection to the room."""

    def __init__(self, enter: Enter, place: Studio, part: Part, number: int, begun_seconds: float) -> None:
        self.came, self.lost = asyncio.Event(), asyncio.Event()
        self._enter, self._studio, self._part, self._number = enter, place, part, number
        self._begun_seconds = begun_seconds
        self._student: Student | None = None
        self._showing = False
        self._presence = AsyncExitStack()

    async def act(self) -> None:
        """Come, turn the camera off and on, and leave, as the part says, until the connection to the room is lost."""
        try:
            while not self.lost.is_set():
                now = self._now()
                await self._do(self._part.at(now))
                self.came.set()
                await self._wait(self._part.next_turn(now) - self._now())
        finally:
            await self._presence.aclose()

    async def _do(self, doing: Doing) -> None:
        if not doing.there:
            await self._go()
        elif self._student is None:
            self._student = await self._presence.enter_async_context(self._enter(self._number))
        await self._show(doing.camera and doing.there)

    async def _show(self, camera: bool) -> None:
        if camera == self._showing or self._student is None:
            return
        if camera:
            performance = Performance(self._studio, self._number % MOST_PEOPLE, self._part, self._begun_seconds)
            await performance.prepare()
            await self._student.publish(performance)
        else:
            await self._student.unpublish()
        self._showing = camera

    async def _go(self) -> None:
        self._student, self._showing = None, False
        await self._presence.aclose()

    async def _wait(self, seconds: float) -> None:
        """Wait for that long, or until the student has lost the room, which sets `lost`."""
        lost = self._student.lost if self._student is not None else asyncio.Event()
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await lost.wait()
        except TimeoutError:
            return
        self.lost.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._begun_seconds
