"""Where things are in the plots of a report, as matplotlib measures them: inside the picture, and not on top of each other."""

from collections.abc import Sequence
from itertools import combinations

import pytest
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from dashboard.report.build import Options, build
from dashboard.report.classes import Classes
from dashboard.report.labels import LONGEST_LABEL, PLACEHOLDER, Placed, cut, name_marks, placed, width_points
from dashboard.report.model import Report
from dashboard.report.plots import ALL, stacked_shares
from dashboard.report.read import Reading
from model.faces import Emotion
from pipeline.markers import new_marker
from tests.lessons import STARTS_MS, comes, goes, heartbeats, lines, summary

SECONDS = 600
WORDS = ("exercise", "explanation of it", "discussion")


def report(*marks: tuple[float, str]) -> Report:
    """Ten minutes of a class, with marks."""
    reading = Reading(Classes())
    told = [summary(5 * number, {Emotion.HAPPY: 3, Emotion.SAD: 3}) for number in range(SECONDS // 5)]
    reading.add_lines(lines([*comes(0, "p0"), *heartbeats(0, SECONDS, 6), *told, goes(SECONDS, "p0")]))
    markers = [new_marker(label, STARTS_MS + round(second * 1000)) for second, label in marks]
    made = build(reading.classes, markers, 0, Options("demo", STARTS_MS))
    assert made is not None
    return made


def named(made: Report) -> tuple[Axes, list[Annotation]]:
    """The plot of the shares, with the actual labels of its marks in place of the placeholders."""
    _, axes = stacked_shares(made)
    name_marks(axes, made.marks)
    texts = {PLACEHOLDER.format(number): cut(mark.label) for number, mark in enumerate(made.marks)}
    names = [each for each in axes.texts if isinstance(each, Annotation)]
    for each in names:
        each.set_text(texts[each.get_text()])
    return axes, names


def over_each_other(names: Sequence[Annotation]) -> list[tuple[str, str]]:
    return [
        (one.get_text(), other.get_text())
        for one, other in combinations(names, 2)
        if Bbox.intersection(one.get_window_extent(), other.get_window_extent()) is not None
    ]


def test_the_legend_of_the_shares_stands_in_the_picture_also_in_a_somewhat_wider_font() -> None:
    figure, axes = stacked_shares(report())
    legend = axes.get_legend()
    assert legend is not None
    drawn, picture = legend.get_window_extent(), figure.bbox
    assert picture.x0 + 0.1 * picture.width < drawn.x0 < drawn.x1 < picture.x1 - 0.1 * picture.width
    assert picture.y0 < drawn.y0 < drawn.y1 < axes.bbox.y0


def test_marks_half_a_minute_apart_are_named_without_one_name_over_another() -> None:
    _, names = named(
        report(*((60 + 30 * number, WORDS[number % 3]) for number in range(3)), (300, "W" * 60), (590, "end of class"))
    )
    assert [each.get_text() for each in names] == [*WORDS, cut("W" * 60), "end of class"]
    assert over_each_other(names) == []


@pytest.mark.parametrize("second", [0, 300, 540, 580, 600])
def test_the_name_of_a_mark_stays_in_the_picture_wherever_it_stands(second: float) -> None:
    axes, [name] = named(report((second, "W" * LONGEST_LABEL)))
    drawn, picture = name.get_window_extent(), axes.figure.bbox
    assert axes.bbox.x0 <= drawn.x0 + 1 and drawn.x1 <= picture.x1
    assert axes.bbox.y1 <= drawn.y0 and drawn.y1 <= picture.y1


def test_a_mark_whose_name_has_no_room_keeps_its_line() -> None:
    made = report(*((300 + number, "explanation of it") for number in range(5)))
    _, names = named(made)
    assert len(names) == 2 and over_each_other(names) == []
    drawing = ALL["valence"](made)
    assert drawing.count("stroke: var(--marker)") == 5 and drawing.count("explanation of it") == 2


def test_names_take_the_first_line_that_is_free_and_turn_to_the_left_at_the_end() -> None:
    assert list(placed([(0, 50), (30, 60), (70, 90), (95, 120)], 100)) == [
        Placed(0, 0, False),
        Placed(1, 1, False),
        Placed(2, 0, False),
        Placed(3, 1, True),
    ]
    assert [each.number for each in placed([(0, 50), (1, 51), (2, 52), (80, 90)], 100)] == [0, 1, 3]


def test_a_name_in_letters_that_the_font_lacks_counts_as_a_wide_one() -> None:
    assert width_points("数学の授業") == width_points("WWWWW") > width_points("lesson")
    assert width_points("x" * 60) < width_points("W" * LONGEST_LABEL)
