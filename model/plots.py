"""What a training looked like, as pictures: its curves, and which emotions the result takes for which.

matplotlib is loaded when a picture is drawn; it comes with the extra `train`.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.faces import EMOTIONS

DOTS_PER_INCH = 120


def draw_curves(log: Path, picture: Path) -> None:
    """Loss and accuracy by epoch, from the CSV that a training writes, as PNG."""
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = _figure(9, 3.6)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for column, label in ((name, "Training, jittered"), (f"val_{name}", "PublicTest")):
            axes.plot([int(row["epoch"]) + 1 for row in rows], [float(row[column]) for row in rows], label=label)
        axes.set(xlabel="epoch", ylabel=name)
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, picture)


def draw_confusion(table: NDArray[np.int64], picture: Path) -> None:
    """A confusion matrix (7, 7), rows the labels, with each row's shares written into it, as PNG."""
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    figure = _figure(5.6, 5)
    axes = figure.subplots()
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    names = [str(emotion) for emotion in EMOTIONS]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="taken for", ylabel="labelled as")
    for row, column in np.ndindex(shares.shape):
        share = shares[row, column]
        axes.text(column, row, f"{share:.0%}", ha="center", va="center", color="white" if share < 0.5 else "black", fontsize=8)
    _save(figure, picture)


def _figure(width_inches: float, height_inches: float) -> Any:
    # not pyplot, which keeps every figure and asks for a screen
    from matplotlib.figure import Figure

    return Figure((width_inches, height_inches), dpi=DOTS_PER_INCH, layout="constrained")


def _save(figure: Any, picture: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    draft = picture.with_name(f"draft-{picture.name}")
    draft.write_bytes(content.getvalue())
    draft.replace(picture)
