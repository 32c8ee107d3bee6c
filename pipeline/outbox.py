"""What waits to be sent to Redis, in order and up to a limit, and what to send again if Redis loses its data."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from pipeline.events import (
    AUDITED,
    RESTARTED,
    AttentionCleared,
    AttentionRaised,
    BasisStated,
    BotStatus,
    ConsentGranted,
    ConsentWithdrawn,
    CoverageChanged,
    Data,
    EmotionChanged,
    EmotionSample,
    ParticipantJoined,
    ParticipantLeft,
    Summary,
)

READING = EmotionSample | EmotionChanged | CoverageChanged | AttentionRaised | AttentionCleared
"""Data that comes from looking at a person."""

COMES_AGAIN = EmotionSample | Summary | BotStatus
"""What is published again and again, whether or not anything has changed."""

MOST_ENDED = 10_000
"""How many people who left, and how many who withdrew their consent, are remembered at most."""

Subject = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Data on its way to Redis, and when it was published; `again_ms` is when it was queued again, if it was."""

    at_ms: int
    data: Data
    again_ms: int | None = None

    @property
    def told_ms(self) -> int:
        """The time of its event."""
        return self.at_ms if self.again_ms is None else self.again_ms


def subject_of(data: Data) -> Subject:
    """What the data is about, and whom: the state needs only the latest of each."""
    return _kind(data), getattr(data, "participant", None)


def _kind(data: Data) -> str:
    match data:
        case ParticipantJoined() | ParticipantLeft():
            return "presence"
        case ConsentGranted() | ConsentWithdrawn():
            return "consent"
        case AttentionRaised() | AttentionCleared():
            return f"attention {data.reason}"  # each reason is cleared separately
        case _:
            return data.type


class Outbox:
    """Data in the order it was published, at most `limit` items; those beyond that are dropped and counted in `dropped`.

    The oldest item that later data supersedes is dropped first: after a long outage the history has holes, but who is there
    and how they are read comes out right. Audited data does not count as superseded there. If nothing is superseded, what
    comes again by itself is dropped, then what else was read of people, then consent that the same person has changed since,
    so that who left and who withdrew their consent goes last. What goes because a person withdrew their consent is counted
    separately, in `discarded`, since it is not a loss.
    """

    def __init__(self, limit: int) -> None:
        self.dropped = self.discarded = 0
        self._limit = limit
        self._waiting: OrderedDict[int, Waiting] = OrderedDict()
        self._latest: dict[Subject, int] = {}
        self._outdated: list[int] = []  # a heap of the numbers in _waiting that later data supersedes
        self._first = self._next = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiting]:
        """What waits, in order."""
        return iter(self._waiting.values())

    def put(self, waiting: Waiting) -> None:
        """Add data after what waits."""
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

    @property
    def oldest_ms(self) -> int | None:
        """The time of the first item; None if nothing waits."""
        return next(iter(self._waiting.values())).told_ms if self._waiting else None

    def take(self, most: int) -> list[Waiting]:
        """Remove and return the first items, at most `most`."""
        return [self._remove(next(iter(self._waiting))) for _ in range(min(most, len(self._waiting)))]

    def discard_withdrawn(self) -> None:
        """Remove what was read of anybody before they withdrew their consent, if that withdrawal waits too."""
        kept = list(_without_the_withdrawn(list(self._waiting.values())))
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
            self._remove(self._outdated[0] if self._outdated else self._least_needed())
            self.dropped += 1

    def _least_needed(self) -> int:
        """The number of what is dropped where nothing is outdated: a search, for a limit that is too small for the room."""
        for kind in (COMES_AGAIN, READING):
            for number, waiting in self._waiting.items():
                if isinstance(waiting.data, kind):
                    return number
        changed_since = (number for number, each in self._waiting.items() if self._latest[subject_of(each.data)] != number)
        return next(changed_since, next(iter(self._waiting)))

    def _remove(self, number: int) -> Waiting:
        """Remove the first of all, the first of the outdated, or, if nothing is outdated, anything."""
        waiting = self._waiting.pop(number)
        if self._outdated and self._outdated[0] == number:
            heappop(self._outdated)
        elif self._latest[subject := subject_of(waiting.data)] == number:
            del self._latest[subject]
        return waiting


