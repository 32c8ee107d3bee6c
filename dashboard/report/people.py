"""The participants of a class, by their own time: how long each was there, could be read, and showed which emotion."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dashboard.report.model import Attention, Person
from model.faces import EMOTIONS
from pipeline.coverage import Coverage
from pipeline.events import (
    UNKNOWN,
    AttentionCleared,
    AttentionRaised,
    ConsentGranted,
    ConsentWithdrawn,
    CoverageChanged,
    Data,
    EmotionChanged,
    EmotionSample,
    Label,
    OfParticipant,
    ParticipantJoined,
    ParticipantLeft,
)
from pipeline.valence import valence

MOST_PEOPLE = 2000
"""Participants who are kept apart; events of any others are only counted."""

MOST_ATTENTION = 1000

LEAST_KNOWN_SECONDS = 60
"""Known time below which a participant's shares are not reported."""


@dataclass(slots=True)
class Participant:
    """One participant's totals, in milliseconds of lesson time, and their current state."""

    number: int
    name: str = ""
    is_here: bool = False
    coverage: Coverage | None = None
    emotion: Label | None = None
    since_ms: int = 0
    by_coverage: Counter[Coverage] = field(default_factory=Counter)
    by_emotion: Counter[Label] = field(default_factory=Counter)
    changes: int = 0

    def hold(self, from_ms: int, to_ms: int) -> None:
        """Add the time since the last change, as far as it lies in the stretch, to the state that held during it."""
        lasted = max(0, to_ms - max(self.since_ms, from_ms)) if self.is_here else 0
        if lasted:
            self.by_coverage[self.coverage or Coverage.CAMERA_OFF] += lasted
        if lasted and self.coverage is Coverage.OK:
            self.by_emotion[self.emotion or UNKNOWN] += lasted
        self.since_ms = max(self.since_ms, to_ms)

    def person(self, label: str) -> Person:
        """Their row in the report."""
        seconds = {emotion: self.by_emotion[emotion] / 1000 for emotion in EMOTIONS}
        known = sum(seconds.values())
        shares = {emotion: each / known for emotion, each in seconds.items()} if known >= LEAST_KNOWN_SECONDS else None
        return Person(
            label=label,
            attended_seconds=self.by_coverage.total() / 1000,
            seen_seconds=self.by_coverage[Coverage.OK] / 1000,
            known_seconds=known,
            changes=self.changes,
            coverage={state: lasted / 1000 for state, lasted in self.by_coverage.items()},
            shares=shares,
            valence=None if shares is None else max(-1.0, min(1.0, valence(shares))),
        )


@dataclass(slots=True)
class Raised:
    """A call for attention, which may still be open."""

    at_ms: int
    participant_id: str
    reason: str
    for_seconds: float
    cleared: bool = False

    def end(self, at_ms: int) -> None:
        """Clear it, if still open, without an event that says so: its reason held until now."""
        if not self.cleared:
            self.for_seconds, self.cleared = self.lasted(at_ms), True

    def lasted(self, to_ms: int) -> float:
        """For how many seconds the reason had held by `to_ms`."""
        return self.for_seconds if self.cleared else self.for_seconds + max(0, to_ms - self.at_ms) / 1000


