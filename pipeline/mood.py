"""From readings of single frames to a steady mood: smoothing, hysteresis and a minimum dwell."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.faces import EMOTIONS, Face
from pipeline.analysis import Reading
from pipeline.coverage import Coverage
from pipeline.events import (
    UNKNOWN,
    ConsentGranted,
    ConsentWithdrawn,
    CoverageChanged,
    Data,
    EmotionChanged,
    EmotionSample,
    FaceBox,
    Label,
    ParticipantJoined,
    ParticipantLeft,
)
from pipeline.valence import valence


@dataclass(frozen=True, slots=True)
class MoodRules:
    """When a reading counts as a change."""

    smoothing_seconds: float = 1.5
    unknown_below: float = 0.4
    lead_to_change: float = 0.1
    dwell_seconds: float = 1.0
    sample_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Mood:
    """How one participant is read at present; emotion and valence (of the smoothed scores) are None if they are not read."""

    participant_id: str
    at_ms: int
    coverage: Coverage
    emotion: Label | None
    confidence: float
    valence: float | None = None


@dataclass(slots=True)
class _Person:
    """What is remembered of one participant between two readings."""

    coverage: Coverage | None = None
    scores: NDArray[np.float32] | None = None
    scored_ms: int = 0
    emotion: Label | None = None
    challenger: Label | None = None
    challenged_ms: int = 0
    sampled_ms: int | None = None
    at_ms: int = 0


@dataclass
class Moods:
    """The moods of everybody in a room; reports each change as the data of an event."""

    tell: Callable[[Data], None]
    model: str
    rules: MoodRules = field(default_factory=MoodRules)
    show: Callable[[Mood], None] = lambda mood: None
    _people: dict[str, _Person] = field(default_factory=dict)

    def joined(self, participant_id: str, name: str, reason: str) -> None:
        """Somebody came; a second call for the same participant does nothing."""
        if participant_id not in self._people:
            self._people[participant_id] = _Person()
            self.tell(ParticipantJoined(participant=participant_id, name=name, reason=reason))

    def left(self, participant_id: str, reason: str) -> None:
        """Somebody left; what was remembered about them is forgotten."""
        if self._people.pop(participant_id, None) is not None:
            self.tell(ParticipantLeft(participant=participant_id, reason=reason))

    def consented(self, participant_id: str, source: str) -> None:
        """A participant agreed to be read."""
        if participant_id in self._people:
            self.tell(ConsentGranted(participant=participant_id, source=source))

    def withdrew(self, participant_id: str, at_ms: int, source: str) -> None:
        """A participant no longer agrees; what was remembered about their face is forgotten."""
        person = self._people.get(participant_id)
        if person is not None:
            self._people[participant_id] = _Person(person.coverage)
            self.tell(ConsentWithdrawn(participant=participant_id, source=source))
            self.unseen(participant_id, at_ms, Coverage.NOT_CONSENTED)

    def unseen(self, participant_id: str, at_ms: int, coverage: Coverage) -> None:
        """A participant cannot be read at present, for the reason that `coverage` gives."""
        person = self._people.get(participant_id)
        if person is not None:
            person.at_ms = at_ms
            person.challenger = None  # nobody knows what led while nothing was seen
            self._cover(participant_id, person, coverage)
            self.show(self._mood(participant_id, person))

    def add(self, reading: Reading) -> None:
        """Take in one reading; it is ignored if the participant has left meanwhile."""
        person = self._people.get(reading.participant_id)
        if person is None:
            return
        if reading.face is None or reading.scores is None:
            self.unseen(reading.participant_id, reading.at_ms, reading.coverage)
            return
        person.at_ms = reading.at_ms
        self._cover(reading.participant_id, person, reading.coverage)
        self._smooth(person, reading.scores, reading.at_ms)
        self._choose(reading.participant_id, person, reading.at_ms)
        self._sample(person, reading, reading.face)
        self.show(self._mood(reading.participant_id, person))

    def present(self) -> list[Mood]:
        """The mood of everybody in the room, in the order they came."""
        return [self._mood(participant_id, person) for participant_id, person in self._people.items()]

    def _mood(self, participant_id: str, person: _Person) -> Mood:
        coverage = person.coverage or Coverage.CAMERA_OFF
        if coverage is not Coverage.OK or person.scores is None:
            return Mood(participant_id, person.at_ms, coverage, None, 0.0)
        pleasant = valence(dict(zip(EMOTIONS, map(float, person.scores), strict=True)))
        return Mood(participant_id, person.at_ms, coverage, person.emotion, float(person.scores.max()), pleasant)

    def _cover(self, participant_id: str, person: _Person, coverage: Coverage) -> None:
        if coverage is not person.coverage:
            self.tell(CoverageChanged(participant=participant_id, before=person.coverage, after=coverage))
            person.coverage = coverage

    def _smooth(self, person: _Person, scores: NDArray[np.float32], at_ms: int) -> None:
        """Exponential smoothing by elapsed time, so that the rate of looks does not change the result."""
        elapsed = max(0, at_ms - person.scored_ms) / 1000
        person.scored_ms = at_ms
        if person.scores is None or self.rules.smoothing_seconds == 0:
            person.scores = scores
        else:
            weight = -math.expm1(-elapsed / self.rules.smoothing_seconds)
            person.scores = person.scores + np.float32(weight) * (scores - person.scores)

    def _choose(self, participant_id: str, person: _Person, at_ms: int) -> None:
        """Change the emotion once another has led by the margin for the dwell."""
        leader = self._leader(person)
        if leader == person.emotion:
            person.challenger = None
            return
        if leader != person.challenger:
            person.challenger, person.challenged_ms = leader, at_ms
        if person.emotion is None or at_ms - person.challenged_ms >= self.rules.dwell_seconds * 1000:
            self.tell(
                EmotionChanged(participant=participant_id, before=person.emotion, after=leader, since_ms=person.challenged_ms)
            )
            person.emotion, person.challenger = leader, None

    def _leader(self, person: _Person) -> Label:
        """The strongest emotion, or `unknown`; the present one stays unless another leads it by the margin."""
        assert person.scores is not None
        best = EMOTIONS[int(person.scores.argmax())]
        confidence = float(person.scores.max())
        if confidence < self.rules.unknown_below:
            return UNKNOWN
        if person.emotion is None or person.emotion == UNKNOWN:
            return best
        present = float(person.scores[EMOTIONS.index(person.emotion)])
        return best if confidence - present >= self.rules.lead_to_change else person.emotion

    def _sample(self, person: _Person, reading: Reading, face: Face) -> None:
        every = self.rules.sample_seconds * 1000
        if not every or (person.sampled_ms is not None and 0 <= reading.at_ms - person.sampled_ms < every * 0.9):
            return
        assert person.scores is not None and person.emotion is not None
        person.sampled_ms = reading.at_ms
        confidence = float(person.scores.max())
        self.tell(
            EmotionSample(
                participant=reading.participant_id,
                at_ms=reading.at_ms,
                emotion=person.emotion,
                confidence=round(confidence, 4),
                scores={emotion: round(float(score), 4) for emotion, score in zip(EMOTIONS, person.scores, strict=True)},
                face=FaceBox(x=round(face.x, 4), y=round(face.y, 4), width=round(face.width, 4), height=round(face.height, 4)),
                faces=reading.faces,
                coverage=Coverage.OK,
                model=self.model,
            )
        )
