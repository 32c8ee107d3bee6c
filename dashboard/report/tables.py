"""The report as CSV, for spreadsheets and statistics, and as short Markdown."""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import tzinfo

from dashboard.report.model import BeforeAfter, Figures, Person, Report
from dashboard.report.words import began, cell, clock_time, mean, reason, share, signed, undeclared
from model.faces import EMOTIONS, Emotion
from pipeline.coverage import Coverage

COLUMNS = ("report_version", "room", "started_at", "of", "subject", "at_seconds", "seconds", "figure", "value")

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula. Source: https://owasp.org/www-community/attacks/CSV_Injection"""

PLAIN = ("participants", "seen", "scored", "seen_share", "valence")
"""Figures that are a single number."""

Row = tuple[str, str, float, float, str, float]


def csv_table(report: Report) -> str:
    """A row for each figure of each time step, participant and mark; withheld figures have no row.

    Text that a spreadsheet would take for a formula is preceded by an apostrophe.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    start = (report.report_version, harmless(report.room), report.started_at)
    for of, subject, at, seconds, figure, value in _rows(report):
        writer.writerow((*start, of, harmless(subject), at, seconds, figure, value))
    return written.getvalue()


def _rows(report: Report) -> Iterator[Row]:
    for step in report.steps:
        for figure, value in _numbers(step).items():
            yield "class", "", step.at_seconds, step.seconds, figure, value
    for person in report.people.participants:
        for figure, value in _numbers_of(person).items():
            yield "participant", person.label, 0.0, report.seconds, figure, value
    for mark in report.before_after:
        for figure, value in _differences(mark).items():
            yield "mark", mark.label, mark.at_seconds, mark.after_seconds, figure, value


def _numbers(figures: Figures) -> dict[str, float]:
    plain = {name: getattr(figures, name) for name in PLAIN}
    return {
        **{name: value for name, value in plain.items() if value is not None},
        **_prefixed("coverage", figures.coverage),
        **_prefixed("share", figures.shares),
    }


def _numbers_of(person: Person) -> dict[str, float]:
    seconds = {name: getattr(person, name) for name in ("attended_seconds", "seen_seconds", "known_seconds", "changes")}
    valence = {} if person.valence is None else {"valence": person.valence}
    return {**seconds, **_prefixed("coverage_seconds", person.coverage), **_prefixed("share", person.shares), **valence}


def _differences(mark: BeforeAfter) -> dict[str, float]:
    return {
        f"{kind}.{each.figure}": getattr(each, kind)
        for each in mark.differences
        for kind in ("before", "after", "difference", "plus_minus")
    }


def _prefixed(prefix: str, values: Mapping[Emotion, float] | Mapping[Coverage, float] | None) -> dict[str, float]:
    return {f"{prefix}.{name}": value for name, value in (values or {}).items()}


def harmless(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text


def markdown(report: Report, zone: tzinfo | None = None) -> str:
    """The report in brief: the whole class, its phases, its marks, and what to know before believing it."""
    return "\n".join(_lines(report, zone)) + "\n"


def _lines(report: Report, zone: tzinfo | None) -> Iterator[str]:
    overall = report.overall
    yield f"# Class in {cell(report.room)}, {began(report, zone)}\n"
    yield f"{clock_time(report.seconds)} long, {mean(overall.participants)} people on average,"
    unclear = share(report.certainty.unknown_share)
    yield f"{share(overall.seen_share)} of the attended time seen, {unclear} of the seen time unclear.\n"
    yield from (f"- {cell(note)}" for note in report.notes)
    yield from _figures(report)
    yield from _marks(report)
    yield from _attention(report)
    yield from _participants(report)
    yield from _declared(report)


def _figures(report: Report) -> Iterator[str]:
    rows = [("whole class", report.overall), *((phase.label or "(beginning)", phase) for phase in report.phases)]
    yield "\n## Mood\n"
    yield from _header("", "length", "seen", "counted", "valence", *EMOTIONS)
    for name, each in rows:
        shares = (share((each.shares or {}).get(emotion)) for emotion in EMOTIONS)
        yield _row(name, clock_time(each.seconds), share(each.seen_share), mean(each.scored), signed(each.valence), *shares)


def _marks(report: Report) -> Iterator[str]:
    if not report.before_after:
        return
    yield "\n## Before and after each mark\n"
    yield from _header("at", "mark", "people", "valence before", "after", "difference (95 %)", "")
    for each in report.before_after:
        people = f"{mean(each.people_before)} / {mean(each.people_after)}"
        yield _row(clock_time(each.at_seconds), each.label, people, *_valence(each))


def _valence(mark: BeforeAfter) -> tuple[str, str, str, str]:
    for each in mark.differences:
        if each.figure == "valence":
            interval = f"{signed(each.difference)} ± {each.plus_minus:.2f}"
            return signed(each.before), signed(each.after), interval, each.verdict
    return "too little was published", "", "", ""


def _attention(report: Report) -> Iterator[str]:
    if not report.attention:
        return
    yield "\n## Who may have needed help\n\nIn order of time; this is not a ranking.\n"
    yield from _header("at", "who", "why", "for")
    for each in report.attention:
        yield _row(clock_time(each.at_seconds), each.participant, reason(each.reason), clock_time(each.for_seconds))


def _participants(report: Report) -> Iterator[str]:
    yield f"\n## Participants\n\n{cell(report.people.why)}\n"
    if not report.people.participants:
        return
    yield from _header("who", "there", "seen", "known", *EMOTIONS)
    for each in report.people.participants:
        lasted = (clock_time(seconds) for seconds in (each.attended_seconds, each.seen_seconds, each.known_seconds))
        yield _row(each.label, *lasted, *(share((each.shares or {}).get(emotion)) for emotion in EMOTIONS))


def _declared(report: Report) -> Iterator[str]:
    yield "\n## Declared\n"
    for each in report.declared:
        purpose = f", purpose {cell(each.purpose)}" if each.purpose else ""
        yield f"- jurisdiction {cell(each.jurisdiction or 'none')}, basis {cell(each.basis or 'none')}{purpose}, {each.level}"
    if not report.declared:
        yield undeclared(report)
    yield f"\nWeights: {cell(', '.join(report.certainty.models) or 'not known')}."


def _header(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row(*("---" for _ in names))


def _row(*cells: str) -> str:
    return "| " + " | ".join(each if each == "---" else cell(each) for each in cells) + " |"