class Everybody:
    """The participants of a class as its events come in; time before `from_ms` is not counted.

    Those in `withdrawn` withdrew their consent in an earlier class, and stay out until they agree again.
    """

    def __init__(self, from_ms: int, withdrawn: Iterable[str] = ()) -> None:
        self.from_ms = from_ms
        self.by_id: dict[str, Participant] = {}
        self.raised: list[Raised] = []
        self.left_out = 0
        self._came = 0
        self.withdrawn = set(withdrawn)

    def add(self, at_ms: int, data: Data) -> None:
        """Take in what an event says of somebody."""
        match data:
            case ConsentWithdrawn():
                self._forget(data.participant)
            case ConsentGranted():
                self.withdrawn.discard(data.participant)
            case _ if isinstance(data, OfParticipant) and data.participant in self.withdrawn:
                pass  # the bot still reports that they are there, unread
            case ParticipantLeft():
                self._leave(at_ms, data.participant)
            case AttentionRaised() | AttentionCleared():
                self._attention(at_ms, data)
            case ParticipantJoined() | CoverageChanged() | EmotionChanged() | EmotionSample():
                self._be(at_ms, data)

    def pause(self, from_ms: int, to_ms: int) -> None:
        """Count nothing from one moment to the other: nobody was watching."""
        for participant in self.by_id.values():
            participant.hold(self.from_ms, from_ms)
            participant.since_ms = max(participant.since_ms, to_ms)

    def end(self, at_ms: int) -> None:
        """Let everybody leave because the class ends; calls for attention stay open if they were open at the end."""
        for participant in self.by_id.values():
            participant.hold(self.from_ms, at_ms)
            participant.is_here = False

    def begin_run(self, last_ms: int) -> None:
        """Let everybody leave because a new run of the bot knows nobody; the previous run was last heard of at `last_ms`."""
        self.end(last_ms)
        for each in self.raised:
            each.end(last_ms)

    def _be(self, at_ms: int, data: ParticipantJoined | CoverageChanged | EmotionChanged | EmotionSample) -> None:
        who = self._known(data.participant)
        if who is None:
            return
        if not who.is_here:
            who.is_here, who.since_ms, who.coverage, who.emotion = True, at_ms, None, None
        match data:
            case ParticipantJoined():
                who.name = data.name
            case CoverageChanged() if data.after != who.coverage:
                who.hold(self.from_ms, at_ms)
                who.coverage = data.after
            case EmotionChanged():
                who.hold(self.from_ms, at_ms)
                who.emotion = data.after
                who.changes += data.before is not None and at_ms >= self.from_ms
            case EmotionSample() if (data.coverage, data.emotion) != (who.coverage, who.emotion):
                who.hold(self.from_ms, at_ms)
                who.coverage, who.emotion = data.coverage, data.emotion

    def _known(self, participant_id: str) -> Participant | None:
        if participant_id not in self.by_id:
            if len(self.by_id) >= MOST_PEOPLE:
                self.left_out += 1
                return None
            self._came += 1
            self.by_id[participant_id] = Participant(self._came)
        return self.by_id[participant_id]

    def _leave(self, at_ms: int, participant_id: str) -> None:
        who = self.by_id.get(participant_id)
        if who is not None:
            who.hold(self.from_ms, at_ms)
            who.is_here = False
        for each in self.raised:
            if each.participant_id == participant_id:
                each.end(at_ms)

    def _forget(self, participant_id: str) -> None:
        # even if they are unknown here: earlier events may have been erased, and later ones still report that they are there
        self.withdrawn.add(participant_id)
        self.by_id.pop(participant_id, None)
        self.raised = [each for each in self.raised if each.participant_id != participant_id]

    def _attention(self, at_ms: int, data: AttentionRaised | AttentionCleared) -> None:
        if isinstance(data, AttentionRaised):
            self._keep_raised(Raised(at_ms, data.participant, data.reason, data.for_seconds))
            return
        for each in reversed(self.raised):
            if (each.participant_id, each.reason, each.cleared) == (data.participant, data.reason, False):
                each.for_seconds, each.cleared = data.for_seconds, True
                return

    def _keep_raised(self, raised: Raised) -> None:
        if len(self.raised) < MOST_ATTENTION:
            self.raised.append(raised)
        else:
            self.left_out += 1

    def attention(self, from_ms: int, to_ms: int, labels: dict[str, str]) -> tuple[Attention, ...]:
        """The calls within a stretch, in order of time, with the participants' labels; those still open last until `to_ms`."""
        return tuple(
            Attention(
                at_seconds=(each.at_ms - from_ms) / 1000,
                participant=labels.get(each.participant_id, ""),
                reason=each.reason,
                for_seconds=each.lasted(to_ms),
                cleared=each.cleared,
            )
            for each in self.raised
            if from_ms <= each.at_ms <= to_ms
        )
