"""Who may need the teacher: a short list, judged by each person's own usual and by what the rest of the class does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from pipeline.coverage import Coverage
from pipeline.events import AttentionCleared, AttentionRaised, ConsentWithdrawn, Data, ParticipantLeft
from pipeline.mood import Mood
from pipeline.usual import Usual

NO_LONGER_KNOWN_SECONDS = 30.0
"""Time out of sight after which a change seen earlier says nothing about the present."""

_NOT_TO_BE_WATCHED = (Coverage.NOT_CONSENTED, Coverage.UNSUPPORTED_CODEC)


class Reason(StrEnum):
    """Why attention is raised, in words that judge nobody."""

    CHANGED = "changed"
    NOT_VISIBLE = "not_visible"


@dataclass(frozen=True, slots=True)
class AttentionRules:
    """When attention is raised; `valence_fall` on valence's scale from -1 to 1."""

    changed_seconds: float = 90.0
    not_visible_seconds: float = 180.0
    observation_seconds: float = 120.0
    baseline_seconds: float = 600.0
    valence_fall: float = 0.4
    cooldown_seconds: float = 300.0
    most: int = 5

    def needed_seconds(self, reason: Reason) -> float:
        """How long a reason must hold."""
        return self.changed_seconds if reason is Reason.CHANGED else self.not_visible_seconds


@dataclass(slots=True)
class _Spell:
    """A period during which a reason holds."""

    since_ms: int
    is_raised: bool = False


@dataclass(slots=True)
class _Person:
    """What is remembered of one participant between two looks; `visible_ms` is when they were seen last."""

    usual: Usual
    visible_ms: int
    is_visible: bool = False
    spells: dict[Reason, _Spell] = field(default_factory=dict)
    ended_ms: dict[Reason, int] = field(default_factory=dict)

    @property
    def is_listed(self) -> bool:
        return any(spell.is_raised for spell in self.spells.values())

    def see(self, mood: Mood, at_ms: int) -> None:
        was_visible, self.is_visible = self.is_visible, mood.valence is not None
        if mood.valence is not None:
            elapsed_seconds = max(0, at_ms - self.visible_ms) / 1000 if was_visible else 0.0
            self.usual.see(mood.valence, elapsed_seconds, is_changed=Reason.CHANGED in self.spells)
            self.visible_ms = at_ms


class Attention:
    """Raises attention for a few people, and clears it once the reason is gone.

    A face is only ever compared with itself. `changed`: for a long time somebody has looked less pleasant than is usual
    for them, and the class has not. `not_visible`: somebody was seen before and has long been out of sight, while most
    of the others are visible. A raised reason that has ended is not raised again for the same person until the cooldown
    is over.
    """

    def __init__(self, rules: AttentionRules, tell: Callable[[Data], None]) -> None:
        self._rules = rules
        self._tell = tell
        self._people: dict[str, _Person] = {}
        self._falls: list[float] = []
        self._at_ms = 0

    def tell(self, data: Data) -> None:
        """Pass data on; what was raised for somebody is cleared just before the data that they left or withdrew consent."""
        if isinstance(data, ParticipantLeft | ConsentWithdrawn):
            self._forget(data.participant)
        self._tell(data)

    def look(self, moods: list[Mood], at_ms: int) -> None:
        """Take in how everybody in the room is read at present; call it about once a second."""
        self._at_ms = at_ms
        watched = [mood for mood in moods if mood.coverage not in _NOT_TO_BE_WATCHED]
        present = {mood.participant_id for mood in watched}
        for participant_id in [each for each in self._people if each not in present]:
            self._forget(participant_id)
        for mood in watched:
            self._see(mood)
        known = (person for person in self._people.values() if person.is_visible and self._is_known(person))
        self._falls = [person.usual.fall for person in known]
        for participant_id, person in self._people.items():
            self._judge(participant_id, person, Reason.CHANGED, self._is_changed(person), at_ms)
            self._judge(participant_id, person, Reason.NOT_VISIBLE, not person.is_visible, person.visible_ms)

    def _see(self, mood: Mood) -> None:
        person = self._people.get(mood.participant_id)
        if person is None and mood.valence is not None:
            person = self._people[mood.participant_id] = _Person(Usual(self._rules.baseline_seconds), self._at_ms)
        if person is not None:
            person.see(mood, self._at_ms)

    def _is_changed(self, person: _Person) -> bool:
        holds = Reason.CHANGED in person.spells
        if not person.is_visible:  # it ends before `not_visible` can be raised, so that only one reason holds at a time
            longest_seconds = min(NO_LONGER_KNOWN_SECONDS, self._rules.not_visible_seconds)
            return holds and self._at_ms - person.visible_ms < longest_seconds * 1000
        if not self._is_known(person):
            return False
        enough = person.usual.enough(self._rules.valence_fall) * (0.5 if holds else 1.0)  # hysteresis: half keeps it going
        return person.usual.fall >= enough and person.usual.fall - max(0.0, self._fall_of_others(person)) >= enough

    def _is_known(self, person: _Person) -> bool:
        return person.usual.seen_seconds >= self._rules.observation_seconds

    def _fall_of_others(self, person: _Person) -> float:
        others = self._falls.copy()
        others.remove(person.usual.fall)
        return median(others) if others else 0.0

    def _is_a_break(self, person: _Person) -> bool:
        """Whether most of the others are out of sight too."""
        others = [other.is_visible for other in self._people.values() if other is not person]
        return 2 * sum(others) < len(others)

    def _judge(self, participant_id: str, person: _Person, reason: Reason, holds: bool, since_ms: int) -> None:
        if not holds:
            self._end(participant_id, person, reason)
            return
        spell = person.spells.setdefault(reason, _Spell(since_ms))
        if not spell.is_raised and self._may_be_raised(person, reason, spell):
            spell.is_raised = True
            self._tell(AttentionRaised(participant=participant_id, reason=reason, for_seconds=self._seconds(spell)))

    def _may_be_raised(self, person: _Person, reason: Reason, spell: _Spell) -> bool:
        ended_ms = person.ended_ms.get(reason)
        is_cool = ended_ms is None or self._at_ms - ended_ms >= self._rules.cooldown_seconds * 1000
        has_room = person.is_listed or sum(each.is_listed for each in self._people.values()) < self._rules.most
        is_theirs = reason is Reason.CHANGED or not self._is_a_break(person)
        return is_cool and has_room and is_theirs and self._seconds(spell) >= self._rules.needed_seconds(reason)

    def _end(self, participant_id: str, person: _Person, reason: Reason) -> None:
        spell = person.spells.pop(reason, None)
        if spell is not None and spell.is_raised:
            person.ended_ms[reason] = self._at_ms
            self._tell(AttentionCleared(participant=participant_id, reason=reason, for_seconds=self._seconds(spell)))

    def _forget(self, participant_id: str) -> None:
        person = self._people.pop(participant_id, None)
        if person is not None:
            for reason in list(person.spells):
                self._end(participant_id, person, reason)

    def _seconds(self, spell: _Spell) -> float:
        return round(max(0, self._at_ms - spell.since_ms) / 1000, 1)
