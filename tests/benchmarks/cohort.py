"""What it costs that nobody's coming and going can be read off the figures of the class: withheld, and less up to date.

    python -m tests.benchmarks.cohort --people 6 8 12 30 50

Classes of half an hour, in simulated time: everybody is out of sight for 15 s about every two minutes and feels something
else about every 30 s; in half of the classes one leaves and another one comes about every 100 s.
"""

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass

from model.faces import EMOTIONS, Emotion
from pipeline.summary import ClassFigures
from tests.moods_of import moods_of

EVERY_SECONDS, CLASS_SECONDS, HIDDEN_SECONDS = 5, 1800, 15
SMALLEST_GROUP = 5


@dataclass
class Student:
    """Changes emotion about every 30 s, and goes out of sight about every two minutes."""

    chance: random.Random
    emotion: Emotion
    changes_at: float
    hides_at: float

    @classmethod
    def who_comes(cls, chance: random.Random, at: float) -> "Student":
        return cls(chance, chance.choice(EMOTIONS), at + chance.expovariate(1 / 30), at + chance.expovariate(1 / 120))

    def seen(self, at: float) -> Emotion | None:
        if at >= self.changes_at:
            self.emotion, self.changes_at = self.chance.choice(EMOTIONS), at + self.chance.expovariate(1 / 30)
        if at >= self.hides_at + HIDDEN_SECONDS:
            self.hides_at = at + self.chance.expovariate(1 / 120)
        return None if at >= self.hides_at else self.emotion


@dataclass
class Cost:
    """How many summaries are withheld, how many would be if everybody seen counted, and how far off the others are."""

    summaries: int = 0
    withheld: int = 0
    unavoidable: int = 0
    distance: float = 0.0

    def add(self, shares: dict[Emotion, float] | None, seen: Counter[Emotion]) -> None:
        self.summaries += 1
        self.withheld += shares is None
        self.unavoidable += seen.total() < SMALLEST_GROUP
        if shares is not None:
            self.distance += sum(abs(shares[each] - seen[each] / seen.total()) for each in EMOTIONS) / 2

    def __str__(self) -> str:
        withheld, unavoidable = (f"{each / self.summaries:.1%}" for each in (self.withheld, self.unavoidable))
        return f"withheld {withheld} ({unavoidable}), distance {self.distance / (self.summaries - self.withheld):.2f}"


def cost_of(people: int, comings_a_second: float, classes: int) -> Cost:
    cost = Cost()
    for number in range(classes):
        chance, figures = random.Random(number), ClassFigures(SMALLEST_GROUP)
        students = {f"student {each}": Student.who_comes(chance, 0) for each in range(people)}
        for at in range(0, CLASS_SECONDS, EVERY_SECONDS):
            if chance.random() < comings_a_second * EVERY_SECONDS:
                del students[chance.choice(list(students))]
                students[f"student who came at {at}"] = Student.who_comes(chance, at)
            seen = {name: student.seen(at) for name, student in students.items()}
            shares = figures.summary(moods_of(seen), at * 1000).shares
            cost.add(shares, Counter(emotion for emotion in seen.values() if emotion))
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="+", default=[6, 8, 12, 30, 50])
    parser.add_argument("--classes", type=int, default=20)
    arguments = parser.parse_args()
    for people in arguments.people:
        for comings_a_second in (0, 0.01):
            cost = cost_of(people, comings_a_second, arguments.classes)
            sys.stdout.write(f"{people} people, {comings_a_second:.0%} come and go a second: {cost}\n")


if __name__ == "__main__":
    main()
