"""The command `bench`, which measures what the parts and the whole bot cost."""

import argparse
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.arguments import at_least_one, positive
from bot.errors import SettingsWrong
from bot.settings import Settings

if TYPE_CHECKING:
    from model.dataset import Split

PICTURES = (".png", ".svg")
STUDENTS = (10, 25, 50, 100, 200)


def add_bench_command(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `bench` to the parser's commands."""
    summary = "measure what a face, a look, receiving and a whole room cost on this machine"
    bench = command(commands, "bench", _bench, summary, own_groups=_add_own_groups)
    what = (
        "`model`: a face that is cut out; `pipeline`: a whole look; `receiving`: media alone, compared with plain aiortc;"
        " `room`: the whole bot in a room of replayed students"
    )
    bench.add_argument("what", choices=("model", "pipeline", "receiving", "room"), help=what)
    bench.add_argument("--json", action="store_true", help="machine-readable: an object; for `room`, a list")


def _add_own_groups(bench: argparse.ArgumentParser) -> None:
    model = bench.add_argument_group("model", "with both, the accuracy on these faces is measured, too")
    model.add_argument("--pixels", type=Path, metavar="PNG", help="mosaic of labelled faces, as for evaluate")
    model.add_argument("--labels", type=Path, metavar="CSV", help="their labels")
    room = bench.add_argument_group("room and receiving")
    room.add_argument(
        "--students",
        type=_numbers,
        default=STUDENTS,
        metavar="N,…",
        help="how many (default: 10,25,50,100,200; 50 for receiving)",
    )
    layer = "the lowest simulcast layer (default), or a single stream of 360p"
    room.add_argument("--layer", choices=("simulcast", "single"), default="simulcast", help=layer)
    room.add_argument("--seconds", type=positive, default=20.0, metavar="S", help="length of each measurement (default: 20)")
    room.add_argument("--runs", type=at_least_one, default=3, metavar="N", help="runs to take the median of (default: 3)")
    overload = "also measure while the bot has only one core, and afterwards; each look is published then"
    room.add_argument("--overload", action="store_true", help=overload)
    room.add_argument("--plot", type=Path, metavar="FILE", help="draw the cost per student, as PNG or SVG by the file's name")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(at_least_one(part) for part in text.split(","))


def _bench(arguments: argparse.Namespace, settings: Settings) -> Coroutine[Any, Any, None] | None:
    if arguments.what != "model" and (arguments.pixels or arguments.labels):
        raise SettingsWrong("--pixels and --labels are for bench model: nothing else measures accuracy")
    if arguments.what in _OF_A_CLASS:
        return _OF_A_CLASS[arguments.what](arguments, settings)
    from bot.app import load_analyst
    from bot.bench.model import bench_model
    from bot.bench.pipeline import bench_pipeline
    from model.classifier import LiteRtClassifier

    split = _split(arguments)
    analyst = load_analyst(settings)  # also sets the number of threads as the bot does
    result = bench_model(LiteRtClassifier(settings.weights), split) if arguments.what == "model" else bench_pipeline(analyst)
    print(json.dumps(result)) if arguments.json else _show(result)
    return None


def _split(arguments: argparse.Namespace) -> "Split | None":
    from model.dataset import read_split

    match arguments.pixels, arguments.labels:
        case None, None:
            return None
        case Path(), Path():
            return read_split(arguments.pixels, arguments.labels)
    raise SettingsWrong("--pixels and --labels go together")


async def _bench_room(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.bench.plot import plot_growth
    from bot.bench.room import Plan, bench_room

    if arguments.plot and (arguments.plot.suffix not in PICTURES or not arguments.plot.parent.is_dir()):
        # checked now, because after all the measurements it would be too late
        raise SettingsWrong(f"--plot {arguments.plot}: give a {' or '.join(PICTURES)} file in an existing folder")
    plan = Plan(arguments.students, arguments.layer, arguments.seconds, arguments.runs, arguments.overload)
    rows = await bench_room(settings, plan, lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(rows)) if arguments.json else _show_rooms(rows)
    if arguments.plot:
        plot_growth(rows, arguments.plot)


async def _bench_receiving(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.bench.receiving import bench_receiving

    given = arguments.layer, arguments.seconds, arguments.runs
    students = arguments.students if arguments.students != STUDENTS else (50,)
    rows = [await bench_receiving(count, *given, lambda line: print(line, file=sys.stderr, flush=True)) for count in students]
    if arguments.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            _show(row)


_OF_A_CLASS = {"room": _bench_room, "receiving": _bench_receiving}

_COLUMNS = (
    ("students", "students", "d"),
    ("the bot has", "phase", ""),
    ("CPU, % of a core", "cpu_percent_of_core", ".1f"),
    ("per student", "cpu_percent_per_student", ".2f"),
    ("looks/s each", "looks_per_second_per_student", ".2f"),
    ("taken", "looks_taken_fraction", ".1%"),
    ("slowest/mean", "slowest_to_mean", ".2f"),
    ("frames/s each", "frames_per_second_per_student", ".1f"),
    ("MB", "resident_mb", ".0f"),
    ("sender CPU, %", "room_cpu_percent", ".1f"),
)


def _show_rooms(rows: list[dict[str, Any]]) -> None:
    print(f"{rows[0]['layer']}, medians of runs, of which there are {rows[0]['runs']}, of {rows[0]['seconds']:.0f} s")
    table = [[head for head, _, _ in _COLUMNS] + ["latency p50, p95 ms"]]
    for row in rows:
        latency = row["latency_ms"]
        table.append([format(row[name], form) for _, name, form in _COLUMNS] + [f"{latency['p50']}, {latency['p95']}"])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    for row in rows:
        if "resident_growth_percent" in row:
            minutes = ", ".join(f"{megabytes:.1f}" for megabytes in row["resident_mb_by_minute"])
            print(
                f"{row['students']} students: MB by the minute {minutes}; {row['resident_growth_percent']:+.2f} % after minute 5"
            )


def _show(result: dict[str, Any], indent: str = "") -> None:
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:" + ("" if value else " none installed"))
            _show(value, indent + "  ")
        else:
            print(f"{indent}{name}: {value:.3f}" if isinstance(value, float) else f"{indent}{name}: {value}")
