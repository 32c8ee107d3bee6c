"""Files that hold only whole lines at any moment, and are never overwritten by accident."""

import fcntl
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from bot.errors import SettingsWrong
from bot.recordings import RecordingUnusable

OWNER_ONLY = 0o600
"""Mode of the files: recordings hold names and emotions."""

GZIP_FORMAT = zlib.MAX_WBITS | 16
"""The `wbits` by which zlib writes a gzip header and trailer."""


class Lines(Protocol):
    """Where whole lines are written; if `may_wait`, a write may wait for a reader without limit."""

    may_wait: bool

    def write(self, lines: bytes) -> None:
        """Write all of these lines, or none of them and raise RecordingUnusable."""
        ...


class PlainFile:
    """A file that never ends in half a line, even if the disk is full; with `overwritten`, the first write empties it."""

    def __init__(self, file: RawIOBase, name: str, *, overwritten: bool = False) -> None:
        self.whole = 0
        self.failed = False
        self.may_wait = not file.seekable()
        self._file = file
        self._name = name
        self._before = 0 if overwritten else _end(file)
        self._overwritten = overwritten

    def write(self, lines: bytes) -> None:
        """Append, or leave the file as it is and raise RecordingUnusable."""
        rest = memoryview(lines)
        self.failed = True  # until all is written: a write that waits for a reader may be abandoned
        try:
            if self._overwritten and not self.whole and not self.may_wait:
                self._file.truncate(0)  # only now, so that the old content is not lost for nothing
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            if not self.may_wait:
                self._file.truncate(self._before + self.whole)
            raise RecordingUnusable(f"cannot write {self._name}: {error.strerror}") from None
        self.whole += len(lines)
        self.failed = False


def _end(file: RawIOBase) -> int:
    """The offset of the next byte, after what the file held before `>>` or what others wrote to the same output."""
    if not file.seekable():
        return 0
    appends = fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND
    return os.fstat(file.fileno()).st_size if appends else file.tell()


class GzipFile:
    """A gzipped file, flushed with every write, so that a killed process leaves all that it had written."""

    def __init__(self, file: PlainFile) -> None:
        self.may_wait = file.may_wait
        self._file = file
        self._packer = zlib.compressobj(9, zlib.DEFLATED, GZIP_FORMAT)

    def write(self, lines: bytes) -> None:
        """Append, or raise RecordingUnusable."""
        self._file.write(self._packer.compress(lines) + self._packer.flush(zlib.Z_SYNC_FLUSH))

    def close(self) -> None:
        """Write the trailer, without which the file would count as truncated."""
        if self._file.whole and not self._file.failed:
            self._file.write(self._packer.flush())


@contextmanager
def opened_for_lines(path: Path | None, force: bool) -> Iterator[Lines]:
    """A new file, gzipped if its name ends in .gz, or standard output; a new file that stays empty is removed again.

    A file that is overwritten stays as it was until the first line is written.

    Raises SettingsWrong if the file exists and `force` is not given, and RecordingUnusable if it cannot be written.
    """
    is_new = path is not None and not path.exists()
    with _created(path, force) as raw:
        file = PlainFile(raw, str(path or "standard output"), overwritten=path is not None)
        try:
            with closing(GzipFile(file)) if path is not None and path.suffix == ".gz" else nullcontext(file) as lines:
                yield lines
        finally:
            if path is not None and is_new and not file.whole:
                path.unlink(missing_ok=True)


def _created(path: Path | None, force: bool) -> RawIOBase:
    if path is None:
        return open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)  # standard output has no Path
    try:
        return open(path, "wb" if force else "xb", buffering=0, opener=_as_it_is)
    except FileExistsError:
        raise SettingsWrong(f"{path} already exists: --force overwrites it") from None
    except OSError as error:
        raise RecordingUnusable(f"cannot write {path}: {error.strerror}") from None


def _as_it_is(name: str, flags: int) -> int:
    """Open a file without emptying it, for the owner alone even if others could read it before."""
    descriptor = os.open(name, flags & ~os.O_TRUNC, OWNER_ONLY)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, OWNER_ONLY)
    return descriptor
