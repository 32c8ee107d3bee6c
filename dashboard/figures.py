"""The class in figures, as a browser gets them."""

from collections.abc import Sequence
from typing import Any

from dashboard.history import Moment, gap_ms
from dashboard.words import coverage_in_words
from model.faces import EMOTIONS, Emotion
from pipeline.coverage import Coverage
from pipeline.events import Summary
from pipeline.state import SummaryState

POINT_MS = 5_000
"""Least distance between two points of the chart, except the last."""

AnySummary = Summary | SummaryState


def mood_now(summary: AnySummary | None, smoothed: Sequence[Moment]) -> dict[str, Any] | None:
    """The latest summary, with its shares and valence smoothed if there is a past to smooth them with."""
    if summary is None:
        return None
    shares, valence = (smoothed[-1].shares, smoothed[-1].valence) if smoothed else (summary.shares, summary.valence)
    return {
        "withheld": summary.withheld,
        "scored": summary.scored,
        "participants": summary.participants,
        "shares": None if summary.withheld else _rounded(shares),
        "valence": None if summary.withheld or valence is None else round(valence, 2),
    }


def counts_of_class(summary: AnySummary) -> dict[str, Any]:
    """Coverage from the summary alone, which in an aggregate class is rounded, and withheld with the rest."""
    words = coverage_in_words(summary.coverage, summary.participants)
    return {
        "present": summary.participants,
        "seen": summary.coverage.get(Coverage.OK, 0),
        "sentence": "too few people to be counted" if summary.withheld else f"about {words}",
    }


def columns(smoothed: Sequence[Moment]) -> dict[str, Any]:
    """The past as columns, thinned, since a chart needs no more than a point every few seconds."""
    points = thinned(smoothed)
    return {
        "at_ms": [point.at_ms for point in points],
        "gap_ms": gap_ms([point.at_ms for point in points]),
        "seen": [point.seen for point in points],
        "participants": [point.participants for point in points],
        "valence": [None if point.valence is None else round(point.valence, 2) for point in points],
        "shares": {emotion: [_share(point, emotion) for point in points] for emotion in EMOTIONS},
    }


def thinned(moments: Sequence[Moment]) -> list[Moment]:
    """Some of the moments, including the first and the last."""
    points: list[Moment] = []
    for moment in moments:
        if len(points) > 1 and moment.at_ms - points[-2].at_ms < POINT_MS:
            points[-1] = moment
        else:
            points.append(moment)
    return points


def _share(moment: Moment, emotion: Emotion) -> float | None:
    return None if moment.shares is None else round(moment.shares.get(emotion, 0.0), 3)


def _rounded(shares: dict[Emotion, float] | None) -> dict[str, float] | None:
    return None if shares is None else {emotion: round(shares.get(emotion, 0.0), 3) for emotion in EMOTIONS}
