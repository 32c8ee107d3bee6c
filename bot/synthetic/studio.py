"""Where made-up people are filmed: each second of video is drawn and encoded once, on a separate thread."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from bot.clips import FRAMES_PER_SECOND, encode
from bot.priority import give_way
from bot.synthetic.motion import PERIOD_SECONDS
from bot.synthetic.people import person
from bot.synthetic.pictures import Webcam
from bot.tasks import background
from model.faces import EMOTIONS, Emotion
from model.generated_faces import FaceGenerator, Feeling

logger = logging.getLogger(__name__)

CHANGE_SECONDS = 0.6
"""How long a face takes from one expression to the next."""

MOST_BYTES = 96 * 2**20
"""How much encoded video is kept; the least recently used is dropped first, and drawn again when it is wanted."""

MOST_ORDERS = 4096
"""How many scenes may wait to be drawn; any more are refused, and counted."""

Segment = tuple[bytes, ...]
"""One second as VP8 packets, the first of which is a keyframe, so that seconds can follow each other in any order."""

Mien = tuple[Emotion, float]
"""An expression: the emotion and how strong it is."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One second of a person: from which expression to which, and in which second of the cycle of their movements."""

    person: int
    before: Mien
    after: Mien
    phase: int


class Studio:
    """Draws scenes that are ordered, the most urgent first, and keeps those that are drawn; made by `studio`.

    `late` counts the seconds in which a student did not show what was wanted, `refused` the orders that were too many.
    """

    def __init__(self, thread: ThreadPoolExecutor, generator: FaceGenerator, most_orders: int) -> None:
        self.late = self.refused = 0
        self._thread = thread
        self._webcam = cache(lambda number: Webcam(person(number), generator))
        self._drawn: OrderedDict[Scene, Segment] = OrderedDict()
        self._bytes = 0
        self._orders: asyncio.PriorityQueue[tuple[float, int, Scene]] = asyncio.PriorityQueue(most_orders)
        self._waiting: dict[Scene, asyncio.Future[Segment]] = {}
        self._count = 0

    @property
    def busy(self) -> bool:
        """Whether any scene is still to be drawn."""
        return bool(self._waiting)

    def ready(self, scene: Scene) -> Segment | None:
        """The scene's packets if it is drawn, or else None."""
        if scene in self._drawn:
            self._drawn.move_to_end(scene)
        return self._drawn.get(scene)

    def order(self, scene: Scene, due_seconds: float) -> None:
        """Have a scene drawn by `due_seconds` on the event loop's clock, unless it is drawn or ordered already."""
        if scene in self._drawn or scene in self._waiting:
            return
        if self._orders.full():
            self.refused += 1
            return
        self._count += 1
        self._waiting[scene] = asyncio.get_running_loop().create_future()
        self._orders.put_nowait((due_seconds, self._count, scene))

    async def scene(self, scene: Scene) -> Segment:
        """Order a scene and wait until it is drawn; returns its packets."""
        while (segment := self.ready(scene)) is None:
            self.order(scene, 0.0)
            if scene in self._waiting:
                await asyncio.shield(self._waiting[scene])
            else:
                await asyncio.sleep(1 / FRAMES_PER_SECOND)
        return segment

    async def work(self) -> None:
        """Draw the ordered scenes, forever."""
        loop = asyncio.get_running_loop()
        while True:
            _, _, scene = await self._orders.get()
            segment = await loop.run_in_executor(self._thread, self._film, scene)
            self._keep(scene, segment)
            self._waiting.pop(scene).set_result(segment)

    def _keep(self, scene: Scene, segment: Segment) -> None:
        self._drawn[scene] = segment
        self._bytes += _size(segment)
        while self._bytes > MOST_BYTES and len(self._drawn) > 1:
            _, oldest = self._drawn.popitem(last=False)
            self._bytes -= _size(oldest)

    def _film(self, scene: Scene) -> Segment:
        """Draw and encode a scene, on the thread."""
        webcam = self._webcam(scene.person)
        times = [number / FRAMES_PER_SECOND for number in range(FRAMES_PER_SECOND)]
        return encode(webcam.picture(feeling(scene, at), scene.phase + at) for at in times).packets


def _size(segment: Segment) -> int:
    return sum(map(len, segment))


def feeling(scene: Scene, at_seconds: float) -> Feeling:
    """What the face shows at a time within the scene, as shares of the emotions (7,)."""
    way = min(at_seconds / CHANGE_SECONDS, 1.0)
    eased = way * way * (3 - 2 * way)
    return shares(scene.before) * np.float32(1 - eased) + shares(scene.after) * np.float32(eased)


def shares(mien: Mien) -> Feeling:
    """An expression as shares of the emotions (7,): the rest beside the emotion is neutral."""
    emotion, strength = mien
    mixed = np.zeros(len(EMOTIONS), np.float32)
    mixed[EMOTIONS.index(Emotion.NEUTRAL)] = 1 - strength
    mixed[EMOTIONS.index(emotion)] += strength
    return mixed


def following(scene: Scene, mien: Mien) -> Scene:
    """The second after a scene, in which the face changes to the expression `mien`."""
    return Scene(scene.person, scene.after, mien, (scene.phase + 1) % PERIOD_SECONDS)


@asynccontextmanager
async def studio(most_orders: int = MOST_ORDERS) -> AsyncIterator[Studio]:
    """A studio that draws while the block runs; raises ModelUnusable if the generator's weights cannot be used."""
    with ThreadPoolExecutor(1, "studio", initializer=give_way) as thread:
        generator = await asyncio.get_running_loop().run_in_executor(thread, FaceGenerator)
        place = Studio(thread, generator, most_orders)
        async with background(place.work()):
            try:
                yield place
            finally:
                logger.info("%d seconds of students came late, %d scenes were not taken", place.late, place.refused)
