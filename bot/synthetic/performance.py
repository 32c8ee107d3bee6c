"""A made-up student's camera: it sends what the script wants, second by second."""

import asyncio
from collections.abc import Callable, Sequence

from bot.clips import FRAMES_PER_SECOND
from bot.synthetic.parts import Doing, Part
from bot.synthetic.studio import Mien, Scene, Segment, Studio, following

LOOK_AHEAD_SECONDS = 5

Clock = Callable[[], float]


class Performance:
    """A recording of a lesson that began at a time of the event loop's clock.

    What is not drawn when it is due begins a second later, as the face goes on as before: a late student, not a frozen one.
    The studio counts these seconds.
    """

    def __init__(self, studio: Studio, person: int, part: Part, begun_seconds: float, clock: Clock | None = None) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._studio, self._part = studio, part
        self._begun_seconds = begun_seconds
        self._first_seconds = self._clock() - begun_seconds
        mien = _mien(part.at(self._first_seconds))
        self._scene = Scene(person, mien, mien, 0)
        self._segment: Segment = ()
        self._change: tuple[Scene, Scene] | None = None

    @property
    def frames_per_second(self) -> int:
        return FRAMES_PER_SECOND

    @property
    def mien(self) -> Mien:
        """The expression at the end of the second that is shown."""
        return self._scene.after

    async def prepare(self) -> None:
        """Have the first second drawn."""
        self._segment = await self._studio.scene(self._scene)

    async def packet(self, number: int) -> bytes:
        """The frame of that number."""
        second, frame = divmod(number, FRAMES_PER_SECOND)
        if number == 0:
            await self.prepare()
            self._first_seconds = self._clock() - self._begun_seconds
        elif frame == 0:
            self._go_on(second)
        if frame == 0:
            self._look_ahead(second)
        return self._segment[frame]

    def _go_on(self, second: int) -> None:
        """Show the next second, or the last one again where it is not there yet."""
        wanted = self._wanted(second)
        scene = self._next(wanted)
        segment = self._studio.ready(scene)
        if segment is None or scene.after != wanted:
            self._studio.late += 1
        if segment is not None:
            self._scene, self._segment = scene, segment

    def _next(self, wanted: Mien) -> Scene:
        """What to show: the way to another expression only when it and what comes behind it are drawn."""
        steady, change = following(self._scene, self._scene.after), self._change
        self._change = None
        if wanted == steady.after:
            return steady
        if change is None or (change[0].before, change[0].after) != (steady.after, wanted):
            way = following(self._scene, wanted)
            change = way, following(way, wanted)
        if all(map(self._studio.ready, change)):
            return change[0]
        self._change = change
        self._order(change, 0)
        return steady

    def _look_ahead(self, second: int) -> None:
        """Order what the next seconds will want, unless a change is late already: then its scenes are all that matters."""
        if self._change is not None:
            return
        coming = [self._scene]
        for ahead in range(1, LOOK_AHEAD_SECONDS + 1):
            coming.append(following(coming[-1], self._wanted(second + ahead)))
        self._order(coming[1:], 1)

    def _order(self, scenes: Sequence[Scene], within_seconds: int) -> None:
        for place, scene in enumerate(scenes):
            self._studio.order(scene, self._clock() + within_seconds + place)

    def _wanted(self, second: int) -> Mien:
        # a step within the second belongs to it: the face starts a little early rather than a little late
        return _mien(self._part.at(self._first_seconds + second + 0.5))


def _mien(doing: Doing) -> Mien:
    return doing.feel, doing.intensity
