import asyncio
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from bot.tasks import background
from model.faces import Emotion, Face, FaceDetector, Image, Picture
from pipeline.analysis import Analyst, Limits, Reading, analyse
from pipeline.coverage import Coverage
from pipeline.frames import Frame, LatestFrames
from tests.fakes import SOMEWHERE, AlwaysOf, Clock, FaceEverywhere

TINY = Face(0.5, 0.5, 0.02, 0.03, 0.9, ())


def noise(level: int = 128, spread: int = 60, width: int = 320, height: int = 180) -> NDArray[np.uint8]:
    grains = np.random.default_rng(0).normal(level, spread, (height, width, 3))
    return np.clip(grains, 1, 255).astype(np.uint8)


def beside_a_lamp(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with something bright in one corner."""
    pixels[-20:, -20:] = 250
    return pixels


def frame(pixels: NDArray[np.uint8], participant_id: str = "ada", at_ms: int = 0) -> Frame:
    return Frame(participant_id, at_ms, av.VideoFrame.from_ndarray(pixels, format="rgb24"))


class Counting(FaceEverywhere):
    """Counts the pictures that it was shown."""

    pictures = 0

    def detect(self, picture: Picture | Image) -> list[Face]:
        self.pictures += 1
        return super().detect(picture)


def analyst(*faces: Face, limits: Limits | None = None) -> Analyst:
    return Analyst(FaceEverywhere(*(faces or (SOMEWHERE,))), AlwaysOf(Emotion.HAPPY), limits)


def test_readings_come_in_the_order_of_the_frames_each_with_its_own_participant() -> None:
    frames = [frame(noise(), name, at_ms) for at_ms, name in enumerate(("ada", "bob", "cid"))]
    found = [(reading.participant_id, reading.at_ms) for reading in analyst().read(frames)]
    assert found == [("ada", 0), ("bob", 1), ("cid", 2)]


def test_all_readable_faces_are_scored_in_one_batch_and_each_gets_its_own_scores() -> None:
    classifier = AlwaysOf(Emotion.HAPPY)
    black = np.zeros((180, 320, 3), np.uint8)
    readings = Analyst(FaceEverywhere(SOMEWHERE), classifier).read([frame(noise()), frame(black), frame(noise())])
    assert classifier.batches == [2]
    assert [reading.scores is not None for reading in readings] == [True, False, True]


@pytest.mark.parametrize(
    ("pixels", "face", "coverage"),
    [
        (noise(), SOMEWHERE, Coverage.OK),
        (noise(), TINY, Coverage.FACE_TOO_SMALL),
        (noise(level=5, spread=3), SOMEWHERE, Coverage.TOO_DARK),
        (beside_a_lamp(noise(level=5, spread=3)), SOMEWHERE, Coverage.TOO_DARK),
        (np.zeros((180, 320, 3), np.uint8), SOMEWHERE, Coverage.TOO_DARK),
        (np.full((180, 320, 3), 128, np.uint8), SOMEWHERE, Coverage.BLURRED),
    ],
)
def test_a_face_that_cannot_be_read_says_why(pixels: NDArray[np.uint8], face: Face, coverage: Coverage) -> None:
    (reading,) = analyst(face).read([frame(pixels)])
    assert reading.coverage is coverage
    assert (reading.scores is not None) == (coverage is Coverage.OK)


def test_in_a_black_picture_no_face_is_looked_for() -> None:
    detector = Counting(SOMEWHERE)
    black, dark = noise(level=5, spread=3), beside_a_lamp(noise(level=5, spread=3))
    readings = Analyst(detector, AlwaysOf(Emotion.HAPPY)).read([frame(black), frame(dark), frame(black)])
    assert {reading.coverage for reading in readings} == {Coverage.TOO_DARK} and detector.pictures == 1


def test_a_bright_picture_without_a_face_is_no_face() -> None:
    (reading,) = Analyst(FaceEverywhere(), AlwaysOf(Emotion.HAPPY)).read([frame(noise())])
    assert reading.coverage is Coverage.NO_FACE and reading.faces == 0


def test_the_largest_face_is_the_participants_and_the_others_are_counted() -> None:
    (reading,) = analyst(SOMEWHERE, TINY, TINY).read([frame(noise())])
    assert reading.face == SOMEWHERE and reading.faces == 3


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (180, 320), (640, 480), (17, 901)])
def test_pictures_of_any_size_are_read(size: tuple[int, int]) -> None:
    (reading,) = analyst().read([frame(noise(width=size[0], height=size[1]))])
    assert isinstance(reading.coverage, Coverage)


async def test_the_thinking_happens_off_the_event_loop_and_is_reported_on_it() -> None:
    frames, readings = LatestFrames(Clock(0)), list[Reading]()
    frames.put(frame(noise()))
    with ThreadPoolExecutor(1, "model") as thread:
        async with background(analyse(frames, analyst(), thread, readings.append, batch=8)):
            async with asyncio.timeout(5):
                while not readings:
                    await asyncio.sleep(0.01)
    assert readings[0].coverage is Coverage.OK


async def test_a_failure_of_the_analysis_stops_everything() -> None:
    class Broken(FaceDetector):
        def detect(self, picture: Picture | Image) -> list[Face]:
            raise ValueError("the weights are not what they were")

    frames = LatestFrames(Clock(0))
    frames.put(frame(noise()))
    with ThreadPoolExecutor(1, "model") as thread, pytest.raises(ExceptionGroup):
        broken = Analyst(Broken(), AlwaysOf(Emotion.HAPPY))
        async with background(analyse(frames, broken, thread, lambda reading: None)):
            await asyncio.sleep(5)
