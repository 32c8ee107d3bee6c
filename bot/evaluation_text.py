"""The result of an evaluation as text, for people to read in a terminal."""

from collections.abc import Iterator
from typing import Any

from model.faces import EMOTIONS


def readable(result: dict[str, Any]) -> str:
    """The result of `judge` as text, one line for each figure or row."""
    told = {name: value for name, value in result.items() if not isinstance(value, dict | list) and name != "by_group"}
    lines = [f"{name}: {_number(value)}" for name, value in told.items()]
    lines += _classes(result["per_class"], result["crowd_recall"])
    lines += _confusion(result["confusion"])
    lines += _coverage(result["risk_coverage"])
    if result["by_group"]:
        lines += _groups(result["by_group"])
    if "robustness" in result:
        lines += _robustness(result["robustness"])
    return "\n".join(lines)


def _classes(per_class: dict[str, Any], crowd: dict[str, float | None]) -> Iterator[str]:
    for label, figures in per_class.items():
        recall, precision = (_share(figures[name]) for name in ("recall", "precision"))
        people = "" if crowd[label] is None else f"  people {crowd[label]:.3f}"
        yield f"{label:>9}: recall {recall}  precision {precision}  n {figures['n']}{people}"


def _share(value: float | None) -> str:
    return f"{'none':>5}" if value is None else f"{value:.3f}"


def _confusion(table: list[list[int]]) -> Iterator[str]:
    """The confusion matrix: rows are labels, columns what faces with that label were taken for."""
    yield f"{'taken for':>9}  " + "".join(f"{emotion:>9}" for emotion in EMOTIONS)
    for emotion, row in zip(EMOTIONS, table, strict=True):
        yield f"{emotion:>9}: " + "".join(f"{count:9d}" for count in row)


def _coverage(curve: list[dict[str, float]]) -> Iterator[str]:
    for point in curve[::10]:
        covered, accuracy, confidence = point["coverage"], point["accuracy"], point["confidence"]
        yield f"share answered {covered:.0%}: accuracy {accuracy:.3f}, confidence from {confidence:.3f}"


def _robustness(found: dict[str, Any]) -> Iterator[str]:
    """A line for each place, crop, tilt and path."""
    yield f"on {found['faces']} faces:"
    squares, video = found["squares"], found["video"]
    for name, place in squares.get("places", {}).items():
        yield f"{name:>12}: {place['median']:.3f} ({place['p10']:.3f} to {place['p90']:.3f})"
    for row in found["crops"]:
        where = f"crop {row['crop']:.1f}, {row['right']:+.2f} right, {row['down']:+.2f} down"
        yield f"{where}: accuracy {row['accuracy']:.3f}, lost {row['lost']:+.3f}"
    for row in found["tilts"]:
        read = f", accuracy {row['levelled']:.3f}, not levelled {row['as_it_is']:.3f}" if row["found"] else ""
        yield f"heads tilted by {row['tilt']:+.0f} degrees: {row['found']:.3f} of them found{read}"
    for name, path in (("found and cut", squares), ("through VP8", video)):
        lost = f", accuracy {path['accuracy']:.3f}, lost {path['lost']:+.3f}" if path["found"] else ""
        yield f"{name}: {path['found']:.3f} of them{lost}"


def _groups(found: dict[str, Any]) -> Iterator[str]:
    """A line for each group, and one for the largest gap."""
    for name, figures in found["groups"].items():
        low, high = figures["interval"]
        small = f"  too small: under {found['least_faces']}" if figures["too_small"] else ""
        yield f"{name:>9}: accuracy {figures['accuracy']:.3f} (95 %: {low:.3f} to {high:.3f})  n {figures['n']}{small}"
    if found["not_stated"]:
        yield f"{'':>9}  no group stated for {found['not_stated']} faces"
    if gap := found["largest_gap"]:
        low, high = gap["interval"]
        yield f"largest gap: {gap['gap']:.3f} (95 %: {low:.3f} to {high:.3f}), {gap['better']} over {gap['worse']}"
    else:
        yield f"largest gap: none, fewer than two groups have {found['least_faces']} faces"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
