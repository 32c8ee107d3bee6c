"""From a frame to a reading: find the face, judge whether it can be read, cut it out, score it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.crop import crop_face
from model.faces import EmotionClassifier, Face, FaceDetector, Image
from pipeline.coverage import Coverage
from pipeline.frames import Frame, LatestFrames
from pipeline.pixels import Converter, Pixels, stretched


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at one participant showed; scores (7,) float32 only where coverage is `ok`."""

    participant_id: str
    at_ms: int
    coverage: Coverage
    face: Face | None = None
    faces: int = 0
    scores: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a face needs to be readable."""

    smallest_face_pixels: float = 20.0
    darkest_face: float = 25.0
    blurriest_face: float = 3.0


class Analyst:
    """Reads frames. Blocking: it belongs on the model thread."""

    def __init__(self, detector: FaceDetector, classifier: EmotionClassifier, limits: Limits | None = None) -> None:
        self._detector = detector
        self.classifier = classifier
        self._limits = limits or Limits()
        self._converter = Converter()
        self.model = classifier.name

    def read(self, frames: list[Frame]) -> list[Reading]:
        """One reading for each frame, in their order; the readable faces are scored in one batch."""
        pictures = [self._converter.pixels(frame.picture) for frame in frames]
        # no face could be read in a picture darker than this, and many cameras stay black for hours
        lit = [pixels.brightest >= self._limits.darkest_face for pixels in pictures]
        found = iter(self._detector.detect_each([pixels for pixels, is_lit in zip(pictures, lit, strict=True) if is_lit]))
        readings: list[Reading] = []
        crops: list[Image] = []
        for frame, pixels, is_lit in zip(frames, pictures, lit, strict=True):
            faces = next(found) if is_lit else []
            coverage, crop = self._judge(pixels, faces)
            readings.append(Reading(frame.participant_id, frame.at_ms, coverage, faces[0] if faces else None, len(faces)))
            if crop is not None:
                crops.append(crop)
        if not crops:
            return readings
        scores = iter(self.classifier.classify(np.stack(crops)))
        return [_scored(reading, next(scores)) if reading.coverage is Coverage.OK else reading for reading in readings]

    def _judge(self, pixels: Pixels, faces: list[Face]) -> tuple[Coverage, Image | None]:
        """Whether the largest of the faces can be read, and its crop if so."""
        if not faces:
            return Coverage.TOO_DARK if pixels.brightness < self._limits.darkest_face else Coverage.NO_FACE, None
        face, grey = faces[0], pixels.grey
        if face.width * grey.shape[1] < self._limits.smallest_face_pixels:
            return Coverage.FACE_TOO_SMALL, None
        crop = stretched(crop_face(grey, face, self.classifier.size))
        if cv2.mean(crop)[0] < self._limits.darkest_face:
            return Coverage.TOO_DARK, None
        _, deviation = cv2.meanStdDev(cv2.Laplacian(crop, cv2.CV_16S))
        if deviation.item() < self._limits.blurriest_face:
            return Coverage.BLURRED, None
        return Coverage.OK, crop


def _scored(reading: Reading, scores: NDArray[np.float32]) -> Reading:
    return Reading(reading.participant_id, reading.at_ms, reading.coverage, reading.face, reading.faces, scores)


async def analyse(
    frames: LatestFrames,
    analyst: Analyst,
    thread: Executor,
    report: Callable[[Reading], None],
    *,
    batch: int = 32,
    gather_ms: float = 0.0,
) -> None:
    """Read frames in batches, those of the participants who have waited longest first, forever.

    While fewer than `batch` frames wait, it waits for more until the first is `gather_ms` old. Frames read together cost
    less each: code and networks stay in the processor's caches, and the thread wakes up only once.
    """
    loop = asyncio.get_running_loop()
    while True:
        waiting = await frames.take(batch, gather_ms)
        for reading in await loop.run_in_executor(thread, analyst.read, waiting):
            report(reading)
