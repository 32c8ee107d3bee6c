"""Stand-ins that follow the same protocols as the real parts."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame
from numpy.typing import NDArray

from bot.rooms import Departure, Happening
from model.drawing import Still
from model.faces import EMOTIONS, Emotion, Face, FaceDetector, Image, Picture
from pipeline.analysis import Reading
from pipeline.coverage import Coverage
from pipeline.events import Data
from pipeline.mood import Mood

SOMEWHERE = Face(0.4, 0.3, 0.2, 0.3, 0.9, ())


class Clock:
    """A clock in milliseconds that is moved by hand."""

    def __init__(self, at_ms: int = 1_000_000) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms

    def pass_seconds(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)


def picture(width: int = 64, height: int = 48, level: int = 128) -> VideoFrame:
    """A plain grey picture."""
    return VideoFrame.from_ndarray(np.full((height, width, 3), level, np.uint8), format="rgb24")


class PlayedTrack(MediaStreamTrack):
    """A track that plays pictures as fast as it is read, moving a clock by a tick before each, and then ends or falls silent."""

    kind = "video"

    def __init__(self, pictures: Iterable[VideoFrame], clock: Clock, tick_seconds: float, *, ends: bool = True) -> None:
        super().__init__()
        self._pictures = iter(pictures)
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._ends = ends

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(0)
        self._clock.pass_seconds(self._tick_seconds)
        try:
            return next(self._pictures)
        except StopIteration:
            if not self._ends:
                await asyncio.Event().wait()
            self.stop()
            raise MediaStreamError from None


class BrokenTrack(MediaStreamTrack):
    """A track that fails in an unexpected way."""

    kind = "video"

    async def recv(self) -> VideoFrame:
        raise RuntimeError("what is this packet")


class SilentTrack(MediaStreamTrack):
    """A track that never gives a picture."""

    kind = "video"

    async def recv(self) -> VideoFrame:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")


class ScriptedRoom:
    """A room in which only what a test puts into it happens."""

    inside = True

    def __init__(self, name: str = "algebra") -> None:
        self.name = name
        self.over = False
        self.mended: list[str] = []
        self.shown: list[Mood] = []
        self.dropped: list[tuple[str, str]] = []
        self._queue: asyncio.Queue[Happening | None] = asyncio.Queue()

    def happen(self, happening: Happening) -> None:
        self._queue.put_nowait(happening)

    def close(self) -> None:
        self._queue.put_nowait(None)

    async def happenings(self) -> AsyncIterator[Happening]:
        while (happening := await self._queue.get()) is not None:
            yield happening
        self.over = True

    def stalled(self, participant_id: str) -> None:
        self.mended.append(participant_id)

    def drop(self, participant_id: str, reason: str) -> None:
        self.dropped.append((participant_id, reason))
        self.happen(Departure(participant_id, reason))

    def show(self, mood: Mood) -> None:
        self.shown.append(mood)


class LostOnce(ScriptedRoom):
    """A room whose connection is lost once."""

    _was_lost = False

    async def happenings(self) -> AsyncIterator[Happening]:
        self.inside = True
        async for happening in super().happenings():
            yield happening
        self.inside, self.over, self._was_lost = False, self._was_lost, True


class FaceEverywhere(FaceDetector):
    """A detector that finds the same faces in every picture that is not black."""

    def __init__(self, *faces: Face) -> None:
        self._faces = list(faces)

    def detect(self, picture: Picture | Image) -> list[Face]:
        if isinstance(picture, np.ndarray):
            picture = Still(picture)
        place = np.zeros((8, 8, 3), np.uint8)
        picture.draw(place)
        return self._faces if place.any() else []


class AlwaysOf:
    """A classifier that is sure of one emotion, and remembers the batches it was given."""

    name = "always@00000000"
    size = 48

    def __init__(self, emotion: Emotion) -> None:
        self._scores = scores(emotion, 1.0)
        self.batches: list[int] = []

    def classify(self, crops: Image) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        return np.tile(self._scores, (len(crops), 1))


def scores(emotion: Emotion, confidence: float) -> NDArray[np.float32]:
    """Scores (7,) with `confidence` for one emotion and the rest spread evenly."""
    spread = np.full(len(EMOTIONS), (1 - confidence) / (len(EMOTIONS) - 1), np.float32)
    spread[EMOTIONS.index(emotion)] = confidence
    return spread


def reading(emotion: Emotion, at_ms: int, confidence: float = 0.9, participant_id: str = "ada") -> Reading:
    """A reading of a face that shows one emotion."""
    return Reading(participant_id, at_ms, Coverage.OK, SOMEWHERE, 1, scores(emotion, confidence))


@dataclass
class Told:
    """Keeps everything that it is told."""

    all: list[Data] = field(default_factory=list)

    def __call__(self, data: Data) -> None:
        self.all.append(data)

    def of(self, kind: type[Data]) -> list[Data]:
        return [data for data in self.all if isinstance(data, kind)]
