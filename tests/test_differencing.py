"""An attacker who sees every summary, knows who came or went and when, and wants to know what that person felt."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import pytest

from model.faces import EMOTIONS, Emotion
from pipeline.cohort import RENEWAL_SECONDS, Cohort
from pipeline.events import Publication
from pipeline.mood import Mood
from pipeline.summary import ClassFigures
from tests.moods_of import moods_of

CLASSES, SUMMARIES = 40, 30

Figures = Callable[[list[Mood], int], Counter[str] | None]
"""How many people feel what, as far as a summary tells an attacker; None if it is withheld."""


def exact_figures() -> Figures:
    """What a summary of exactly those present would tell."""
    return lambda moods, at_ms: Counter(str(mood.emotion) for mood in moods if mood.emotion)


def published_figures(level: Publication) -> Figures:
    figures = ClassFigures(5, level)

    def told(moods: list[Mood], at_ms: int) -> Counter[str] | None:
        summary = figures.summary(moods, at_ms)
        if summary.shares is None:
            return None
        return Counter({str(emotion): round(share * summary.scored) for emotion, share in summary.shares.items()})

    return told


class RandomClass:
    """People who come, go, and turn cameras on and off; in between they feel the same, which helps the attacker most."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._liking = [chance.gammavariate(0.5, 1) for _ in EMOTIONS]
        self.people: dict[str, Emotion | None] = {}
        self._numbers = iter(range(10_000))
        for _ in range(chance.randint(8, 30)):
            self.somebody_comes()

    def something_happens(self) -> tuple[int, Emotion] | None:
        """Somebody comes (+1) or goes (-1), returned with what they feel; or nothing happens."""
        happening = self._chance.random()
        if happening < 0.25:
            return 1, self.somebody_comes()
        if happening < 0.5 and len(self._seen()) > 8:
            return -1, self.somebody_goes()
        return None

    def _seen(self) -> list[str]:
        return [each for each, emotion in self.people.items() if emotion]

    def somebody_comes(self) -> Emotion:
        """Somebody turns their camera on, or arrives."""
        off = [each for each, emotion in self.people.items() if emotion is None]
        who = self._chance.choice(off) if off and self._chance.random() < 0.5 else f"student {next(self._numbers)}"
        emotion = self._chance.choices(EMOTIONS, self._liking)[0]
        self.people[who] = emotion
        return emotion

    def somebody_goes(self) -> Emotion:
        """Somebody turns their camera off, or leaves the room."""
        who = self._chance.choice(self._seen())
        emotion = self.people.pop(who)
        if self._chance.random() < 0.5:
            self.people[who] = None
        assert emotion is not None
        return emotion


@dataclass
class Attack:
    """How often the attacker was right, and how often a guess at the previous summary's commonest emotion would have been."""

    tries: int = 0
    right: int = 0
    right_by_guessing: int = 0

    def guess(self, before: Counter[str], after: Counter[str], sign: int, felt: Emotion) -> None:
        commonest = max(EMOTIONS, key=lambda emotion: before[emotion])
        moved = {emotion: sign * (after[emotion] - before[emotion]) for emotion in EMOTIONS}
        most = max(EMOTIONS, key=lambda emotion: (moved[emotion], before[emotion]))
        self.tries += 1
        self.right += felt == (most if moved[most] > 0 else commonest)
        self.right_by_guessing += felt == commonest

    @property
    def gain(self) -> float:
        return (self.right - self.right_by_guessing) / self.tries


def attack(make_figures: Callable[[], Figures]) -> Attack:
    chance, attacked = random.Random(5), Attack()
    for _ in range(CLASSES):
        these, figures = RandomClass(chance), make_figures()
        before = figures(moods_of(these.people), 0)
        for number in range(1, SUMMARIES):
            happened = these.something_happens()
            after = figures(moods_of(these.people), number * 5000)
            if happened and before and after:
                attacked.guess(before, after, *happened)
            before = after
    return attacked


