"""The mood of a class over the last minutes, smoothed."""

import math
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter
from statistics import median_low

from dashboard.clocks import SET_BACK_MS
from model.faces import Emotion

WINDOW_MS = 600_000
SMOOTHING_SECONDS = 20.0
"""Time constant: a change shows to 63 % after it."""

GAP_LEAST_MS = 60_000
"""The shortest silence after which what was before no longer counts; it is also at least three times the usual interval."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The class at one moment; `shares` and `valence` are None where they were withheld."""

    at_ms: int
    participants: int
    seen: int
    scored: int
    shares: dict[Emotion, float] | None
    valence: float | None


def gap_ms(times_ms: Sequence[int]) -> int:
    """The length of a silence after which what was before no longer counts, given the times of moments in order."""
    apart_ms = [after - before for before, after in pairwise(times_ms)]
    return max(GAP_LEAST_MS, 3 * median_low(apart_ms)) if apart_ms else GAP_LEAST_MS


class MoodHistory:
    """The moments of the last ten minutes in order of time, whatever order they came in."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.smoothed: list[Moment] = []

    def add(self, moment: Moment) -> None:
        """Take in a moment; a second one of the same time replaces the first.

        If a clock was set back, moments later than this one are forgotten: they would pass for the present.
        """
        if self.moments and moment.at_ms < self.moments[-1].at_ms - SET_BACK_MS:
            self._forget_behind(moment.at_ms)
        newest = self.moments[-1].at_ms if self.moments else None
        if newest is None or moment.at_ms > newest:
            self.moments.append(moment)
            self.smoothed.append(_smoothed(self.smoothed[-1] if self.smoothed else None, moment, self._gap_ms()))
        else:
            self.moments = [each for each in self.moments if each.at_ms != moment.at_ms]
            insort(self.moments, moment, key=attrgetter("at_ms"))
            self._smooth_anew()
        self._forget_before(self.moments[-1].at_ms - WINDOW_MS)

    def begin(self, moments: Iterable[Moment]) -> None:
        """Start again with these moments alone."""
        self.moments, self.smoothed = [], []
        for moment in moments:
            self.add(moment)

    def _smooth_anew(self) -> None:
        self.smoothed, longest_ms = [], self._gap_ms()
        for moment in self.moments:
            self.smoothed.append(_smoothed(self.smoothed[-1] if self.smoothed else None, moment, longest_ms))

    def _gap_ms(self) -> int:
        return gap_ms([moment.at_ms for moment in self.moments])

    def _forget_behind(self, newest_ms: int) -> None:
        self.moments = [moment for moment in self.moments if moment.at_ms <= newest_ms]
        del self.smoothed[len(self.moments) :]

    def _forget_before(self, oldest_ms: int) -> None:
        keep = next((i for i, moment in enumerate(self.moments) if moment.at_ms >= oldest_ms), len(self.moments))
        if keep:
            del self.moments[:keep], self.smoothed[:keep]


def _smoothed(before: Moment | None, moment: Moment, longest_ms: int) -> Moment:
    """A moment with its shares and valence smoothed exponentially, by the time that has passed since `before`."""
    if before is None or before.shares is None or moment.shares is None:
        return moment
    if moment.at_ms - before.at_ms > longest_ms:
        return moment
    weight = 1 - math.exp(-(moment.at_ms - before.at_ms) / 1000 / SMOOTHING_SECONDS)
    shares = {emotion: _between(before.shares.get(emotion, 0.0), share, weight) for emotion, share in moment.shares.items()}
    if before.valence is None or moment.valence is None:
        return replace(moment, shares=shares)
    return replace(moment, shares=shares, valence=_between(before.valence, moment.valence, weight))


def _between(before: float, now: float, weight: float) -> float:
    return before + weight * (now - before)
