"""A made-up student's camera, which shows what the script wants, second by second."""

import asyncio
from collections.abc import Callable, Sequence

from bot.clips import FRAMES_PER_SECOND
from bot.synthetic.parts import Doing, Part
from bot.synthetic.studio import Mien, Scene, Segment, Studio, following

LOOK_AHEAD_SECONDS = 5

Clock = Callable[[], float]


class Performance:
    """A student's part as a recording, for a lesson that began at `begun_seconds` on the event loop's clock.

    If a change of expression is not drawn in time, the face goes on as before and changes a second later, so that the student
    is late but not frozen. The studio counts these seconds.
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
        """The expression at the end of the second that is being shown."""
        return self._scene.after

    async def prepare(self) -> None:
        """Wait until the first second is drawn."""
        self._segment = await self._studio.scene(self._scene)

    async def packet(self, number: int) -> bytes:
        """The frame with this number, counted from 0; must be called in order."""
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
        """Show the next second, or the last one again if it is not drawn yet."""
        wanted = self._wanted(second)
        scene = self._next(wanted)
        segment = self._studio.ready(scene)
        if segment is None or scene.after != wanted:
            self._studio.late += 1
        if segment is not None:
            self._scene, self._segment = scene, segment

    def _next(self, wanted: Mien) -> Scene:
        """The scene to show next: a change of expression only once that and the second after it are drawn."""
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
        """Order the scenes of the next seconds, unless a change is late already: then only its scenes matter."""
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
        # a step in the first half of a second counts for that second: the face changes a little early rather than late
        return _mien(self._part.at(self._first_seconds + second + 0.5))


def _mien(doing: Doing) -> Mien:
    return doing.feel, doing.intensity
