"""The curve of the class, from its published summaries alone.

Nothing here is added up from events about single participants: a figure that was withheld stays withheld.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from dashboard.report.model import Figures
from model.faces import EMOTIONS
from pipeline.coverage import Coverage
from pipeline.events import Summary

HELD_LEAST_MS = 15_000
"""A summary holds until the next, but for at most three times their interval, or for this long if that is more."""

CLOSEST_MS = 1000
"""Where summaries come closer together than this, the first of them counts, so that a class of a day stays small."""

SMALLEST_GROUP = 3
"""Shares of fewer people than this are withheld here, whoever published them."""

MOST_COUNTED = 1_000_000
"""A larger number cannot be people in a class; it is cut to this, so that the means stay within what a float can hold."""

_COVERAGES = tuple(Coverage)
_SEEN = _COVERAGES.index(Coverage.OK)


@dataclass(frozen=True, slots=True)
class Held:
    """A summary, and the stretch of lesson time over which it holds."""

    from_ms: int
    to_ms: int
    participants: int
    scored: int
    coverage: tuple[int, ...]
    shares: tuple[float, ...] | None
    valence: float

    def over(self, from_ms: int, to_ms: int) -> int:
        """For how many milliseconds of a stretch it held."""
        return max(0, min(self.to_ms, to_ms) - max(self.from_ms, from_ms))


class Curve:
    """The summaries of a class, each held until the next."""

    def __init__(self) -> None:
        self._held: list[Held] = []
        self._open: tuple[int, Summary] | None = None
        self._apart_ms: int | None = None

    def __bool__(self) -> bool:
        return bool(self._held or self._open)

    def add(self, at_ms: int, summary: Summary) -> None:
        """Take in the next summary."""
        if self._open is not None:
            apart_ms = at_ms - self._open[0]
            if apart_ms < CLOSEST_MS:
                return
            self._apart_ms = min(apart_ms, self._apart_ms or apart_ms)
            self.end(at_ms)
        self._open = at_ms, summary

    def end(self, at_ms: int) -> None:
        """Stop the current summary from holding any longer: the bot is away, another run begins, or the class ends."""
        if self._open is None:
            return
        from_ms, summary = self._open
        to_ms = min(at_ms, from_ms + max(HELD_LEAST_MS, 3 * (self._apart_ms or 0)))
        self._held.append(_held(from_ms, max(from_ms, to_ms), summary))
        self._open = None

    def figures(self, from_ms: int, to_ms: int) -> Figures:
        """Figures for the class over a stretch of time."""
        sums = _Sums()
        for held in self._within(from_ms, to_ms):
            sums.add(held, held.over(from_ms, to_ms) / 1000)
        return sums.figures(max(0, to_ms - from_ms) / 1000)

    def _within(self, from_ms: int, to_ms: int) -> Iterator[Held]:
        first = max(0, bisect_right(self._held, from_ms, key=lambda held: held.from_ms) - 1)
        for held in self._held[first:]:
            if held.from_ms >= to_ms:
                return
            if held.over(from_ms, to_ms):
                yield held


def _held(from_ms: int, to_ms: int, summary: Summary) -> Held:
    withheld = summary.withheld or summary.shares is None or summary.valence is None or summary.scored < SMALLEST_GROUP
    return Held(
        from_ms,
        to_ms,
        min(summary.participants, MOST_COUNTED),
        min(summary.scored, MOST_COUNTED),
        tuple(min(summary.coverage.get(state, 0), MOST_COUNTED) for state in _COVERAGES),
        None if withheld or summary.shares is None else tuple(summary.shares[emotion] for emotion in EMOTIONS),
        0.0 if withheld or summary.valence is None else summary.valence,
    )


class _Sums:
    """Person-seconds."""

    def __init__(self) -> None:
        self.told = self.published = self.participants = self.known = self.valence = 0.0
        self.coverage = [0.0] * len(_COVERAGES)
        self.shares = [0.0] * len(EMOTIONS)

    def add(self, held: Held, seconds: float) -> None:
        """Add a summary that held for so many seconds."""
        self.told += seconds
        self.participants += held.participants * seconds
        self.coverage = [so_far + count * seconds for so_far, count in zip(self.coverage, held.coverage, strict=True)]
        if held.shares is not None:
            known = held.scored * seconds
            self.published += seconds
            self.known += known
            self.valence += held.valence * known
            self.shares = [so_far + share * known for so_far, share in zip(self.shares, held.shares, strict=True)]

    def figures(self, seconds: float) -> Figures:
        """The figures that the sums come to."""
        seen, told, known = self.coverage[_SEEN], self.told, self.known
        return Figures(
            seconds=seconds,
            told_seconds=told,
            published_seconds=self.published,
            participants=self.participants / told if told else None,
            seen=seen / told if told else None,
            scored=known / self.published if self.published else None,
            coverage=self._by_coverage() if told else None,
            seen_share=fraction(seen, self.participants),
            # published shares are rounded, and may add up to a little more or less than one
            shares={e: s / sum(self.shares) for e, s in zip(EMOTIONS, self.shares, strict=True)} if sum(self.shares) else None,
            valence=max(-1.0, min(1.0, self.valence / known)) if known else None,
        )

    def _by_coverage(self) -> dict[Coverage, float]:
        return {state: sum_ / self.told for state, sum_ in zip(_COVERAGES, self.coverage, strict=True) if sum_}


def fraction(part: float, whole: float) -> float | None:
    """A part of the whole, from 0 to 1; None if the whole is nothing."""
    return max(0.0, min(1.0, part / whole)) if whole > 0 else None
