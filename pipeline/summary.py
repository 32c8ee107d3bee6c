"""The class as a whole, in figures that reveal nobody: withheld for a small group, rounded, slow to let people in and out."""

from collections import Counter

from model.faces import EMOTIONS, Emotion
from pipeline.cohort import Cohort
from pipeline.coverage import Coverage
from pipeline.events import Publication, Summary
from pipeline.mood import Mood
from pipeline.valence import valence

STEPS = 20
"""Shares are multiples of 1 / `STEPS`, 0.05."""


class ClassFigures:
    """The summaries of one class, to be taken at a fixed rate: one triggered by somebody's action would reveal it.

    Shares and valence cover a cohort that changes only by a group at a time. At the level `individual`, the counts of
    people are exact, since each coming and going is published anyway; at `aggregate`, they too change by a group at a
    time, are rounded to multiples of the smallest group, and are 0 if the figures are withheld.
    """

    def __init__(self, smallest_group: int, level: Publication = "individual") -> None:
        self._cohort = Cohort(smallest_group, keeps_withdrawn=level == "aggregate")
        self._smallest_group = smallest_group
        self._level = level
        self._counted: dict[str, Coverage] = {}

    def summary(self, moods: list[Mood], at_ms: int) -> Summary:
        """The class as it is read at present."""
        self._cohort.update(moods, at_ms)
        counts = self._cohort.counts()
        shares = rounded_shares(counts) if self._cohort.is_large_enough else None
        scored = self._cohort.known if shares is None else counts.total()
        if self._level == "aggregate":
            return self._rounded(moods, scored, shares)
        return _summary(len(moods), Counter(mood.coverage for mood in moods), scored, shares)

    def _rounded(self, moods: list[Mood], scored: int, shares: dict[Emotion, float] | None) -> Summary:
        self._count({mood.participant_id: mood.coverage for mood in moods})
        if shares is None:
            return _summary(0, Counter(), 0, None)
        rounded = {state: self._to_groups(count) for state, count in Counter(self._counted.values()).items()}
        return _summary(self._to_groups(len(self._counted)), +Counter(rounded), self._to_groups(scored), shares)

    def _count(self, present: dict[str, Coverage]) -> None:
        """Count people anew once a group of them has come, gone or changed coverage."""
        if len({participant_id for participant_id, _ in present.items() ^ self._counted.items()}) >= self._smallest_group:
            self._counted = present

    def _to_groups(self, count: int) -> int:
        """The nearest multiple of the smallest group; halves go up."""
        return (2 * count + self._smallest_group) // (2 * self._smallest_group) * self._smallest_group


def _summary(participants: int, coverage: Counter[Coverage], scored: int, shares: dict[Emotion, float] | None) -> Summary:
    return Summary(
        participants=participants,
        scored=scored,
        coverage=dict(coverage),
        shares=shares,
        # from the rounded shares, so that it reveals nothing more than they do
        valence=None if shares is None else round(valence(shares), 2),
        withheld=shares is None,
    )


NOBODY = _summary(0, Counter(), 0, None)
"""The summary that is published while the bot is not in the room."""


def rounded_shares(counts: Counter[Emotion]) -> dict[Emotion, float]:
    """Shares in multiples of 1 / `STEPS` that add up to 1.

    The steps are allotted by largest remainder, like seats in a parliament (Hamilton's method); a tie goes to the emotion
    listed first.
    """
    total = counts.total()
    steps = {emotion: counts[emotion] * STEPS // total for emotion in EMOTIONS}
    by_remainder = sorted(EMOTIONS, key=lambda emotion: -(counts[emotion] * STEPS % total))
    for emotion in by_remainder[: STEPS - sum(steps.values())]:
        steps[emotion] += 1
    return {emotion: steps[emotion] / STEPS for emotion in EMOTIONS}


def coverage_in_words(coverage: dict[Coverage, int], total: int | None = None) -> str:
    """The coverage as text, such as "18 of 32 seen: 9 camera_off, 5 no_face".

    `total` is how many people there are, if the counts were rounded separately and do not add up to it.
    """
    total = sum(coverage.values()) if total is None else total
    missing = [f"{count} {state}" for state, count in sorted(coverage.items()) if state is not Coverage.OK and count]
    return f"{coverage.get(Coverage.OK, 0)} of {total} seen" + (f": {', '.join(missing)}" if missing else "")
