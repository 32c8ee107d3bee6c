"""The splits that a network is trained and chosen on: from a folder of mosaics, or from fer2013.csv."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from model.dataset import Split, read_split, repeats
from model.errors import DataUnusable
from model.fer2013_csv import read_fer2013_csv
from model.teachers import read_scores


def read_splits(data: Path, taught_by: Sequence[Path] = ()) -> tuple[Split, Split]:
    """The Training split without what PublicTest repeats, and PublicTest.

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
    return read_training(data), read_split(data / "public-test.png", data / "public-test.csv")


def read_training(data: Path) -> Split:
    """The whole Training split; raises DataUnusable."""
    if _is_csv(data):
        return read_fer2013_csv(data, "Training")[0]
    return read_split(data / "training.png", data / "training.csv")


def _is_csv(data: Path) -> bool:
    try:
        return data.is_file()
    except OSError as error:  # one may not look there
        raise DataUnusable(f"{data} cannot be read: {error.strerror}") from error
