"""What waits for Redis, in order and up to a bound, and what Redis would have to be told again."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from pipeline.events import (
    AUDITED,
    AttentionCleared,
    AttentionRaised,
    BasisStated,
    ConsentGranted,
    ConsentWithdrawn,
    CoverageChanged,
    Data,
    EmotionChanged,
    EmotionSample,
    ParticipantJoined,
    ParticipantLeft,
)

READING = EmotionSample | EmotionChanged | CoverageChanged | AttentionRaised | AttentionCleared
"""What comes of looking at a person."""

Subject = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Data on its way to Redis, and when it was published."""

    at_ms: int
    data: Data


def subject_of(data: Data) -> Subject:
    """What data tells of, and of whom: the state needs only the latest of each."""
    return _kind(data), getattr(data, "participant", None)


def _kind(data: Data) -> str:
    match data:
        case ParticipantJoined() | ParticipantLeft():
            return "presence"
        case ConsentGranted() | ConsentWithdrawn():
            return "consent"
        case AttentionRaised() | AttentionCleared():
            return "attention"
        case _:
            return data.type


class Outbox:
    """Data in the order it was published, at most `limit`; what falls out is counted in `dropped`.

    The oldest that later data makes up for falls out first, and the oldest of all only where there is none such: after
    a long outage the history has holes, but who is there and how they are read comes out right. What is audited stays
    as long as anything does that later data makes up for. What was `discarded` for the sake of a person is counted
    apart: nothing was lost.
    """

    def __init__(self, limit: int) -> None:
        self.dropped = self.discarded = 0
        self._limit = limit
        self._waiting: OrderedDict[int, Waiting] = OrderedDict()
        self._latest: dict[Subject, int] = {}
        self._outdated: list[int] = []  # a heap of the numbers in _waiting that later data makes up for
        self._first = self._next = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, waiting: Waiting) -> None:
        """Add data behind what waits."""
        subject, number = subject_of(waiting.data), self._next
        if subject in self._latest:
            self._outdate(self._latest[subject])
        self._waiting[number] = waiting
        self._latest[subject] = number
        self._next += 1
        self._keep_to_the_limit()

    def put_back(self, earlier: list[Waiting]) -> None:
        """Add data before what waits."""
        for waiting in reversed(earlier):
            subject = subject_of(waiting.data)
            self._first -= 1
            self._waiting[self._first] = waiting
            self._waiting.move_to_end(self._first, last=False)
            if self._latest.setdefault(subject, self._first) != self._first:
                self._outdate(self._first)
        self._keep_to_the_limit()

    def take(self, most: int) -> list[Waiting]:
        """Remove and return the first."""
        return [self._remove(next(iter(self._waiting))) for _ in range(min(most, len(self._waiting)))]

    def discard_withdrawn(self) -> None:
        """Take out what was read of anybody before a withdrawal of their consent that waits too."""
        kept = list(_without_the_withdrawn(reversed(self._waiting.values())))[::-1]
        self.discarded += len(self._waiting) - len(kept)
        self._waiting.clear()
        self._latest.clear()
        self._outdated.clear()
        for each in kept:
            self.put(each)

    def _outdate(self, number: int) -> None:
        if not isinstance(self._waiting[number].data, AUDITED):
            heappush(self._outdated, number)

    def _keep_to_the_limit(self) -> None:
        while len(self._waiting) > self._limit:
            self._remove(self._outdated[0] if self._outdated else next(iter(self._waiting)))
            self.dropped += 1

    def _remove(self, number: int) -> Waiting:
        """Remove data that is the first of all, or the first of the outdated."""
        waiting = self._waiting.pop(number)
        if self._outdated and self._outdated[0] == number:
            heappop(self._outdated)
        elif self._latest[subject := subject_of(waiting.data)] == number:
            del self._latest[subject]
        return waiting


def _without_the_withdrawn(newest_first: Iterable[Waiting]) -> Iterator[Waiting]:
    withdrawn = set()
    for waiting in newest_first:
        if isinstance(waiting.data, ConsentWithdrawn):
            withdrawn.add(waiting.data.participant)
        if not (isinstance(waiting.data, READING) and waiting.data.participant in withdrawn):
            yield waiting


class Told:
    """What a Redis that lost its data must be told again: the basis, and the latest of each kind about who is present."""

    def __init__(self) -> None:
        self._people: dict[str, dict[str, Waiting]] = {}
        self._basis: list[Waiting] = []

    def __len__(self) -> int:
        return len(self._people)

    def add(self, waiting: Waiting) -> None:
        """Remember data that Redis has acknowledged; who has left is forgotten, and what was read of who withdrew."""
        kind, participant_id = subject_of(waiting.data)
        if isinstance(waiting.data, BasisStated):
            self._basis = [waiting]
        if participant_id is None:
            return
        if kind == "presence":
            self._people.pop(participant_id, None)
        if not isinstance(waiting.data, ParticipantLeft):
            self._add_of(self._people.setdefault(participant_id, {}), kind, waiting)

    def _add_of(self, person: dict[str, Waiting], kind: str, waiting: Waiting) -> None:
        if isinstance(waiting.data, ConsentWithdrawn):
            for each in [each for each, told in person.items() if isinstance(told.data, READING)]:
                del person[each]
        person.pop(kind, None)  # to the end: several may be of the same millisecond
        person[kind] = waiting

    def in_order(self) -> list[Waiting]:
        """Everything, in the order it was published."""
        of_people = (each for person in self._people.values() for each in person.values())
        return sorted([*self._basis, *of_people], key=lambda each: each.at_ms)
