"""Whose emotions the figures of the class are taken over, so that nobody's coming or going can be read off them."""

from collections import Counter
from collections.abc import Set

from model.faces import Emotion
from pipeline.compositions import Compositions, Person
from pipeline.coverage import Coverage
from pipeline.events import UNKNOWN
from pipeline.mood import Mood

RENEWAL_SECONDS = 300.0
"""After so long, figures say nothing of the people who are there now."""

Known = dict[Person, Emotion]


class Cohort:
    """A part of the class that changes only by several people at a time, at least `smallest_group` of them.

    Who leaves or cannot be read keeps adding the emotion of the last summary before; who comes or is read again waits.
    Three groups are counted, each by itself: those who wait to come in, those who are away, and those who are back. Once
    one of them has grown to the smallest group, all of it comes in, goes out, or counts as it is, unless the cohort would
    then be nearly, but not quite, one that figures were taken over in the last five minutes. So of two summaries of
    that time one always adds or leaves out a group, or nobody.

    Who withdrew their consent adds what they added until their group goes out, where `keeps_withdrawn`; if not, they
    are out of it at once.
    """

    def __init__(self, smallest_group: int, *, keeps_withdrawn: bool = True) -> None:
        self._smallest_group = smallest_group
        self._keeps_withdrawn = keeps_withdrawn
        self._in_room: dict[str, Person] = {}
        self._members: set[Person] = set()
        self._published = Compositions(smallest_group, RENEWAL_SECONDS)
        self._known = 0

    @property
    def is_large_enough(self) -> bool:
        """Whether at least the smallest group of the members can really be read at present."""
        return sum(not member.away for member in self._members) >= self._smallest_group

    @property
    def known(self) -> int:
        """People whose emotion is known at present, members or not."""
        return self._known

    def counts(self) -> Counter[Emotion]:
        """How many members add which emotion."""
        return Counter(member.emotion for member in self._members if member.emotion is not None)

    def update(self, moods: list[Mood], at_ms: int) -> None:
        """Take in how everybody in the room is read at present, at the time of a summary, which is published if it can be."""
        self._published.drop_older(at_ms)
        consenting = {mood.participant_id: mood for mood in moods if mood.coverage is not Coverage.NOT_CONSENTED}
        self._let_go({mood.participant_id for mood in moods}, consenting.keys(), at_ms)
        known: Known = {}
        for participant_id, mood in consenting.items():
            person = self._in_room.setdefault(participant_id, Person(at_ms))
            person.away = mood.emotion is None
            person.held = person.held or person.away
            if mood.emotion is not None and mood.emotion != UNKNOWN:
                known[person] = Emotion(mood.emotion)
        self._known = len(known)
        if self._published:
            self._go_out()
            self._come_in(known)
            self._count(known)
        else:
            self._begin(known)
        if self.is_large_enough:
            self._published.add(frozenset(self._members), at_ms)

    def _let_go(self, present: Set[str], consenting: Set[str], at_ms: int) -> None:
        """Those who left, or withdrew their consent, are known by no id any more."""
        for participant_id in self._in_room.keys() - consenting:
            person = self._in_room.pop(participant_id)
            person.away, person.left_ms, person.withdrew = True, at_ms, participant_id in present
            if person.withdrew and not self._keeps_withdrawn:
                self._members.discard(person)
                self._published.forget(person)

    def _begin(self, known: Known) -> None:
        """Take everybody whose emotion is known."""
        self._members = set()
        if len(known) >= self._smallest_group:
            self._take_in(known.keys(), known)

    def _take_in(self, people: Set[Person], known: Known) -> None:
        self._members |= people
        for person in people:
            person.emotion, person.held = known[person], False

    def _go_out(self) -> None:
        """Leave those out who are away, unless too few would stay to publish anything of them: they may all be back soon."""
        away = {member for member in self._members if member.away}
        stay = self._members - away
        if min(len(away), len(stay)) >= self._smallest_group and self._published.allow(stay, away):
            self._members = stay

    def _come_in(self, known: Known) -> None:
        """Let those in who wait, all of them if that may be, or else those who are new, or those who went out before.

        Of a group that went out, who is not back counts as before, too, where its figures would tell of them without.
        """
        waiting = known.keys() - self._members
        went_out = {person for person in self._published.people() - self._members if not person.withdrew}
        for group in (waiting, waiting | went_out, waiting & went_out, went_out, waiting - went_out):
            back, missing = group & waiting, group - waiting
            if len(back) >= self._smallest_group and self._published.allow(self._members | group, group):
                for person in missing:
                    person.held = True
                self._members |= missing
                self._take_in(back, known)
                return

    def _count(self, known: Known) -> None:
        """Count members as they are read now, but for those who were away, until a group of them is back."""
        back = {member for member in self._members if member.held and member in known}
        if len(back) >= self._smallest_group:
            for member in back:
                member.held = False
        for member in self._members:
            if not member.held and member in known:
                member.emotion = known[member]
