"""Reading recorded events: files of JSON lines or of one JSON value, gzipped or not, whose content is not trusted."""

import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pydantic_core import from_json

from bot.errors import Trouble

STANDARD_INPUT = "-"

LONGEST_LINE = 1 << 20
"""Most bytes of a line: a longer one is not an event, and must not fill the memory."""

LONGEST_VALUE = 64 << 20
"""Largest size, in bytes, of a file that is one JSON value over several lines, which is read as a whole."""

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class RecordingUnusable(Trouble):
    """A file of events that cannot be read, or whose events cannot be used."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One recorded event as it is in the file; `text` is None if it is longer than `LONGEST_LINE`."""

    place: str
    text: bytes | None


def named(path: str) -> str:
    """What to call a file in messages; `-` is standard input."""
    return "standard input" if path == STANDARD_INPUT else path


def beside(recording: str | Path, what: str) -> Path:
    """The file beside a recording that holds something else of the class: class.WHAT.jsonl beside class.jsonl.gz."""
    path = Path(recording)
    return path.with_name(f"{path.name.removesuffix('.gz').removesuffix('.jsonl')}.{what}.jsonl")


def recorded(path: str) -> Iterator[Line]:
    """The events of a file, or of standard input for `-`, without blank lines; raises RecordingUnusable, perhaps midway."""
    name = named(path)
    try:
        with _opened(path) as file:
            yield from _values(file, name)
    except EOFError:
        raise RecordingUnusable(f"{name} ends too early: the gzip stream is cut off") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise RecordingUnusable(f"{name} is damaged: {error}") from None
    except OSError as error:
        raise RecordingUnusable(f"cannot read {name}: {error.strerror or error}") from None


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD_INPUT:
        yield _unzipped(sys.stdin.buffer)
    else:
        with Path(path).open("rb") as file:
            yield _unzipped(file)


def _unzipped(file: BinaryIO) -> BinaryIO:
    """The file, decompressed if its first bytes are those of gzip: its name proves nothing, and standard input has none."""
    assert isinstance(file, io.BufferedReader)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if file.peek(2)[:2] == _GZIP else file


def _values(file: BinaryIO, name: str) -> Iterator[Line]:
    first = _first_line(file)
    if _opens_a_value(first):
        yield from _whole(first + file.read(LONGEST_VALUE), name)
        return
    number, line = 1, first
    while line:
        if line.strip():
            too_long = len(line) > LONGEST_LINE
            yield Line(f"{name}:{number}", None if too_long else line)
            if too_long:
                _skip_the_rest(file, line)
        number, line = number + 1, file.readline(LONGEST_LINE + 1)


def _first_line(file: BinaryIO) -> bytes:
    return file.readline(LONGEST_LINE + 1).removeprefix(_BYTE_ORDER_MARK)


def _skip_the_rest(file: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(LONGEST_LINE)


def _opens_a_value(line: bytes) -> bool:
    """Whether this first line begins an array, or an object that spans several lines."""
    start = line.strip()
    if start.startswith(b"["):
        return True
    # the first line of such an object ends with a brace or a comma, unlike a single broken line
    return start.startswith(b"{") and start.endswith((b"{", b",")) and not _is_json(start)


def _is_json(text: bytes) -> bool:
    try:
        from_json(text)
    except ValueError:
        return False
    return True


def _whole(text: bytes, name: str) -> Iterator[Line]:
    if len(text) >= LONGEST_VALUE:
        raise RecordingUnusable(f"{name} is one JSON value of more than {LONGEST_VALUE >> 20} MiB: write one event a line")
    try:
        value = from_json(text)
    except ValueError as error:
        raise RecordingUnusable(f"{name} is neither JSON lines nor JSON: {error}") from None
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield Line(f"{name}[{number}]", json.dumps(each).encode())
    else:
        yield Line(name, text)
