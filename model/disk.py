"""What a disk that takes no more comes to, files that are there as a whole or not at all, and who may write them."""

import errno
import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import ModelUnusable


@contextmanager
def disk_told(out: Path) -> Iterator[None]:
    """Tell of a disk that takes no more, or of a place that none can be written to, in one line; raises ModelUnusable."""
    try:
        yield
    except BrokenPipeError:  # somebody who reads what is printed meanwhile is gone: no fault of the disk's
        raise
    except OSError as error:
        raise ModelUnusable(f"{out} cannot be written to: {error.strerror or error}") from error


def check_writable(path: Path) -> None:
    """Raise ModelUnusable if no file could be written to that place; nothing is left there."""
    with disk_told(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if not path.exists() or path.is_file():
            with tempfile.TemporaryFile(dir=path.resolve().parent):
                pass


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Keep a file, and what is written beside it, to this process while the block runs, even if it is killed.

    Raises ModelUnusable if another process has it.
    """
    with path.open("r+b") as file:  # for writing: over NFS, an exclusive lock wants that
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelUnusable(f"{path.parent} is in the hands of another process that still runs") from None
        yield


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A place to write the file to; it is moved to its own once the block is done, and left out if the block fails.

    What a link leads to is replaced, not the link; into a pipe, which has no place beside it, it is written as a whole.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        with tempfile.TemporaryDirectory() as elsewhere:
            draft = Path(elsewhere) / path.name
            yield draft
            path.write_bytes(draft.read_bytes())
        return
    draft = path.with_name(f".draft-{path.name}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
