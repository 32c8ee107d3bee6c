"""A class without cameras: students whose faces, cameras and moods follow a seeded script, looked at as the bot does."""

import random
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from model.faces import EMOTIONS, Emotion
from pipeline.analysis import Reading
from pipeline.coverage import Coverage
from pipeline.mood import Moods
from tests.fakes import SOMEWHERE

MOOD_SECONDS = 30.0
SEEN_SECONDS = 120.0
UNSEEN_SECONDS = 15.0
"""Mean durations (exponentially distributed) of showing one emotion, of being seen, and of then not being seen."""

SHOWN = (Emotion.NEUTRAL,) * 6 + (Emotion.HAPPY,) * 2 + (Emotion.SAD, Emotion.SURPRISE, Emotion.ANGRY)
UNSEEN = (Coverage.NO_FACE, Coverage.NO_FACE, Coverage.CAMERA_OFF, Coverage.TOO_DARK)


class ScriptedStudent:
    """One student's script, with its own seed."""

    def __init__(self, number: int, at_ms: int) -> None:
        self.id = f"{number:02d}-student-id"  # as long as the local room's ids
        self.name = f"Student Number {number}"
        self._random = random.Random(number)
        self._noise = np.random.default_rng(number)
        self._emotion = self._random.choice(SHOWN)
        self._coverage = Coverage.OK
        self._mood_until_ms = self._from(at_ms, MOOD_SECONDS)
        self._coverage_until_ms = self._from(at_ms, SEEN_SECONDS)

    def reading(self, at_ms: int) -> Reading:
        """What one look shows."""
        self._go_on(at_ms)
        if self._coverage is not Coverage.OK:
            return Reading(self.id, at_ms, self._coverage, None, 0, None)
        return Reading(self.id, at_ms, Coverage.OK, SOMEWHERE, 1, self._scores())

    def _go_on(self, at_ms: int) -> None:
        if at_ms >= self._mood_until_ms:
            self._emotion, self._mood_until_ms = self._random.choice(SHOWN), self._from(at_ms, MOOD_SECONDS)
        if at_ms >= self._coverage_until_ms:
            was_seen = self._coverage is Coverage.OK
            self._coverage = self._random.choice(UNSEEN) if was_seen else Coverage.OK
            self._coverage_until_ms = self._from(at_ms, UNSEEN_SECONDS if was_seen else SEEN_SECONDS)

    def _from(self, at_ms: int, mean_seconds: float) -> int:
        return at_ms + round(self._random.expovariate(1 / mean_seconds) * 1000)

    def _scores(self) -> NDArray[np.float32]:
        """A softmax over noise in which the shown emotion stands out."""
        weights = np.exp(self._noise.normal(0, 0.7, len(EMOTIONS)) + 2.5 * (np.array(EMOTIONS) == self._emotion))
        scores: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
        return scores


class ScriptedClass:
    """Students who have joined and are looked at in turn."""

    def __init__(self, moods: Moods, students: int, at_ms: int) -> None:
        self.students = [ScriptedStudent(number, at_ms) for number in range(students)]
        self._moods = moods
        for student in self.students:
            moods.joined(student.id, student.name, "published")

    def looks(self, at_ms: int, batch: int) -> Iterator[None]:
        """One look at everybody, pausing after each batch, as the model thread does."""
        for number, student in enumerate(self.students, 1):
            self._moods.add(student.reading(at_ms))
            if number % batch == 0 or number == len(self.students):
                yield
