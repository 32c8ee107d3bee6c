"""Resumes a training after a kill: its state at the end of an epoch, and the log up to there."""

import csv
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from model.disk import drafted
from model.errors import ModelUnusable, first_line
from model.networks import save

Row = dict[str, float]

BACKUP_FILE = "backup.keras"
LOG_FILE = "log.csv"

COLUMNS = {"epoch", "accuracy", "loss", "val_accuracy", "val_loss"}
"""Columns that every line of the log has."""


class Backup(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Saves the network and its optimizer at the end of each epoch, in one file that is there whole or not at all.

    Keras' own callback writes HDF5 directly to disk, which ends in a segmentation fault if the disk is full (HDF5 1.14), and
    keeps the epoch in a second file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        save(self.model, self._path)


class Log(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Writes a line of CSV for each epoch, after those from before a kill; `rows` are all of them."""

    def __init__(self, path: Path, rows: Sequence[Row]) -> None:
        super().__init__()
        self.rows = list(rows)
        self._path = path

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        self.rows.append({"epoch": epoch, **logs})
        write_log(self._path, ["epoch", *sorted(logs)], self.rows)


def write_log(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Write a log as CSV, whole or not at all; values that a row lacks stay empty."""
    with drafted(path) as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


class Patience(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Ends a training that, by its log, has not improved for so many epochs; it must come after the log's callback."""

    def __init__(self, patience: int, log: Log) -> None:
        super().__init__()
        self._patience = patience
        self._log = log

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        if ran_out(self._log.rows, self._patience):
            self.model.stop_training = True


def ran_out(rows: Sequence[Row], patience: int) -> bool:
    """Whether the best validation accuracy is at least `patience` epochs old."""
    accuracies = [row["val_accuracy"] for row in rows]
    return bool(accuracies) and len(accuracies) - 1 - int(np.argmax(accuracies)) >= patience


def restored(network: keras.Model, backup: Path, steps: int) -> int:
    """Restore a compiled network and its optimizer from the backup; returns how many epochs of `steps` batches are done.

    Without a backup, nothing changes. Raises ModelUnusable for a file that is not a backup of this network.
    """
    if not backup.exists():
        return 0
    network.optimizer.build(network.trainable_variables)
    try:
        network.load_weights(backup)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelUnusable(f"{backup} cannot be gone on from: {first_line(error)}") from error
    return int(keras.ops.convert_to_numpy(network.optimizer.iterations)) // steps


def logged(path: Path, epochs: int) -> list[Row]:
    """The log's rows of the first `epochs` epochs, without what a kill or a full disk left of others.

    Raises ModelUnusable for a file that cannot be read.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="") as file:
            rows = list(filter(None, map(_row, csv.DictReader(file))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelUnusable(f"{path} cannot be read: {first_line(error)}") from error
    # of an epoch that was trained again, the last row counts
    known = {int(row["epoch"]): row | {"epoch": int(row["epoch"])} for row in rows}
    return [row for epoch, row in sorted(known.items()) if epoch < epochs]


def _row(line: dict[str, str | None]) -> Row | None:
    """The figures of an epoch; None for an incomplete line."""
    try:
        row = {name: float(value or "") for name, value in line.items()}
    except (ValueError, TypeError):  # TypeError: more figures than there are columns
        return None
    return row if row.keys() >= COLUMNS and all(map(math.isfinite, row.values())) else None
