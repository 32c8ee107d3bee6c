"""A plot of how the cost grows with the class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def plot_growth(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot CPU and looks per student over the number of students, in the format that the file's ending names."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6), layout="constrained")
    cost, looks = figure.subplots(2, sharex=True, height_ratios=(2, 1))
    for phase in dict.fromkeys(row["phase"] for row in rows):
        line = sorted((row for row in rows if row["phase"] == phase), key=lambda row: int(row["students"]))
        students = [row["students"] for row in line]
        label = f"{rows[0]['layer']}, {phase}"
        cost.plot(students, [row["cpu_percent_per_student"] for row in line], marker="o", label=label)
        looks.plot(students, [row["looks_per_second_per_student"] for row in line], marker="o")
    cost.set_ylabel("CPU per student, % of a core")
    # both are shown, because a bot that cannot keep up costs less per student but also looks at them less often
    looks.set_ylabel("looks a second at each")
    looks.set_xlabel("students")
    for axes in (cost, looks):
        axes.set_ylim(0, 1.1 * axes.dataLim.ymax)
        axes.grid(alpha=0.3)
    cost.set_xlim(left=0)
    cost.legend()
    figure.savefig(path, dpi=150)
