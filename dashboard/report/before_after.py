"""The class before and after each of the teacher's marks, and how certain a difference is."""

import math

from dashboard.report.model import BeforeAfter, Difference, Figures, Mark, Phase
from dashboard.report.summaries import Curve
from model.faces import EMOTIONS, Emotion
from pipeline.valence import VALENCE

WINDOW_MS = 120_000
"""Greatest length of the stretches before and after a mark; they stop at the marks beside it and at the ends of the class."""

LEAST_PUBLISHED_SECONDS = 30
"""Published time that both stretches need; below it nothing is compared."""

Z_95 = 1.96
"""Half the width, in standard deviations, of the interval that holds 95 % of a normal distribution."""

PRIOR_PEOPLE = 2.0
"""People added to each side, spread evenly over the emotions: ten of ten happy is not certainty (Agresti and Coull 1998)."""


def phases(curve: Curve, marks: tuple[Mark, ...], started_ms: int, ended_ms: int) -> tuple[Phase, ...]:
    """The stretches of the class from one mark to the next."""
    starts = [("", 0.0), *((mark.label, mark.at_seconds) for mark in marks)]
    ends = [*(at for _, at in starts[1:]), (ended_ms - started_ms) / 1000]
    return tuple(
        Phase(label=label, from_seconds=start, to_seconds=end, **_between(curve, started_ms, start, end).model_dump())
        for (label, start), end in zip(starts, ends, strict=True)
        if end > start
    )


def _between(curve: Curve, started_ms: int, from_seconds: float, to_seconds: float) -> Figures:
    return curve.figures(started_ms + round(from_seconds * 1000), started_ms + round(to_seconds * 1000))


def before_after(curve: Curve, marks: tuple[Mark, ...], started_ms: int, ended_ms: int) -> tuple[BeforeAfter, ...]:
    """Each mark with the stretches on both sides of it."""
    edges = [0.0, *(mark.at_seconds for mark in marks), (ended_ms - started_ms) / 1000]
    return tuple(_around(curve, started_ms, mark, edges[number], edges[number + 2]) for number, mark in enumerate(marks))


def _around(curve: Curve, started_ms: int, mark: Mark, edge_before: float, edge_behind: float) -> BeforeAfter:
    at, window = mark.at_seconds, WINDOW_MS / 1000
    before = _between(curve, started_ms, max(edge_before, at - window), at)
    after = _between(curve, started_ms, at, min(edge_behind, at + window))
    enough = min(before.published_seconds, after.published_seconds) >= LEAST_PUBLISHED_SECONDS
    return BeforeAfter(
        label=mark.label,
        at_seconds=at,
        before_seconds=before.seconds,
        after_seconds=after.seconds,
        people_before=before.scored,
        people_after=after.scored,
        differences=differences(before, after) if enough else (),
    )


def differences(before: Figures, after: Figures) -> tuple[Difference, ...]:
    """Valence and each share, after minus before; empty if either side was withheld throughout."""
    if before.shares is None or after.shares is None or before.valence is None or after.valence is None:
        return ()
    variance = {figure: _variance(before, figure) + _variance(after, figure) for figure in (None, *EMOTIONS)}
    told = [_difference("valence", before.valence, after.valence, variance[None])]
    return (*told, *(_difference(each, before.shares[each], after.shares[each], variance[each]) for each in EMOTIONS))


def _difference(figure: str, before: float, after: float, variance: float) -> Difference:
    plus_minus, difference = Z_95 * math.sqrt(variance), after - before
    is_clear = abs(difference) > plus_minus
    return Difference(
        figure=figure,
        before=before,
        after=after,
        difference=difference,
        plus_minus=plus_minus,
        verdict="not clear" if not is_clear else "rose" if difference > 0 else "fell",
    )


def _variance(figures: Figures, emotion: Emotion | None) -> float:
    """Variance of a share, or of valence for None, if those scored were a random sample of that many people.

    Treats the two sides as independent samples. In fact the same people are on both, so the uncertainty is mostly a little less.
    """
    people = (figures.scored or 0.0) + PRIOR_PEOPLE
    shares = figures.shares or {}
    likely = {each: (shares[each] * (people - PRIOR_PEOPLE) + PRIOR_PEOPLE / len(EMOTIONS)) / people for each in EMOTIONS}
    values = {each: float(each is emotion) if emotion else float(VALENCE[each]) for each in EMOTIONS}
    mean = sum(values[each] * likely[each] for each in EMOTIONS)
    return sum(likely[each] * (values[each] - mean) ** 2 for each in EMOTIONS) / people
