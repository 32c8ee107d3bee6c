"""The plots of a report. matplotlib draws them, so that they need nothing but the file itself, and can be printed."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from dashboard.palette import EMOTION_LOOKS
from dashboard.report.labels import ABOVE_INCHES, PLACEHOLDER, name_marks, with_labels
from dashboard.report.model import STEP_SECONDS, Report, Step
from dashboard.report.smoothing import known_seconds, smoothed, told_seconds
from dashboard.report.svg import drawn, svg
from dashboard.report.words import clock_time
from model.faces import EMOTIONS, Emotion

MOST_LABELS = 12
"""Most marks that are labelled in a plot; if there are more, all are mere lines, and named only in the table."""

THICK_ENOUGH = 0.12
"""Smallest share whose band has room for its sign."""

PLOT_INCHES = 2.8
LEGEND_INCHES = 0.35

TICKS_SECONDS = (10, 30, 60, 120, 300, 600, 900, 1800, 3600)

COMPARED_LINES = ("solid", "dashed", "dotted", "dashdot", (0, (3, 1, 1, 1, 1, 1)), (0, (5, 10)))

_BELOW: Any = {
    "loc": "upper left",
    "bbox_to_anchor": (-0.03, -0.1),
    "frameon": False,
    "labelcolor": drawn("ink"),
    "fontsize": 8.5,
}
"""Where a legend is placed."""


def shares_plot(report: Report) -> str:
    """The shares of the seven emotions over the class, stacked."""
    figure, axes = stacked_shares(report)
    return _finished(report, figure, axes, "shares", "Emotions of the class over time, as stacked shares")


def stacked_shares(report: Report) -> tuple[Figure, Axes]:
    """The plot of the shares, before the marks are drawn."""
    figure, axes = _figure(report.seconds, LEGEND_INCHES)
    seconds = _middles(report.steps)
    shares = {each: smoothed(report.steps, lambda step, of=each: (step.shares or {}).get(of), known_seconds) for each in EMOTIONS}  # type: ignore[misc]
    for first, last in _stretches(shares[EMOTIONS[0]]):
        bands = [[share or 0.0 for share in shares[each][first:last]] for each in EMOTIONS]
        axes.stackplot(
            seconds[first:last], bands, colors=[drawn(each) for each in EMOTIONS], edgecolor=drawn("paper"), linewidth=0.7
        )
        _sign(axes, seconds[first:last], bands)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    axes.legend(
        handles=_legend(),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=7,
        frameon=False,
        labelcolor=drawn("ink"),
        fontsize=8,
        handlelength=1.5,
        columnspacing=1.5,
    )
    return figure, axes


def valence_plot(report: Report) -> str:
    """The valence of the class: each step as a dot, and the smoothed curve as a line."""
    figure, axes = _figure(report.seconds)
    seconds = _middles(report.steps)
    axes.axhline(0, color=drawn("faint"), linewidth=0.8)
    _line(
        axes, seconds, [step.valence for step in report.steps], marker=".", linestyle="none", markersize=3, color=drawn("faint")
    )
    _line(axes, seconds, smoothed(report.steps, lambda step: step.valence, known_seconds), linewidth=2, color=drawn("seen"))
    axes.set_ylim(-1, 1)
    axes.set_yticks([-1, 0, 1], ["unpleasant -1", "0", "pleasant +1"])
    return _finished(report, figure, axes, "valence", "Valence of the class over time, from minus one to one")


def coverage_plot(report: Report) -> str:
    """How many of the people in the room could be read."""
    figure, axes = _figure(report.seconds)
    seconds = _middles(report.steps)
    seen = smoothed(report.steps, lambda step: step.seen, told_seconds)
    there = smoothed(report.steps, lambda step: step.participants, told_seconds)
    for first, last in _stretches(there):
        at, lower, upper = seconds[first:last], _numbers(seen[first:last]), _numbers(there[first:last])
        axes.fill_between(at, 0, lower, color=drawn("seen"), linewidth=0, label="seen" if not first else None)
        axes.fill_between(at, lower, upper, facecolor="none", edgecolor=drawn("not-seen"), hatch="////", linewidth=0)
        axes.plot(at, upper, color=drawn("ink"), linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return _finished(report, figure, axes, "coverage", "People in the room and people seen over time")


def compared_plot(reports: Sequence[Report], names: Sequence[str]) -> str:
    """The smoothed valence of several classes, each from its own start."""
    figure, axes = _figure(max(report.seconds for report in reports), 0.2 * len(reports) + 0.15)
    axes.axhline(0, color=drawn("faint"), linewidth=0.8)
    colours = [
        drawn(each) for each in (Emotion.SAD, Emotion.ANGRY, Emotion.DISGUST, Emotion.FEAR, Emotion.HAPPY, Emotion.SURPRISE)
    ]
    for number, report in enumerate(reports):
        values = smoothed(report.steps, lambda step: step.valence, known_seconds)
        style = COMPARED_LINES[number % len(COMPARED_LINES)]
        _line(axes, _middles(report.steps), values, linewidth=2, linestyle=style, color=colours[number % len(colours)])
        axes.plot([], [], linewidth=2, linestyle=style, color=colours[number % len(colours)], label=PLACEHOLDER.format(number))
    axes.set_ylim(-1, 1)
    axes.legend(**_BELOW)
    drawing = svg(
        figure, "compared", "Valence of the classes over time", "Each class from its own beginning; the table has the means."
    )
    return with_labels(drawing, names)


def _figure(seconds: float, legend_inches: float = 0.0) -> tuple[Figure, Axes]:
    height, below, above = PLOT_INCHES + legend_inches, 0.3 + legend_inches, ABOVE_INCHES
    with matplotlib.rc_context({"font.size": 9}):
        figure = Figure(figsize=(9.0, height))
        # the same margins in every plot, so that the plots line up in time when they stand one below the other
        axes = figure.add_axes((0.11, below / height, 0.87, (height - below - above) / height))
    axes.set_xlim(0, max(seconds, STEP_SECONDS))
    axes.xaxis.set_major_locator(MultipleLocator(next((each for each in TICKS_SECONDS if each * 10 >= seconds), 7200)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: clock_time(at)))
    axes.tick_params(colors=drawn("faint"))
    axes.spines[:].set_visible(False)
    axes.grid(color=drawn("line"), linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _finished(report: Report, figure: Figure, axes: Axes, name: str, title: str) -> str:
    for gap in report.gaps:
        axes.axvspan(gap.from_seconds, gap.to_seconds, facecolor="none", edgecolor=drawn("faint"), hatch="xx", linewidth=0)
    for mark in report.marks:
        axes.axvline(mark.at_seconds, color=drawn("marker"), linewidth=1.2, linestyle="--")
    if len(report.marks) <= MOST_LABELS:
        name_marks(axes, report.marks)
    described = "The figures are in the table below. Dashed lines are the teacher's marks, crossed areas times without the bot."
    return with_labels(svg(figure, name, title, described), [mark.label for mark in report.marks])


def _legend() -> list[matplotlib.patches.Patch]:
    return [matplotlib.patches.Patch(facecolor=drawn(each), label=f"{EMOTION_LOOKS[each].sign} {each}") for each in EMOTIONS]


def _sign(axes: Axes, seconds: Sequence[float], bands: Sequence[Sequence[float]]) -> None:
    """Write each emotion's sign where its band is thickest, so that colour is not the only cue."""
    for number, emotion in enumerate(EMOTIONS):
        thickest = max(range(len(seconds)), key=lambda at, band=bands[number]: band[at])  # type: ignore[misc]
        if bands[number][thickest] >= THICK_ENOUGH:
            middle = sum(band[thickest] for band in bands[:number]) + bands[number][thickest] / 2
            sign = EMOTION_LOOKS[emotion].sign
            axes.text(seconds[thickest], middle, sign, color=drawn("paper"), ha="center", va="center", fontsize=10)


def _line(axes: Axes, seconds: Sequence[float], values: Sequence[float | None], **style: object) -> None:
    """Draw a line that is broken where there is no value."""
    for first, last in _stretches(values):
        axes.plot(seconds[first:last], _numbers(values[first:last]), **style)  # type: ignore[arg-type]


def _middles(steps: Sequence[Step]) -> list[float]:
    return [step.at_seconds + step.seconds / 2 for step in steps]


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [value or 0.0 for value in values]


def _stretches(values: Sequence[float | None]) -> Iterator[tuple[int, int]]:
    """Unbroken runs of values, each as its first index and the index after its last."""
    edges = [
        number for number, (before, after) in enumerate(pairwise([None, *values, None])) if (before is None) != (after is None)
    ]
    yield from zip(edges[::2], edges[1::2], strict=True)


ALL: dict[str, Callable[[Report], str]] = {"shares": shares_plot, "valence": valence_plot, "coverage": coverage_plot}
"""The plots of one class by their names."""
