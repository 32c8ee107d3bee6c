"""Plots of how a training went, and of what its result is worth.

matplotlib is loaded only when a plot is drawn.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.confidence import CALIBRATION_BINS
from model.disk import drafted
from model.faces import EMOTIONS

DOTS_PER_INCH = 120


def draw_curves(rows: Sequence[Mapping[str, float]], picture: Path) -> None:
    """Loss and accuracy of a training's epochs, from the rows of its log, as PNG."""
    figure = _figure(9, 3.6)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for column, label in ((name, "Training, jittered"), (f"val_{name}", "PublicTest")):
            axes.plot([row["epoch"] + 1 for row in rows], [row[column] for row in rows], label=label)
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


def draw_reliability(bins: list[dict[str, Any]], ece: float, picture: Path) -> None:
    """Accuracy by confidence, from the bins of `model.confidence.reliability`, with the share of the faces in each, as PNG."""
    figure = _figure(5, 5)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence, accuracy, count = (np.array([each[name] for each in bins]) for name in ("confidence", "accuracy", "n"))
    width = 0.8 / CALIBRATION_BINS
    upper.plot((0, 1), (0, 1), color="grey", linestyle="--", label="as sure as right")
    upper.bar(confidence, accuracy, width, label=f"measured, expected error {ece:.3f}")
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    upper.legend(loc="upper left")
    lower.bar(confidence, count / count.sum(), width)
    lower.set(xlabel="confidence", ylabel="share of faces")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    _save(figure, picture)


def draw_risk_coverage(curve: list[dict[str, float]], picture: Path) -> None:
    """Accuracy and least confidence of the faces answered for, by their share, as PNG."""
    figure = _figure(6, 4)
    axes = figure.subplots()
    coverage = [point["coverage"] for point in curve]
    axes.plot(coverage, [point["accuracy"] for point in curve], label="accuracy on the faces answered for")
    axes.plot(coverage, [point["confidence"] for point in curve], linestyle="--", label="least confidence of an answer")
    axes.axvline(0.8, color="grey", linewidth=1)
    axes.set(xlabel="share of the faces that are answered for", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    _save(figure, picture)


def draw_evaluation(result: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the plots of a result of `model.evaluate.evaluate` into the folder; returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.png" for name in ("confusion", "reliability", "risk-coverage")]
    draw_confusion(np.array(result["confusion"]), files[0])
    draw_reliability(result["reliability"], result["ece"], files[1])
    draw_risk_coverage(result["risk_coverage"], files[2])
    return files


def _figure(width_inches: float, height_inches: float) -> Any:
    # not pyplot, which keeps every figure and asks for a screen
    from matplotlib.figure import Figure

    return Figure((width_inches, height_inches), dpi=DOTS_PER_INCH, layout="constrained")


def _save(figure: Any, picture: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    with drafted(picture) as draft:
        draft.write_bytes(content.getvalue())
