"""The splits that a network is trained, chosen and judged on: from a folder of mosaics, or from fer2013.csv."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from model.dataset import Split, read_split, repeats
from model.errors import DataUnusable
from model.fer2013_csv import read_fer2013_csv, read_usages, split_of
from model.teachers import read_scores

JUDGED = {"PublicTest": "public-test", "PrivateTest": "private-test"}
"""The splits that a network may be judged on, and the names of their files in a folder."""


def read_splits(data: Path, taught_by: Sequence[Path] = ()) -> tuple[Split, Split]:
    """The Training split without the faces that PublicTest repeats, and PublicTest.

    `taught_by` are files of teachers' answers to the whole Training split. Raises DataUnusable for data that do not fit.
    """
    training, test = read_both(data)
    if taught_by:
        training = replace(training, taught=read_scores(taught_by, len(training)))
    return training.only(~repeats(training.pixels, test.pixels)), test


def read_both(data: Path) -> tuple[Split, Split]:
    """The whole Training split, and PublicTest; raises DataUnusable."""
    if _is_csv(data):
        training, test = read_fer2013_csv(data, "Training", "PublicTest")
        return training, test
    return read_training(data), _in_folder(data, "PublicTest")


def read_judged(data: Path, usage: str) -> tuple[Split | None, Split]:
    """The whole Training split, if the data have one, and the split of that usage; raises DataUnusable."""
    if _is_csv(data):
        splits = read_usages(data)
        return splits.get("Training"), split_of(splits, usage, data)
    has_training = any((data / f"training.{kind}").exists() for kind in ("png", "csv"))
    return read_training(data) if has_training else None, _in_folder(data, usage)


def _in_folder(data: Path, usage: str) -> Split:
    name = JUDGED[usage]
    return read_split(data / f"{name}.png", data / f"{name}.csv")


def read_training(data: Path) -> Split:
    """The whole Training split; raises DataUnusable."""
    if _is_csv(data):
        return read_fer2013_csv(data, "Training")[0]
    return read_split(data / "training.png", data / "training.csv")


def _is_csv(data: Path) -> bool:
    try:
        if not data.is_dir() and not data.is_file():
            raise DataUnusable(f"{data} is neither a folder nor a file")
        return data.is_file()
    except OSError as error:  # no permission to look there
        raise DataUnusable(f"{data} cannot be read: {error.strerror}") from error
