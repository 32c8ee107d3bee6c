"""Who is in a room and how they are read, kept up to date item by item, and sent to each watcher as changes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dashboard.words import coverage_in_words, presentable
from model.faces import EMOTIONS
from pipeline.coverage import Coverage
from pipeline.events import (
    RESTARTED,
    UNKNOWN,
    AttentionCleared,
    AttentionRaised,
    ConsentWithdrawn,
    CoverageChanged,
    EmotionChanged,
    EmotionSample,
    Label,
    OfParticipant,
    ParticipantJoined,
    ParticipantLeft,
)
from pipeline.room import RoomState
from pipeline.state import ParticipantState, raised_since_ms

MOST_GONE = 1000
"""How many who left are remembered, for watchers that do not know yet; beyond that, every watcher gets the whole board."""

MOST_NEEDING = 5
"""People shown at a time: a list too long to take in at a glance helps nobody."""


@dataclass(slots=True)
class Person:
    """One participant as the page shows them; `version` is that of their last change."""

    id: str
    name: str = ""
    coverage: Coverage = Coverage.CAMERA_OFF
    emotion: Label | None = None
    confidence: float | None = None
    looked_ms: int | None = None
    attention: str | None = None
    attention_since_ms: int | None = None
    epoch: str = ""
    version: int = 0

    def as_json(self) -> dict[str, Any]:
        """What a browser gets; an emotion only while they are seen."""
        seen = self.coverage is Coverage.OK
        return {
            "id": self.id,
            "name": presentable(self.name) or presentable(self.id),
            "coverage": self.coverage,
            "emotion": self.emotion if seen else None,
            "confidence": round(self.confidence, 2) if seen and self.confidence is not None else None,
            "looked_ms": self.looked_ms,
        }


class Board:
    """The people of one room.

    In an `aggregate` room nobody is on it, whatever an earlier class left in Redis.
    """

    def __init__(self) -> None:
        self.version = 0
        self._left: set[str] = set()
        self._epoch = ""
        self._aggregate = False
        self._people: dict[str, Person] = {}
        self._gone: dict[str, int] = {}
        self._began = 0

    @property
    def aggregate(self) -> bool:
        """Whether only the class as a whole is published."""
        return self._aggregate

    @aggregate.setter
    def aggregate(self, yes: bool) -> None:
        if yes != self._aggregate:
            self._aggregate = yes
            self._begin({})

    def begin(self, state: RoomState) -> None:
        """Show a state, and nothing from before."""
        self._left, self._epoch = left_in_this_run(state), newest_epoch(state)
        self._begin({} if self._aggregate else {each.id: _person(each) for each in state.present})

    def in_run(self, epoch: str) -> None:
        """Note which run of the bot an event is from; those who left in an earlier run are no longer counted."""
        if epoch != self._epoch:
            self._left, self._epoch = set(), epoch

    def take(self, data: OfParticipant, epoch: str, at_ms: int) -> None:
        """Take in what happened to one participant at `at_ms`."""
        if self._aggregate:
            return
        self.version += 1
        self.in_run(epoch)
        if isinstance(data, ParticipantLeft):
            self._forget(data)
            return
        self._left.discard(data.participant)
        person = self._people.get(data.participant)
        if person is None or isinstance(data, ParticipantJoined):
            person = self._people[data.participant] = Person(data.participant, epoch=epoch)
            self._gone.pop(data.participant, None)
        _update(person, data, epoch, at_ms)
        person.version = self.version

    @property
    def left(self) -> int:
        """How many have left in the present run of the bot, and have not come back."""
        return len(self._left)

    @property
    def ids(self) -> set[str]:
        """Who is on the board."""
        return set(self._people)

    def erase(self, ids: Iterable[str]) -> bool:
        """Remove people whom Redis no longer knows; returns whether there were any."""
        erased = [who for who in ids if self._people.pop(who, None) is not None]
        if erased:
            self.version += 1
            self._note_gone(erased)
        return bool(erased)

    def counts(self) -> dict[str, Any]:
        """Coverage in words, and how many people show each emotion at present."""
        coverage = Counter(person.coverage for person in self._people.values())
        shown = Counter(str(each.emotion or UNKNOWN) for each in self._people.values() if each.coverage is Coverage.OK)
        return {
            "present": len(self._people),
            "seen": coverage[Coverage.OK],
            "sentence": coverage_in_words(coverage),
            "emotions": {label: shown[label] for label in (*EMOTIONS, UNKNOWN)},
            "left": self.left,
        }

    def needing(self) -> dict[str, Any]:
        """Who may need help: at most `MOST_NEEDING` people, longest waiting first, and how many more there are."""
        raised = [person for person in self._people.values() if person.attention is not None]
        raised.sort(key=lambda person: (person.attention_since_ms or 0, person.id))
        return {
            "people": [
                {
                    "id": person.id,
                    "name": presentable(person.name) or presentable(person.id),
                    "reason": presentable(person.attention or ""),
                    "since_ms": person.attention_since_ms,
                }
                for person in raised[:MOST_NEEDING]
            ],
            "more": max(0, len(raised) - MOST_NEEDING),
        }

    def people_since(self, version: int) -> dict[str, Any]:
        """What a watcher that has seen `version` must be told; `all` if it replaces everything from before."""
        anew = version < self._began
        changed = [person.as_json() for person in self._people.values() if anew or person.version > version]
        gone = [] if anew else [who for who, at_version in self._gone.items() if at_version > version]
        return {"all": anew, "changed": changed, "gone": gone}

    def _begin(self, people: dict[str, Person]) -> None:
        self.version += 1
        self._people, self._gone, self._began = people, {}, self.version

    def _forget(self, left: ParticipantLeft) -> None:
        if self._people.pop(left.participant, None) is None:
            return
        if left.reason != RESTARTED:
            self._left.add(left.participant)
        self._note_gone([left.participant])

    def _note_gone(self, ids: Iterable[str]) -> None:
        self._gone.update(dict.fromkeys(ids, self.version))
        if len(self._gone) > MOST_GONE:
            self._gone, self._began = {}, self.version


def newest_epoch(state: RoomState) -> str:
    """The run of the bot that changed the state last; empty if nothing is known."""
    told = [(each.updated_ms, each.epoch) for each in (*state.participants, state.summary) if each is not None]
    return max(told)[1] if told else ""


def left_in_this_run(state: RoomState) -> set[str]:
    """The ids of those who left in the newest run of the bot, not in earlier classes."""
    epoch = newest_epoch(state)
    gone = [each for each in state.participants if not each.present and each.epoch == epoch]
    gone.sort(key=lambda each: each.sequence)
    # a new run begins by reporting those gone whom the last one left behind: these are its first events, numbered from 1
    return {each.id for number, each in enumerate(gone, 1) if each.sequence != number}


def _person(state: ParticipantState) -> Person:
    return Person(
        id=state.id,
        name=state.name,
        coverage=state.coverage or Coverage.CAMERA_OFF,
        emotion=state.emotion,
        confidence=state.confidence,
        looked_ms=state.at_ms,
        attention=state.attention,
        attention_since_ms=state.attention_since_ms,
        epoch=state.epoch,
    )


def _update(person: Person, data: OfParticipant, epoch: str, at_ms: int) -> None:
    match data:
        case ParticipantJoined():
            person.name = data.name
        case EmotionSample():
            _look(person, data, epoch)
        case EmotionChanged():
            person.emotion = data.after
        case CoverageChanged():
            person.coverage = data.after
        case ConsentWithdrawn():
            person.coverage = Coverage.NOT_CONSENTED
            person.emotion = person.confidence = person.looked_ms = None
            person.attention = person.attention_since_ms = None
        case AttentionRaised():
            person.attention, person.attention_since_ms = data.reason, raised_since_ms(data, at_ms)
        case AttentionCleared():
            person.attention = person.attention_since_ms = None
    person.epoch = epoch


def _look(person: Person, sample: EmotionSample, epoch: str) -> None:
    if person.epoch == epoch and person.looked_ms is not None and sample.at_ms < person.looked_ms:
        return  # older than what is shown; times of different runs cannot be compared
    person.coverage, person.emotion, person.confidence = sample.coverage, sample.emotion, sample.confidence
    person.looked_ms = sample.at_ms
