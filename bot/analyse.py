"""Runs the pipeline on recorded files."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bot.tracks import Looks
from bot.video_files import Picture, decoded
from model.faces import EMOTIONS
from pipeline.analysis import Analyst, Reading
from pipeline.coverage import Coverage
from pipeline.events import UNKNOWN, Data, EmotionSample
from pipeline.frames import Frame
from pipeline.mood import MoodRules, Moods

EVERY_READING = 1e-9
"""A time between samples, in seconds, so short that none is left out."""

PERSON = "person"
"""The id of the one participant in a recording."""

FRAMES_TOGETHER = 4
"""Frames that are read at a time: recorded frames may be large, and reading more together is hardly faster."""


class Timeline:
    """The result of reading a recording, one entry per look."""

    def __init__(self, model: str, rules: MoodRules) -> None:
        every = MoodRules(rules.smoothing_seconds, rules.unknown_below, rules.lead_to_change, rules.dwell_seconds, EVERY_READING)
        self.entries: list[dict[str, Any]] = []
        self._samples: list[EmotionSample] = []
        self._moods = Moods(self._tell, model, every)
        self._moods.joined(PERSON, "", "recorded")

    def add(self, reading: Reading) -> None:
        """Take in one reading."""
        self._samples.clear()
        self._moods.add(reading)
        sample = self._samples[0] if self._samples else None
        self.entries.append(
            {
                "at_ms": reading.at_ms,
                "emotion": sample and str(sample.emotion),
                "confidence": sample and sample.confidence,
                "scores": sample and {str(emotion): score for emotion, score in sample.scores.items()},
                "face": sample and sample.face.model_dump(),
                "faces": reading.faces,
                "coverage": str(reading.coverage),
            }
        )

    def _tell(self, data: Data) -> None:
        if isinstance(data, EmotionSample):
            self._samples.append(data)


def analyse_file(path: Path, analyst: Analyst, rules: MoodRules, looks_per_second: float) -> dict[str, Any]:
    """What the largest face of a recording shows; raises SettingsWrong for a file that is not video.

    `at_ms` counts from the first picture; `seconds` is the time until the last picture ends; `shares` are over the looks whose
    coverage is `ok`.
    """
    timeline = Timeline(analyst.model, rules)
    looking = Looking(decoded(path), looks_per_second)
    looks = iter(looking)
    while frames := list(islice(looks, FRAMES_TOGETHER)):
        for reading in analyst.read(frames):
            timeline.add(reading)
    return {
        "file": os.fsencode(path).decode(errors="replace"),  # on Linux a file name need not be valid text
        "seconds": round(looking.seconds, 3),
        "looks": len(timeline.entries),
        "coverage": fractions(entry["coverage"] for entry in timeline.entries),
        "shares": shares(entry["emotion"] for entry in timeline.entries if entry["coverage"] == Coverage.OK),
        "timeline": timeline.entries,
    }


class Looking:
    """Yields those frames of a recording that are due for a look; `seconds` is how much of the recording has gone by."""

    def __init__(self, pictures: Iterable[Picture], looks_per_second: float) -> None:
        self.seconds = 0.0
        self._pictures = pictures
        self._looks = Looks(1000 / looks_per_second)

    def __iter__(self) -> Iterator[Frame]:
        for picture in self._pictures:
            self.seconds = picture.until_seconds
            at_ms = round(picture.at_seconds * 1000)
            if self._looks.due(at_ms):
                yield Frame(PERSON, at_ms, picture.upright())


def fractions(states: Iterable[str]) -> dict[str, float]:
    """The share of each value among all values; empty if there are none."""
    counts = Counter(states)
    return {state: round(count / counts.total(), 4) for state, count in counts.most_common()}


def shares(labels: Iterable[str]) -> dict[str, float]:
    """The share of each of the seven emotions and `unknown` among the labels; empty if there are none."""
    found = fractions(labels)
    return {label: found.get(label, 0.0) for label in (*map(str, EMOTIONS), UNKNOWN)} if found else {}
