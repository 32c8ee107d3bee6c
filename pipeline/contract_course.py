"""Checks whether what a run of the bot says about a person fits what it said about them before."""

from dataclasses import dataclass, field

from pipeline.contract import Problem, TypedEvent, Wrong
from pipeline.coverage import Coverage
from pipeline.events import (
    AttentionCleared,
    AttentionRaised,
    BasisStated,
    ConsentGranted,
    ConsentWithdrawn,
    CoverageChanged,
    EmotionChanged,
    EmotionSample,
    OfParticipant,
    ParticipantJoined,
    ParticipantLeft,
)

MOST_PEOPLE = 10_000
"""People whose course is kept; anybody beyond that is judged without regard to earlier events."""


_NOT_LOOKED_AT = (Coverage.CAMERA_OFF, Coverage.STALLED, Coverage.NOT_CONSENTED, Coverage.UNSUPPORTED_CODEC)


@dataclass(slots=True)
class _Person:
    """What was said about a participant; `is_whole` if they joined and no event of the run has been missing since."""

    is_whole: bool = False
    has_left: bool = False
    consents: bool | None = None
    raised: set[str] = field(default_factory=set)


class Courses:
    """The courses of everybody, each within one run of the bot.

    After a gap, nothing that came before it counts: the missing events may explain the later ones.
    """

    def __init__(self) -> None:
        self._people: dict[tuple[str, str], _Person] = {}
        self._asked: str | None = None  # the run that stated its basis last, if it asks for consent
        self._class_alone: str | None = None  # the run that stated its basis last, if it publishes nothing about one person

    def check(self, event: TypedEvent) -> Problem | None:
        """Take in the next event of a run; returns what does not fit, if anything."""
        data = event.data
        if isinstance(data, BasisStated):
            self._asked = event.epoch if data.consent == "asked" else None
            self._class_alone = event.epoch if data.level == "aggregate" else None
        if not isinstance(data, OfParticipant):
            return None
        if event.epoch == self._class_alone:
            return Problem(Wrong.LEVEL, "$.data.participant", "about one person, though the run publishes the class alone")
        person = self._person(event.epoch, data.participant)
        if _tells_what_was_read(data) and (problem := self._unasked(event.epoch, person)):
            return problem
        if person.has_left and _tells_how_they_are(data):
            return Problem(Wrong.PRESENCE, "$.data.participant", "read after they left, and did not join again")
        match data:
            case ParticipantLeft():
                person.has_left = True
            case ParticipantJoined():
                person.is_whole, person.has_left = True, False
                person.raised.clear()
            case ConsentGranted() | ConsentWithdrawn():
                person.consents = isinstance(data, ConsentGranted)
            case AttentionRaised():
                return _raised(person, data.reason)
            case AttentionCleared():
                return _cleared(person, data.reason)
        return None

    def _unasked(self, epoch: str, person: _Person) -> Problem | None:
        if person.consents is False:
            return Problem(Wrong.CONSENT, "$.data.participant", "read after they withdrew their consent")
        if person.consents is None and person.is_whole and epoch == self._asked:
            return Problem(Wrong.CONSENT, "$.data.participant", "read, and did not consent, though consent is asked for")
        return None

    def missed(self, epoch: str) -> None:
        """Note that events of a run are missing at this point."""
        for key in [key for key in self._people if key[0] == epoch]:
            del self._people[key]
        if epoch == self._class_alone:
            self._class_alone = None

    def _person(self, epoch: str, participant_id: str) -> _Person:
        if len(self._people) >= MOST_PEOPLE:
            return self._people.get((epoch, participant_id), _Person())
        return self._people.setdefault((epoch, participant_id), _Person())


def _tells_how_they_are(data: OfParticipant) -> bool:
    return isinstance(data, EmotionSample | EmotionChanged | CoverageChanged | AttentionRaised)


def _tells_what_was_read(data: OfParticipant) -> bool:
    is_unseen = isinstance(data, CoverageChanged) and data.after in _NOT_LOOKED_AT
    return _tells_how_they_are(data) and not is_unseen


def _raised(person: _Person, reason: str) -> Problem | None:
    if reason in person.raised:
        return Problem(Wrong.ATTENTION, "$.data.reason", "raised again, and not cleared in between")
    person.raised.add(reason)
    return None


def _cleared(person: _Person, reason: str) -> Problem | None:
    if reason not in person.raised and person.is_whole:
        return Problem(Wrong.ATTENTION, "$.data.reason", "cleared, and not raised before")
    person.raised.discard(reason)
    return None
