"""Reports of several classes side by side: the same figures by the same definitions."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence

from pydantic import ValidationError

from dashboard.report.model import REPORT_VERSION, Report
from dashboard.report.tables import harmless
from dashboard.report.words import began, cell, clock_time, mean, share, signed
from model.faces import EMOTIONS

Table = list[tuple[str, list[str]]]

_WORDS: dict[str, Callable[[Report], str]] = {
    "began": began,
    "length": lambda report: clock_time(report.seconds),
    "people on average": lambda report: mean(report.overall.participants),
    "seen": lambda report: share(report.overall.seen_share),
    "unclear": lambda report: share(report.certainty.unknown_share),
    "shares published for": lambda report: clock_time(report.overall.published_seconds),
    "valence": lambda report: signed(report.overall.valence),
}


class ReportUnusable(ValueError):
    """A text that is not a report of this version; the message is one line."""


def read_report(text: bytes) -> Report:
    """A report from its JSON; raises ReportUnusable."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReportUnusable(f"it is not JSON: {error}") from None
    version = value.get("report_version") if isinstance(value, dict) else None
    if version != REPORT_VERSION:
        raise ReportUnusable(f"it is not a report of version {REPORT_VERSION}: make it with `classmood report --format json`")
    try:
        return Report.model_validate(value)
    except ValidationError as error:
        [first, *_] = error.errors(include_input=False, include_url=False)
        raise ReportUnusable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def table(reports: Sequence[Report]) -> Table:
    """A row for each figure, with a value for each report."""
    rows = [(name, [say(report) for report in reports]) for name, say in _WORDS.items()]
    return rows + [(each.value, [share((report.overall.shares or {}).get(each)) for report in reports]) for each in EMOTIONS]


def remarks(reports: Sequence[Report]) -> Iterator[str]:
    """Sentences on why the reports may not be comparable."""
    yield "What differs between two classes may be the people, the hour, the light or the subject. Never grade anybody by it."
    if len({report.certainty.models for report in reports}) > 1:
        yield "They were read by different weights: their shares are not comparable."
    if any(report.overall.shares is None for report in reports):
        yield "Where there is a dash, nothing was published."
    if len({report.room for report in reports}) > 1:
        yield "They are of different rooms."


def columns(reports: Sequence[Report], names: Sequence[str]) -> list[str]:
    """A heading for each report: its room, followed by the file's name if several reports are of that room."""
    rooms = [report.room for report in reports]
    return [room if rooms.count(room) == 1 else f"{room} ({name})" for room, name in zip(rooms, names, strict=True)]


def compared_markdown(reports: Sequence[Report], headings: Sequence[str]) -> str:
    """The table as Markdown."""
    lines = [f"- {each}" for each in remarks(reports)]
    lines += ["", _row("", *headings), _row(*("---" for _ in ("", *headings)))]
    lines += [_row(name, *values) for name, values in table(reports)]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(each if each == "---" else cell(each) for each in cells) + " |"


def compared_csv(reports: Sequence[Report], headings: Sequence[str]) -> str:
    """The table as CSV."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["figure", *map(harmless, headings)])
    writer.writerows([name, *values] for name, values in table(reports))
    return written.getvalue()


def compared_json(reports: Sequence[Report], headings: Sequence[str]) -> str:
    """The figures of each whole class as JSON."""
    return json.dumps(
        {
            "report_version": REPORT_VERSION,
            "remarks": list(remarks(reports)),
            "classes": [
                {"name": heading, "started_at": report.started_at, "overall": report.overall.model_dump(mode="json")}
                for heading, report in zip(headings, reports, strict=True)
            ],
        },
        ensure_ascii=False,
    )
