"""The people whose emotions the class figures cover, chosen so that nobody's coming or going shows in them."""

from collections import Counter
from collections.abc import Set

from model.faces import Emotion
from pipeline.compositions import Compositions, Person
from pipeline.coverage import Coverage
from pipeline.events import UNKNOWN
from pipeline.mood import Mood

RENEWAL_SECONDS = 300.0
"""Age at which published figures say nothing more about the people who are there now."""

Known = dict[Person, Emotion]


class Cohort:
    """A part of the class that changes only by at least `smallest_group` people at a time.

    A member who leaves or cannot be read keeps the emotion of their last summary; somebody who arrives or becomes
    readable again waits. Three groups are counted separately: those waiting to come in, those away, and those back.
    Once one of them reaches `smallest_group`, all of it comes in, goes out, or counts with its current emotions, unless
    the cohort would then be nearly, but not exactly, one that figures were published for in the last five minutes. So
    any two summaries from that time differ by a whole group, or by nobody.

    With `keeps_withdrawn`, people who withdraw their consent keep the emotion they had until their group goes out;
    without it, they are removed at once.
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
        """Whether at least `smallest_group` members can actually be read at present."""
        return sum(not member.away for member in self._members) >= self._smallest_group

    @property
    def known(self) -> int:
        """People whose emotion is known at present, members or not."""
        return self._known

    def counts(self) -> Counter[Emotion]:
        """How many members count towards each emotion."""
        return Counter(member.emotion for member in self._members if member.emotion is not None)

    def update(self, moods: list[Mood], at_ms: int) -> None:
        """Take in how everybody in the room is read at the time of a summary, which counts as published if it is large enough."""
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
        """Forget the ids of those who left or withdrew their consent."""
        for participant_id in self._in_room.keys() - consenting:
            person = self._in_room.pop(participant_id)
            person.away, person.left_ms, person.withdrew = True, at_ms, participant_id in present
            if person.withdrew and not self._keeps_withdrawn:
                self._members.discard(person)
                self._published.forget(person)

    def _begin(self, known: Known) -> None:
        """Start with everybody whose emotion is known, if there are enough of them."""
        self._members = set()
        if len(known) >= self._smallest_group:
            self._take_in(known.keys(), known)

    def _take_in(self, people: Set[Person], known: Known) -> None:
        self._members |= people
        for person in people:
            person.emotion, person.held = known[person], False

    def _go_out(self) -> None:
        """Remove those who are away once they are a group, unless too few would stay for figures: they may be back soon."""
        away = {member for member in self._members if member.away}
        stay = self._members - away
        if min(len(away), len(stay)) >= self._smallest_group and self._published.allow(stay, away):
            self._members = stay

    def _come_in(self, known: Known) -> None:
        """Let in those who wait: all of them if that is allowed, otherwise only those who went out before, or only new ones.

        Where letting in only a part of a group that went out would reveal something about the others, those who are not
        back are let in too, with their last emotion.
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
        """Give members their current emotion; those who were away keep their old one until a whole group of them is back."""
        back = {member for member in self._members if member.held and member in known}
        if len(back) >= self._smallest_group:
            for member in back:
                member.held = False
        for member in self._members:
            if not member.held and member in known:
                member.emotion = known[member]
