"""The command `report`, which reports what happened in a class."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot.errors import NothingHappened, SettingsWrong
from bot.marker_commands import end, moment
from bot.settings import Settings
from bot.words import counted

FORMATS = {"html": ".html", "json": ".json", "csv": ".csv", "md": ".md"}


def add_report_command(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `report` to the parser's commands."""
    parser = command(commands, "report", _report, "report what happened in a class: as a page to read, or as data")
    parser.add_argument("room", nargs="?", metavar="ROOM", help="not needed with --recording or --compare")
    parser.add_argument(
        "--format", choices=FORMATS, help="default: as the name of --out says, otherwise html; md for --compare without --out"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default, or with -: standard output")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    _add_choice_of_class(parser)
    parser.add_argument(
        "--participants",
        choices=("pseudonyms", "names", "none"),
        default="pseudonyms",
        help="how they are listed (default: pseudonyms); names only if the class published names",
    )
    parser.add_argument(
        "--compare", type=Path, nargs="+", metavar="FILE", help="instead of a class: reports in JSON, side by side"
    )


def _add_choice_of_class(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recording", metavar="FILE", help="read the events from a file written by `record` instead of Redis")
    parser.add_argument("--markers", type=Path, metavar="FILE", help="with --recording: its marks, if they lie elsewhere")
    parser.add_argument("--run", metavar="EPOCH", help="only one run of the bot, by its `epoch`")
    parser.add_argument("--since", type=moment, metavar="TIME", help="from then on: 2026-01-31T09:15:00Z, 09:15, or 90m (ago)")
    parser.add_argument(
        "--until", type=end, metavar="TIME", help="until then; without --since and --until, the last class is reported"
    )


def _report(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.whole_files import check_place

    form = _format(arguments)
    if not _is_to_standard_output(arguments):
        check_place(arguments.out, force=arguments.force)  # before anything is read
    if arguments.compare:
        from bot.report_files import compare

        text = compare(arguments.compare, form)
    else:
        text = _of_a_class(arguments, settings, form)
    _deliver(text, arguments)


def _is_to_standard_output(arguments: argparse.Namespace) -> bool:
    return arguments.out is None or str(arguments.out) == "-"


def _format(arguments: argparse.Namespace) -> str:
    """The format that is asked for, or that the name of the file says; raises SettingsWrong for an ending that says none."""
    by_name = {ending: name for name, ending in FORMATS.items()}
    ending = arguments.out.suffix.lower() if arguments.out else ""
    if ending and ending not in by_name and arguments.format is None:
        raise SettingsWrong(f"no report ends in {ending}: name a file that ends in {', '.join(by_name)}, or give --format")
    return str(arguments.format or by_name.get(ending) or ("md" if arguments.compare and not arguments.out else "html"))


def _of_a_class(arguments: argparse.Namespace, settings: Settings, form: str) -> str:
    from bot.report_files import known_cards
    from dashboard.report.build import Options, build
    from dashboard.report.classes import Classes
    from dashboard.report.read import Reading

    reading = Reading(Classes(_wanted(arguments)))
    room, marks = _read(arguments, settings, reading)
    options = Options(
        room,
        time.time_ns() // 1_000_000,
        arguments.participants,
        known_cards(settings.weights),
        from_recording=arguments.recording is not None,
        ends_early=bool(reading.cut_by),
    )
    report = build(reading.classes, marks, reading.broken, options)
    if report is None:
        raise NothingHappened(_why_nothing(arguments, reading, len(marks)))
    return _written(report, form)


def _wanted(arguments: argparse.Namespace) -> Any:
    from dashboard.report.classes import Wanted

    since_ms, until_ms = arguments.since, arguments.until
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise SettingsWrong("--since is not before --until")
    return Wanted(arguments.run, since_ms, until_ms)


def _read(arguments: argparse.Namespace, settings: Settings, reading: Any) -> tuple[str, list[Any]]:
    """Feed the chosen events to `reading`; returns the room's name and its marks."""
    from bot.cli import run_in_loop, say
    from bot.report_files import read_recording, read_redis

    if arguments.recording is not None:
        if arguments.room is not None:
            raise SettingsWrong("report takes either a room or --recording")
        found = read_recording(arguments.recording, arguments.markers, reading)
        if reading.cut_by:
            say(f"{reading.cut_by}; the report is of what came before")
        return found
    if arguments.room is None:
        raise SettingsWrong("report takes a room, --recording or --compare")
    if arguments.markers is not None:
        raise SettingsWrong("--markers goes with --recording")
    return arguments.room, run_in_loop(read_redis(settings, arguments.room, reading))


def _why_nothing(arguments: argparse.Namespace, reading: Any, marks: int) -> str:
    where = arguments.recording or f"room {arguments.room}"
    if not reading.events:
        broken = f", but {reading.broken} entries that are not events" if reading.broken else ""
        marked = f", but {counted(marks, 'mark')}" if marks else ""
        return f"{where} holds no event{broken}{marked}"
    if arguments.run is not None and not reading.classes.events:
        return f"{where} holds no event of run {arguments.run}"
    then = " then" if reading.classes.wanted.is_a_stretch else ""
    return f"{where} holds {reading.events} events, but nobody was in the room{then}"


def _written(report: Any, form: str) -> str:
    from dashboard.report.tables import csv_table, markdown

    if form == "html":
        from dashboard.report.page import page

        return page(report)
    if form == "csv":
        return csv_table(report)
    return markdown(report) if form == "md" else f"{report.model_dump_json()}\n"


def _deliver(text: str, arguments: argparse.Namespace) -> None:
    from bot.cli import say
    from bot.whole_files import write_whole

    if _is_to_standard_output(arguments):
        print(text, end="", flush=True)
    else:
        write_whole(arguments.out, text.encode(errors="replace"), force=arguments.force)
        say(f"written to {arguments.out}")