def _without_the_withdrawn(everything: Sequence[Waiting]) -> Iterator[Waiting]:
    """Leave out what was read before a withdrawal, except the end of attention that was raised before all that waits."""
    withdrawn = {
        each.data.participant: number for number, each in enumerate(everything) if isinstance(each.data, ConsentWithdrawn)
    }
    unheard: set[tuple[str, str]] = set()
    for number, waiting in enumerate(everything):
        data = waiting.data
        is_taken_back = isinstance(data, READING) and number < withdrawn.get(data.participant, 0)
        if isinstance(data, AttentionCleared):  # if its raising was sent, its end must be too
            is_taken_back = (data.participant, data.reason) in unheard
            unheard.discard((data.participant, data.reason))
        elif isinstance(data, AttentionRaised) and is_taken_back:
            unheard.add((data.participant, data.reason))
        if not is_taken_back:
            yield waiting


class Told:
    """What to tell a Redis that lost its data: the basis, and the latest of each kind about everybody who is present.

    It also remembers who left and who withdrew their consent, for `kept_ms` and at most `MOST_ENDED` of each: a Redis that
    went back to an older state still has them as present, or as people who may be read.
    """

    def __init__(self, kept_ms: int) -> None:
        self._kept_ms = kept_ms
        self._people: dict[str, dict[str, Waiting]] = {}
        self._basis: list[Waiting] = []
        self._left: OrderedDict[str, Waiting] = OrderedDict()
        self._withdrew: OrderedDict[str, Waiting] = OrderedDict()

    def __len__(self) -> int:
        return len(self._people)

    def add(self, waiting: Waiting) -> None:
        """Remember data that Redis has acknowledged; leaving replaces all about a person, a withdrawal what was read of them."""
        kind, participant_id = subject_of(waiting.data)
        self._forget_before(waiting.at_ms - self._kept_ms)
        if isinstance(waiting.data, BasisStated):
            self._basis = [waiting]
        if participant_id is None:
            return
        if kind == "presence":
            self._people.pop(participant_id, None)
        if isinstance(waiting.data, ParticipantJoined):
            self._left.pop(participant_id, None)
        if isinstance(waiting.data, ConsentWithdrawn):
            _remember(self._withdrew, participant_id, waiting)
        if isinstance(waiting.data, ParticipantLeft):
            _remember(self._left, participant_id, waiting)
        else:
            self._add_of(self._people.setdefault(participant_id, {}), kind, waiting)

    def _forget_before(self, at_ms: int) -> None:
        for ended in (self._left, self._withdrew):
            while ended and next(iter(ended.values())).at_ms < at_ms:
                ended.popitem(last=False)

    def _add_of(self, person: dict[str, Waiting], kind: str, waiting: Waiting) -> None:
        if isinstance(waiting.data, ConsentWithdrawn):
            for each in [each for each, told in person.items() if isinstance(told.data, READING)]:
                del person[each]
        person.pop(kind, None)  # so that it moves to the end: several may be of the same millisecond
        if not isinstance(waiting.data, AttentionCleared):  # where nothing is raised there is nothing to clear
            person[kind] = waiting

    def in_order(self) -> list[Waiting]:
        """The basis and everything about those present, in the order it was published."""
        of_people = (each for person in self._people.values() for each in person.values())
        return sorted([*self._basis, *of_people], key=lambda each: each.at_ms)

    def undone(self, participant_id: str, is_present: bool, has_withdrawn: bool, at_ms: int) -> list[Waiting]:
        """What ended for a participant whom Redis still has in this state, to be told before everything `in_order`.

        Somebody about whom nothing is known here is from an earlier run, and left with it.
        """
        is_gone, withdrawal = participant_id not in self._people, self._withdrew.get(participant_id)
        is_told_anyway = withdrawal is self._people.get(participant_id, {}).get("consent")
        undone = [] if withdrawal is None or is_told_anyway or has_withdrawn else [withdrawal]
        if is_gone and (is_present or undone):  # a withdrawal alone would bring them back
            restarted = Waiting(at_ms, ParticipantLeft(participant=participant_id, reason=RESTARTED))
            undone.append(self._left.get(participant_id, restarted))
        return undone


def _remember(ended: OrderedDict[str, Waiting], participant_id: str, waiting: Waiting) -> None:
    known = ended.get(participant_id)
    if known is None or known.data is not waiting.data:  # otherwise it was told again and keeps its age
        ended.pop(participant_id, None)
    ended[participant_id] = waiting
    if len(ended) > MOST_ENDED:
        ended.popitem(last=False)
