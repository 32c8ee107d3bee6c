"""Which people recent class figures covered, and which they may cover next."""

from collections.abc import Set
from dataclasses import dataclass

from model.faces import Emotion


@dataclass(slots=True, eq=False)
class Person:
    """Somebody who came to the room at `came_ms` and left it at `left_ms`, without an id, so that nothing tells who it was.

    `emotion` is what they count as; `away` is set while they cannot be read, and `held` while they keep an earlier emotion.
    Somebody who `withdrew` their consent is never counted again once they are out of the figures.
    """

    came_ms: int
    emotion: Emotion | None = None
    left_ms: int | None = None
    away: bool = True
    held: bool = False
    withdrew: bool = False


Composition = frozenset[Person]


class Compositions:
    """The sets of people for which figures were published within the last `seconds`.

    The next set must equal one of them or differ from each by at least `smallest_group` people, so that what it adds or
    leaves out is always a sum over a group.
    """

    def __init__(self, smallest_group: int, seconds: float) -> None:
        self._smallest_group = smallest_group
        self._lasting_ms = seconds * 1000
        self._published_ms: dict[Composition, int] = {}

    def __bool__(self) -> bool:
        return bool(self._published_ms)

    def add(self, composition: Composition, at_ms: int) -> None:
        """Note that figures for these people are published."""
        self._published_ms[composition] = at_ms

    def drop_older(self, at_ms: int) -> None:
        """Drop what was published too long ago to say anything about the people who are there now."""
        self._published_ms = {each: then for each, then in self._published_ms.items() if at_ms - then < self._lasting_ms}

    def forget(self, person: Person) -> None:
        """Remove somebody from all of them, as if they had never been there."""
        in_order = sorted(self._published_ms.items(), key=lambda item: item[1])
        self._published_ms = {each - {person}: then for each, then in in_order}  # of those that become equal, the newest stays

    def people(self) -> Composition:
        """Everybody who was in any of them."""
        return frozenset().union(*self._published_ms)

    def allow(self, people: Set[Person], group: Set[Person]) -> bool:
        """Whether figures for `people` may be published next; they reveal the sum over the `group` that comes in or goes out."""
        return all(self._tells_of_nobody(published, wanted) for published in self._published_ms for wanted in (people, group))

    def _tells_of_nobody(self, published: Composition, wanted: Set[Person]) -> bool:
        # their sizes alone differ by a group, whoever may be back: a quick test, which usually decides in a large class
        if abs(len(published) - len(wanted)) >= self._smallest_group:
            return True
        return published == wanted or least_difference(published, wanted) >= self._smallest_group


def least_difference(one: Set[Person], other: Set[Person]) -> int:
    """The least number of people who can be in only one of the two sets.

    Somebody who came after another had left may be the same person under another id: a room that loses everybody gives
    all of them new ids.
    """
    gone, come = one - other, other - one
    return len(gone) + len(come) - 2 * (_who_may_be_back(gone, come) + _who_may_be_back(come, gone))


def _who_may_be_back(gone: Set[Person], come: Set[Person]) -> int:
    left_ms = sorted(person.left_ms for person in gone if person.left_ms is not None)
    back = 0
    for came_ms in sorted(person.came_ms for person in come):
        if back < len(left_ms) and left_ms[back] <= came_ms:
            back += 1
    return back
