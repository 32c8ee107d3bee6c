"""Writing files so that they exist completely or not at all."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from bot.errors import SettingsWrong, Trouble


class CannotWrite(Trouble):
    """A file that cannot be written."""

    exit_code = 3


def check_place(path: Path, *, force: bool = False) -> None:
    """Raise SettingsWrong if the path is a folder, or if it exists and `force` is not given."""
    if path.is_dir():
        raise SettingsWrong(f"{path} is a folder: name a file in it")
    if not force and path.exists():
        raise SettingsWrong(f"{path} already exists: --force overwrites it")


def write_whole(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write a file under a temporary name and move it into place; only its owner may read it, because it is about people.

    Raises SettingsWrong as `check_place` does, and CannotWrite if it cannot be written.
    """
    check_place(path, force=force)
    try:
        _replace(path, content)
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}") from None


def write_lines_or_remove(path: Path, lines: Sequence[str]) -> None:
    """Write lines whole, over a file that is there; without any, remove the file: it belongs to an earlier recording."""
    if lines:
        write_whole(path, "".join(f"{line}\n" for line in lines).encode(), force=True)
    else:
        path.unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file():  # such as /dev/stdout or a pipe, which must not be replaced
        path.write_bytes(content)
        return
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:100]}-", delete=False) as beside:
        try:
            beside.write(content)
            beside.flush()
            os.fsync(beside.fileno())
            Path(beside.name).replace(path)
        except BaseException:  # including Ctrl-C
            Path(beside.name).unlink(missing_ok=True)
            raise
