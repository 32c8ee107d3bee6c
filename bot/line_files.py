"""Files that hold whole lines at any moment, and are never overwritten by accident."""

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
"""Recordings hold names and emotions."""

GZIP_FORMAT = zlib.MAX_WBITS | 16
"""zlib's way to ask for a gzip header and trailer."""


class Lines(Protocol):
    """Where whole lines go; a write `may_wait` for a reader without end."""

    may_wait: bool

    def write(self, lines: bytes) -> None:
        """Take these lines, all or none of them; raises RecordingUnusable."""
        ...


class PlainFile:
    """A file that does not end in half a line, even where the disk is full; one to be `overwritten` is emptied with the first."""

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
        self.failed = True  # until all of it is written: a write that waits for a reader may be left behind
        try:
            if self._overwritten and not self.whole and not self.may_wait:
                self._file.truncate(0)  # only now: what is overwritten is not lost for nothing
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            if not self.may_wait:
                self._file.truncate(self._before + self.whole)
            raise RecordingUnusable(f"cannot write {self._name}: {error.strerror}") from None
        self.whole += len(lines)
        self.failed = False


def _end(file: RawIOBase) -> int:
    """Where the next byte goes: behind what a shell's `>>` goes on from, and what others wrote to the same output before."""
    if not file.seekable():
        return 0
    appends = fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND
    return os.fstat(file.fileno()).st_size if appends else file.tell()


class GzipFile:
    """A gzipped file, flushed with every write: a process that is killed leaves what it had written."""

    def __init__(self, file: PlainFile) -> None:
        self.may_wait = file.may_wait
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

    A file that is overwritten stays as it was until the first line comes.

    Raises SettingsWrong where it would overwrite a file without `force`, RecordingUnusable where it cannot write.
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
        return open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)  # no Path leads there
    try:
        return open(path, "wb" if force else "xb", buffering=0, opener=_as_it_is)
    except FileExistsError:
        raise SettingsWrong(f"{path} already exists: --force overwrites it") from None
    except OSError as error:
        raise RecordingUnusable(f"cannot write {path}: {error.strerror}") from None


def _as_it_is(name: str, flags: int) -> int:
    """Open for the owner alone, also what others could read before, without emptying it."""
    descriptor = os.open(name, flags & ~os.O_TRUNC, OWNER_ONLY)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, OWNER_ONLY)
    return descriptor