def attack_after_a_stall(make_figures: Callable[[], Figures]) -> Attack:
    """Everybody is out of sight for one summary, as when the bot's network stalls, and one of them does not come back."""
    chance, attacked = random.Random(6), Attack()
    for _ in range(400):
        these, figures = RandomClass(chance), make_figures()
        before = [figures(moods_of(these.people), at_ms) for at_ms in (0, 5000)][-1]
        figures(moods_of(dict.fromkeys(these.people)), 10_000)
        emotion = these.somebody_goes()
        after = figures(moods_of(these.people), 15_000)
        if before and after:
            attacked.guess(before, after, -1, emotion)
    return attacked


@pytest.mark.parametrize("level", get_args(Publication))
def test_what_somebody_feels_who_comes_or_goes_cannot_be_read_off_two_successive_summaries(level: Publication) -> None:
    attacked = attack(lambda: published_figures(level))
    assert attacked.tries > 500
    # the standard error of the difference is below 0.02; a group that comes or goes reveals its feelings only as a group
    assert attacked.gain < 0.05, attacked


@pytest.mark.parametrize("level", get_args(Publication))
def test_nor_off_those_before_and_after_everybody_was_out_of_sight(level: Publication) -> None:
    attacked = attack_after_a_stall(lambda: published_figures(level))
    assert attacked.tries == 400
    assert attacked.gain < 0.05, attacked
    assert attack_after_a_stall(exact_figures).gain > 0.4


def test_of_a_summary_over_whoever_is_there_the_same_attacker_reads_it() -> None:
    attacked = attack(exact_figures)
    assert attacked.right == attacked.tries > 500
    assert attacked.gain > 0.4


class Crowd:
    """People in a room in which more happens at once than in any class; somebody who comes again has another id."""

    def __init__(self, chance: random.Random) -> None:
        self.inside: dict[str, str] = {}
        self.seen: dict[str, Emotion | None] = {}
        self._chance = chance
        self._outside: list[str] = []
        self._numbers = iter(range(10_000))
        for _ in range(chance.randint(5, 20)):
            self._comes(f"person {next(self._numbers)}")

    def something_happens(self) -> None:
        happenings = (self._hides, self._shows_something, self._leaves, self._comes_again, self._newcomer)
        for _ in range(self._chance.choice((0, 1, 2, 6, 12))):
            self._chance.choice(happenings)()
        if self._chance.random() < 0.1:  # all at once, as when a network or a server fails
            all_of_them = self._chance.choice((self._hides, self._leaves, self._comes_again))
            for _ in range(len(self.inside)):
                all_of_them()

    def _hides(self) -> None:
        if self.inside:
            self.seen[self._chance.choice(list(self.inside))] = None

    def _shows_something(self) -> None:
        if self.inside:
            self.seen[self._chance.choice(list(self.inside))] = self._chance.choice(EMOTIONS)

    def _leaves(self) -> None:
        if self.inside:
            name = self._chance.choice(list(self.inside))
            del self.seen[name]
            self._outside.append(self.inside.pop(name))

    def _comes_again(self) -> None:
        if self._outside:
            self._comes(self._outside.pop(self._chance.randrange(len(self._outside))))

    def _newcomer(self) -> None:
        self._comes(f"person {next(self._numbers)}")

    def _comes(self, person: str) -> None:
        name = f"id {next(self._numbers)}"
        self.inside[name], self.seen[name] = person, self._chance.choice(EMOTIONS)


def test_of_two_cohorts_within_five_minutes_one_has_a_group_more_or_both_are_the_same_people() -> None:
    pairs = 0
    for seed in range(100):
        chance = random.Random(seed)
        crowd, cohort, at_ms = Crowd(chance), Cohort(5), 0
        people: dict[object, str] = {}
        published: list[tuple[int, Counter[str]]] = []
        for _ in range(60):
            crowd.something_happens()
            at_ms += chance.choice((1000, 5000, 20_000))
            cohort.update(moods_of(crowd.seen), at_ms)
            people |= {cohort._in_room[name]: person for name, person in crowd.inside.items()}
            if cohort.is_large_enough:
                counted = Counter(people[member] for member in cohort._members)
                for then_ms, before in published:
                    if at_ms - then_ms < RENEWAL_SECONDS * 1000:
                        pairs += 1
                        assert counted == before or ((counted - before) + (before - counted)).total() >= 5, seed
                published.append((at_ms, counted))
    assert pairs > 20_000
