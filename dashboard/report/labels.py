"""Labels in the plots of a report: they do not overlap, and may hold letters that matplotlib's font lacks."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

from dashboard.report.model import Mark
from dashboard.report.svg import drawn

LONGEST_LABEL = 18

PLACEHOLDER = "mark{:03d}."
"""Stands for a label while matplotlib draws, so that it neither reads the label as a formula nor needs its letters."""

FONT = FontProperties(size=8)
LINE_POINTS = 10
GAP_POINTS = 4
ABOVE_INCHES = 0.34
"""Space for the labels of marks above a plot."""

ROWS = 2
"""Lines of labels above a plot; a label that fits on neither is left out, and named only in the table."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the label of a mark is placed: on which line, and on which side of its mark."""

    number: int
    row: int
    ends_at_mark: bool


def name_marks(axes: Axes, marks: Sequence[Mark]) -> None:
    """Write the labels of marks above a plot, as placeholders."""
    points = 72 / axes.figure.dpi
    starts = [axes.transData.transform((mark.at_seconds, 0))[0] * points for mark in marks]
    ends = [start + width_points(mark.label) for start, mark in zip(starts, marks, strict=True)]
    for each in placed(list(zip(starts, ends, strict=True)), axes.bbox.x1 * points):
        axes.annotate(
            PLACEHOLDER.format(each.number),
            (marks[each.number].at_seconds, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3 + LINE_POINTS * each.row),
            textcoords="offset points",
            ha="right" if each.ends_at_mark else "left",
            color=drawn("ink"),
            fontproperties=FONT,
        )


def placed(labels: Sequence[tuple[float, float]], right: float) -> Iterator[Placed]:
    """Where to place labels in the order of their marks, each given as its start and end if it stood to the right of its mark."""
    taken = [float("-inf")] * ROWS
    for number, (start, end) in enumerate(labels):
        ends_at_mark = end > right
        if ends_at_mark:
            start, end = start - (end - start), start
        row = next((row for row in range(ROWS) if taken[row] + GAP_POINTS <= start), None)
        if row is not None:
            taken[row] = end
            yield Placed(number, row, ends_at_mark)


def width_points(label: str) -> float:
    """The width of a label as drawn; a letter that the font lacks counts as a wide one."""
    font = get_font(findfont(FONT))
    known = "".join(letter if font.get_char_index(ord(letter)) else "W" for letter in cut(label))
    width, _, _ = text_to_path.get_text_width_height_descent(known, FONT, ismath=False)
    return float(width)


def cut(label: str) -> str:
    """The part of a label that is shown."""
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"


def with_labels(drawing: str, labels: Sequence[str]) -> str:
    """The drawing with its placeholders replaced by the labels."""
    for number, label in enumerate(labels):
        drawing = drawing.replace(PLACEHOLDER.format(number), f"<tspan>{html.escape(cut(label))}</tspan>")
    return drawing
