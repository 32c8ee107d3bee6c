"""Whether a classifier is right equally often about different groups of people, as far as the labels can tell."""

import csv
from dataclasses import dataclass
from math import hypot, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import DataUnusable

LEAST_FACES = 30
"""Faces below which the accuracy of a group says too little to be compared."""

MOST_GROUPS = 50
"""A column with more distinct values than this does not name groups."""

Z_95 = 1.959964
"""The normal quantile of a two-sided interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The group of each face, in the order of the faces; empty where none is stated."""

    column: str
    of_faces: tuple[str, ...]


def read_groups(path: Path, column: str, faces: int) -> Groups:
    """The column of a CSV with one line per face; raises DataUnusable if it is not there or does not fit the number of faces."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            columns = next(reader, [])
            if column not in columns:
                raise DataUnusable(f"{path} has no column {column!r}, it has {', '.join(columns) or 'none'}")
            # if the file has only this column, an empty line is a face whose group is not stated
            lines = [line for line in reader if line or len(columns) == 1]
            values = tuple("".join(line[columns.index(column) :][:1]).strip() for line in lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataUnusable(f"{path} cannot be read: {error}") from error
    _check(path, column, values, faces)
    return Groups(column, values)


def _check(path: Path, column: str, values: tuple[str, ...], faces: int) -> None:
    if len(values) != faces:
        raise DataUnusable(f"{path} has {len(values)} lines, which does not fit the {faces} faces")
    if not (names := set(filter(None, values))):
        raise DataUnusable(f"{path}: the column {column!r} is empty")
    if len(names) > MOST_GROUPS:
        raise DataUnusable(f"{path}: the column {column!r} has {len(names)} values: more than {MOST_GROUPS} are no groups")


def by_group(groups: Groups, right: NDArray[np.bool_]) -> dict[str, Any]:
    """Accuracy of each group with its 95 % interval, and the largest gap between two that are large enough, ready for JSON.

    `right` (n,) says for each face whether the classifier was right about it. The intervals assume that faces are
    independent: with several pictures of one person they are too narrow.
    """
    of_faces = np.array(groups.of_faces)
    hits = {str(name): right[of_faces == name] for name in np.unique(of_faces) if name}
    return {
        "column": groups.column,
        "least_faces": LEAST_FACES,
        "not_stated": int((of_faces == "").sum()),
        "groups": {name: _figures(mask) for name, mask in hits.items()},
        "largest_gap": _largest_gap({name: mask for name, mask in hits.items() if len(mask) >= LEAST_FACES}),
    }


def _figures(right: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "n": len(right),
        "accuracy": float(right.mean()),
        "interval": list(wilson(int(right.sum()), len(right))),
        "too_small": len(right) < LEAST_FACES,
    }


def _largest_gap(hits: dict[str, NDArray[np.bool_]]) -> dict[str, Any] | None:
    """The gap between the groups with the highest and the lowest accuracy; None if there are fewer than two groups."""
    if len(hits) < 2:
        return None
    worse, *_, better = sorted(hits, key=lambda name: float(hits[name].mean()))
    (hits_better, n_better), (hits_worse, n_worse) = ((int(hits[name].sum()), len(hits[name])) for name in (better, worse))
    # the pair is chosen out of all pairs: among ten equal groups, some two are far apart by chance (Bonferroni)
    pairs = len(hits) * (len(hits) - 1) / 2
    gap, interval = difference(hits_better, n_better, hits_worse, n_worse, z=NormalDist().inv_cdf(1 - 0.025 / pairs))
    return {"better": better, "worse": worse, "gap": gap, "interval": list(interval)}


def wilson(hits: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a proportion, of 95 % by default (Wilson 1927, doi 10.1080/01621459.1927.10502953)."""
    share, spread = hits / n, z**2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(share * (1 - share) / n + spread / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(hits: int, n: int, other_hits: int, other_n: int, z: float = Z_95) -> tuple[float, tuple[float, float]]:
    """The difference of two proportions and its interval, of 95 % by default (Newcombe 1998, method 10)."""
    share, other = hits / n, other_hits / other_n
    low, high = wilson(hits, n, z)
    other_low, other_high = wilson(other_hits, other_n, z)
    gap = share - other
    return gap, (gap - hypot(share - low, other_high - other), gap + hypot(high - share, other - other_low))
