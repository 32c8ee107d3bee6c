"""The sources of a report: a room in Redis, a recording with its marks, or other reports."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from redis.exceptions import RedisError

from bot.errors import RedisRefused
from bot.recorded_basis import read_basis
from bot.recorded_marks import marks_file, read_marks
from bot.recordings import RecordingUnusable, recorded
from bot.redis_client import connect
from bot.settings import Settings
from dashboard.report.compare import (
    ReportUnusable,
    columns,
    compared_csv,
    compared_json,
    compared_markdown,
    read_report,
    remarks,
    table,
)
from dashboard.report.model import Report
from dashboard.report.read import Reading
from model.card import SHIPPED_WEIGHTS, read_card
from model.errors import ModelUnusable
from pipeline.cancellation import cancellable
from pipeline.keys import Keys
from pipeline.markers import Marker, markers
from pipeline.publish import reason

CardFigures = dict[str, dict[str, float]]

MOST_COMPARED = 12
LARGEST_REPORT = 64 << 20
"""Most bytes of a report that is compared."""


async def read_redis(settings: Settings, room: str, reading: Reading) -> list[Marker]:
    """Feed the events that Redis holds of a room to `reading`, and return the room's marks; raises RedisRefused."""
    keys = Keys(settings.key_prefix, room)
    async with connect(settings) as redis:
        try:
            await cancellable(reading.add_room(redis, keys))
            return await cancellable(markers(redis, keys))
        except RedisError as error:
            raise RedisRefused(f"cannot read the room's events from redis: {reason(error)}") from None


def read_recording(path: str, marks: Path | None, reading: Reading) -> tuple[str, list[Marker]]:
    """Feed the events of a recording to `reading`, and return its room and its marks; raises RecordingUnusable.

    A file that is cut off, for instance because the recorder was killed, counts up to that place.
    """
    try:
        reading.classes.declared |= read_basis(path)
        reading.add_lines(line.text for line in recorded(path))
    except RecordingUnusable as error:
        if not reading.events:
            raise
        reading.cut_by = str(error)
    if len(reading.rooms) > 1:
        raise RecordingUnusable(f"{path} holds {len(reading.rooms)} rooms, but a report covers one")
    return unquote(next(iter(reading.rooms), "")), read_marks(marks or marks_file(path), must_be_there=marks is not None)


def known_cards(weights: Path | None) -> CardFigures:
    """The figures in the cards of the shipped and of the configured classifier, by the name that events have for each."""
    cards: CardFigures = {}
    for folder in (SHIPPED_WEIGHTS / "emotion", weights):
        try:
            card = None if folder is None else read_card(folder)
        except ModelUnusable:  # a report needs no weights
            continue
        if card is not None:
            cards[card.name] = {name: each for name, each in card.figures.items() if isinstance(each, float) and 0 <= each <= 1}
    return cards


def compare(paths: Sequence[Path], form: str) -> str:
    """Reports side by side, as text; raises RecordingUnusable for a file that is not a report, or for too few or too many."""
    if not 2 <= len(paths) <= MOST_COMPARED:
        raise RecordingUnusable(f"--compare takes 2 to {MOST_COMPARED} reports, and these are {len(paths)}")
    reports = [_read_report(path) for path in paths]
    headings = columns(reports, [path.name for path in paths])
    if form == "html":
        from dashboard.report.page import compared_page

        return compared_page(reports, headings, table(reports), list(remarks(reports)))
    write = {"csv": compared_csv, "json": compared_json, "md": compared_markdown}[form]
    return write(reports, headings)


def _read_report(path: Path) -> Report:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_REPORT + 1)
        if len(content) > LARGEST_REPORT:
            raise RecordingUnusable(f"{path}: larger than {LARGEST_REPORT >> 20} MiB")
        return read_report(content)
    except OSError as error:
        raise RecordingUnusable(f"cannot read {path}: {error.strerror}") from None
    except ReportUnusable as error:
        raise RecordingUnusable(f"{path}: {error}") from None
