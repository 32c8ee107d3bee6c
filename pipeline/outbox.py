"""What waits for Redis, in order and up to a bound, and what Redis would have to be told again."""

from collections import OrderedDict
from dataclasses import dataclass
from heapq import heappop, heappush

from pipeline.events import Data, ParticipantJoined, ParticipantLeft

Subject = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Data on its way to Redis, and when it was published."""

    at_ms: int
    data: Data


def subject_of(data: Data) -> Subject:
    """What data tells of, and of whom: the state needs only the latest of each."""
    presence = isinstance(data, ParticipantJoined | ParticipantLeft)
    return "presence" if presence else data.type, getattr(data, "participant", None)


class Outbox:
    """Data in the order it was published, at most `limit`; what falls out is counted in `dropped`.

    The oldest that later data makes up for falls out first, and the oldest of all only where there is none such: after
    a long outage the history has holes, but who is there and how they are read comes out right.
    """

    def __init__(self, limit: int) -> None:
        self.dropped = 0
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
            heappush(self._outdated, self._latest[subject])
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
                heappush(self._outdated, self._first)
        self._keep_to_the_limit()

    def take(self, most: int) -> list[Waiting]:
        """Remove and return the first."""
        return [self._remove(next(iter(self._waiting))) for _ in range(min(most, len(self._waiting)))]

    def _keep_to_the_limit(self) -> None:
        while len(self._waiting) > self._limit:
            self._remove(self._outdated[0] if self._outdated else next(iter(self._waiting)))
            self.dropped += 1

    def _remove(self, number: int) -> Waiting:
        """Remove data that is the first of all, or the first of the outdated."""
        waiting = self._waiting.pop(number)
        if self._outdated and self._outdated[0] == number:
            heappop(self._outdated)
        else:
            del self._latest[subject_of(waiting.data)]
        return waiting


class Told:
    """The latest data of each kind about everybody who is present: what a Redis that lost its data must be told again."""

    def __init__(self) -> None:
        self._people: dict[str, dict[str, Waiting]] = {}

    def __len__(self) -> int:
        return len(self._people)

    def add(self, waiting: Waiting) -> None:
        """Remember data that Redis has acknowledged; who has left is forgotten."""
        kind, participant_id = subject_of(waiting.data)
        if participant_id is None:
            return
        if kind == "presence":
            self._people.pop(participant_id, None)
        if not isinstance(waiting.data, ParticipantLeft):
            person = self._people.setdefault(participant_id, {})
            person.pop(kind, None)  # to the end: several may be of the same millisecond
            person[kind] = waiting

    def in_order(self) -> list[Waiting]:
        """Everything, in the order it was published."""
        return sorted((each for person in self._people.values() for each in person.values()), key=lambda each: each.at_ms)
