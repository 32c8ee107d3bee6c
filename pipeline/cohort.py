"""Whose emotions the figures of the class are taken over, so that nobody's coming or going can be read off them."""

from collections import Counter
from dataclasses import dataclass

from model.faces import Emotion
from pipeline.coverage import Coverage
from pipeline.events import UNKNOWN
from pipeline.mood import Mood

RENEWAL_SECONDS = 300.0
"""After so long without figures those published before say nothing of the people who are there now."""


@dataclass(slots=True)
class _Member:
    """What one person adds to the figures; `away` while they cannot be read, `held` until they count as they are again."""

    emotion: Emotion
    away: bool = False
    held: bool = False


class Cohort:
    """A part of the class that changes only by several people at a time, at least `smallest_group` of them.

    Who leaves or cannot be read keeps adding the emotion of the last summary before; who comes or is read again waits.
    Three groups are counted, each by itself: those who wait to come in, those who are away, and those who are back. Once
    one of them has grown to the smallest group, all of it comes in, goes out, or counts as it is. So two summaries differ
    by what the members who were there all along show, and else only by a sum over a whole group. Of members who left
    the room or withdrew their consent one count is kept, without an id, until their group goes out.
    """

    def __init__(self, smallest_group: int) -> None:
        self._smallest_group = smallest_group
        self._members: dict[str, _Member] = {}
        self._gone: Counter[Emotion] = Counter()
        self._figures_ms: int | None = None
        self._known = 0

    @property
    def is_large_enough(self) -> bool:
        """Whether at least the smallest group of the members can really be read at present."""
        return self._there() >= self._smallest_group

    @property
    def known(self) -> int:
        """People whose emotion is known at present, members or not."""
        return self._known

    def counts(self) -> Counter[Emotion]:
        """How many members add which emotion."""
        return self._gone + Counter(member.emotion for member in self._members.values())

    def update(self, moods: list[Mood], at_ms: int) -> None:
        """Take in how everybody in the room is read at present, at the time of a summary."""
        self._let_go({mood.participant_id for mood in moods if mood.coverage is not Coverage.NOT_CONSENTED})
        read = {mood.participant_id: mood.emotion for mood in moods if mood.emotion is not None}
        known = {each: Emotion(emotion) for each, emotion in read.items() if emotion != UNKNOWN}
        self._known = len(known)
        for participant_id, member in self._members.items():
            self._look_at(member, participant_id in read, known.get(participant_id))
        self._go_out()
        self._count_again(known)
        self._come_in({each: emotion for each, emotion in known.items() if each not in self._members})
        self._renew(known, at_ms)

    def _let_go(self, present: set[str]) -> None:
        for participant_id in [each for each in self._members if each not in present]:
            self._gone[self._members.pop(participant_id).emotion] += 1

    @staticmethod
    def _look_at(member: _Member, is_read: bool, emotion: Emotion | None) -> None:
        member.away = not is_read
        member.held = member.held or member.away
        if not member.held and emotion is not None:
            member.emotion = emotion

    def _go_out(self) -> None:
        away = [participant_id for participant_id, member in self._members.items() if member.away]
        if self._gone.total() + len(away) >= self._smallest_group:
            self._gone.clear()
            for participant_id in away:
                del self._members[participant_id]

    def _count_again(self, known: dict[str, Emotion]) -> None:
        back = [each for each, member in self._members.items() if member.held and each in known]
        if len(back) >= self._smallest_group:
            self._members.update({each: _Member(known[each]) for each in back})

    def _come_in(self, waiting: dict[str, Emotion]) -> None:
        if len(waiting) >= self._smallest_group:
            self._members.update({each: _Member(emotion) for each, emotion in waiting.items()})

    def _renew(self, known: dict[str, Emotion], at_ms: int) -> None:
        """Begin anew with everybody where too few members are left to ever publish, and the last figures are old."""
        if self._figures_ms is None or self.is_large_enough:
            self._figures_ms = at_ms
        elif at_ms - self._figures_ms >= RENEWAL_SECONDS * 1000 and len(known) >= self._smallest_group:
            self._gone.clear()
            self._members = {each: _Member(emotion) for each, emotion in known.items()}
            self._figures_ms = at_ms

    def _there(self) -> int:
        return sum(not member.away for member in self._members.values())
