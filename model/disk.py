"""Writing files: one-line errors for a full disk, files that are there whole or not at all, and locks."""

import errno
import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import ModelUnusable


@contextmanager
def disk_told(out: Path) -> Iterator[None]:
    """Turn the error of a full disk, or of a place that cannot be written to, into a one-line ModelUnusable."""
    try:
        yield
    except BrokenPipeError:  # whoever read our output is gone, which is not the disk's fault
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
    """Lock a file, and with it what is written beside it, for this process while the block runs; a kill ends the lock too.

    Raises ModelUnusable if another process holds it.
    """
    with path.open("r+b") as file:  # opened for writing, as an exclusive lock needs over NFS
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelUnusable(f"{path.parent} is in the hands of another process that still runs") from None
        yield


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A temporary place to write the file to; the file is moved to `path` once the block is done, and removed if it fails.

    If `path` is a link, its target is replaced; into a pipe or device, where nothing can be moved, the whole content is written.
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
