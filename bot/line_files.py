"""Files that hold whole lines at any moment, and are never overwritten by accident."""

import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from bot.errors import SettingsWrong
from bot.recordings import RecordingUnusable

OWNER_ONLY = 0o600
"""Recordings hold names and emotions."""

GZIP_FORMAT = zlib.MAX_WBITS | 16
"""zlib's way to ask for a gzip header and trailer."""


class Lines(Protocol):
    """Where whole lines go."""

    def write(self, lines: bytes) -> None:
        """Take these lines, all or none of them; raises RecordingUnusable."""
        ...


class PlainFile:
    """A file that does not end in half a line, even where the disk is full."""

    def __init__(self, file: RawIOBase, name: str) -> None:
        self.whole = 0
        self.failed = False
        self._file = file
        self._name = name

    def write(self, lines: bytes) -> None:
        """Append, or leave the file as it is and raise RecordingUnusable."""
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self.failed = True
            if self._file.seekable():  # not a pipe
                self._file.truncate(self.whole)
            raise RecordingUnusable(f"cannot write {self._name}: {error.strerror}") from None
        self.whole += len(lines)


class GzipFile:
    """A gzipped file, flushed with every write: a process that is killed leaves what it had written."""

    def __init__(self, file: PlainFile) -> None:
        self._file = file
        self._packer = zlib.compressobj(9, zlib.DEFLATED, GZIP_FORMAT)

    def write(self, lines: bytes) -> None:
        """Append, or raise RecordingUnusable."""
        self._file.write(self._packer.compress(lines) + self._packer.flush(zlib.Z_SYNC_FLUSH))

    def close(self) -> None:
        """Write the trailer, without which the file counts as cut off."""
        if self._file.whole and not self._file.failed:
            self._file.write(self._packer.flush())


@contextmanager
def opened_for_lines(path: Path | None, force: bool) -> Iterator[Lines]:
    """A new file, gzipped where its name ends in .gz, or standard output; what stays empty is removed again.

    Raises SettingsWrong where it would overwrite a file without `force`, RecordingUnusable where it cannot write.
    """
    with _created(path, force) as raw:
        file = PlainFile(raw, str(path or "standard output"))
        if path is None or path.suffix != ".gz":
            yield file
        else:
            packed = GzipFile(file)
            try:
                yield packed
            finally:
                packed.close()
    if path is not None and not file.whole and path.is_file():
        path.unlink()


def _created(path: Path | None, force: bool) -> RawIOBase:
    if path is None:
        return open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)  # no Path leads there
    try:
        return open(path, "wb" if force else "xb", buffering=0, opener=_for_the_owner)
    except FileExistsError:
        raise SettingsWrong(f"{path} is there already: --force overwrites it") from None
    except OSError as error:
        raise RecordingUnusable(f"cannot write {path}: {error.strerror}") from None


def _for_the_owner(name: str, flags: int) -> int:
    return os.open(name, flags, OWNER_ONLY)
