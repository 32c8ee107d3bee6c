"""The command line: arguments, settings, logging, signals and exit codes.

Each command imports what it needs when it runs, so that small commands start at once.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from bot.arguments import at_least_one, positive
from bot.basis import stated_basis
from bot.basis_commands import add_basis_command
from bot.errors import RedisRefused, SettingsWrong, Trouble, WeightsWrong
from bot.forget_commands import add_forget_command
from bot.settings import Settings, read_settings, unknown_names
from bot.tasks import no_task_is_left
from model.errors import DataUnusable, ModelUnusable
from pipeline.keys import RoomNameUnusable
from pipeline.publish import RedisUnusable

SETTING = "setting_"
"""The prefix under which argparse stores a setting's flag, so that it cannot clash with a command's own arguments."""

TERMINATE = (signal.SIGTERM, signal.SIGHUP)

Result = TypeVar("Result")
Command = Callable[[argparse.Namespace, Settings], Coroutine[Any, Any, None] | None]
"""Runs a command; one that blocks on files, pipes or computation runs without an event loop, which would hold back signals."""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; Ctrl-C comes out as KeyboardInterrupt."""
    try:
        arguments = _parser().parse_args(argv)
        settings = read_settings(**_flags(arguments))
        _log(settings)
        if (work := arguments.command(arguments, settings)) is not None:
            run_in_loop(work)
    except asyncio.CancelledError:  # SIGTERM, SIGHUP
        return 0
    except BaseExceptionGroup as group:
        return _told(group)
    except (Trouble, ModelUnusable, DataUnusable, RedisUnusable, RoomNameUnusable) as error:
        return _told(error)
    return 0


def run_in_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """Run the work in an event loop of its own and return its result.

    Raises CancelledError on SIGTERM and SIGHUP, and KeyboardInterrupt on Ctrl-C.
    """
    # receiving costs four fifths of what it does in the standard loop
    import uvloop

    before = {number: signal.getsignal(number) for number in TERMINATE}
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        return runner.run(_until_terminated(work))
    finally:
        # Runner.close would wait forever for a library's task that ignores its cancellation
        if runner.get_loop().run_until_complete(no_task_is_left()):
            runner.close()
        for number, handler in before.items():  # uvloop leaves its own handlers, with which later work could not be ended
            signal.signal(number, handler)


async def _until_terminated(work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work until it is done or cancelled by SIGTERM or SIGHUP, as the runner does for SIGINT; its blocks then clean up.

    A signal that is ignored stays so, such as SIGHUP under `nohup`.
    """
    task = asyncio.current_task()
    assert task is not None
    for number in TERMINATE:
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await work


def _told(error: BaseException) -> int:
    """Print the first error that the operator can do something about, in one line, and return its exit code.

    Raises the error itself if it is or contains no such error.
    """
    trouble = _first_trouble(error)
    if trouble is None:
        raise error
    print(f"classmood: {trouble}", file=sys.stderr)
    return trouble.exit_code


def _first_trouble(error: BaseException) -> Trouble | None:
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_first_trouble, error.exceptions)), None)
    if isinstance(error, (ModelUnusable, DataUnusable)):
        return WeightsWrong(str(error))
    if isinstance(error, RedisUnusable):
        return RedisRefused(str(error))
    if isinstance(error, RoomNameUnusable):
        return SettingsWrong(str(error))
    return error if isinstance(error, Trouble) else None


def _log(settings: Settings) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("aioice", "aiortc", "aiohttp.access", "libav"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    # it warns of every frame before a stream's first keyframe, which is normal
    logging.getLogger("aiortc.rtcrtpreceiver").setLevel(logging.ERROR)
    for line in unknown_names():
        logging.getLogger(__name__).warning(line)


def say(line: str) -> None:
    """Print a line for people, on standard error: standard output is for results alone."""
    print(line, file=sys.stderr, flush=True)


def show_json(result: object) -> None:
    """Print a result for machines: one JSON value on standard output."""
    print(json.dumps(result), flush=True)


async def _demo(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.demo import check, demo

    if "log_level" not in settings.model_fields_set:
        logging.getLogger().setLevel(logging.WARNING)  # so that a newcomer sees only what `say` prints
    from bot.scripts import LESSON, read_script

    script = read_script(arguments.script or LESSON)
    count = arguments.students or script.students
    result = await demo(settings, count, arguments.seconds, say, script)
    if result is None:
        return
    if arguments.json:
        show_json(result)
    else:
        _show_demo(result)
    check(result, count, sampled=settings.publication == "individual" and settings.sample_seconds > 0)


def _show_demo(result: dict[str, Any]) -> None:
    for student in result["students"]:
        samples = student["events"].get("classmood.emotion.sample", 0)
        strongest = max(student["shares"].items(), key=lambda share: share[1], default=("nothing", 0.0))
        print(
            f"{student['id']}: {student['frames']} frames, {student['looks']} looks, {samples} samples,"
            f" mostly {strongest[0]} ({strongest[1]:.0%})"
        )
    latency = result["latency_ms"]
    if latency["p50"] is not None:  # only samples are measured, and none are published about a class as a whole
        print(f"frame received to Redis: {latency['p50']} ms at the median, {latency['p95']} ms at the 95th percentile")


async def _join(arguments: argparse.Namespace, settings: Settings) -> None:
    stated_basis(settings)  # before anything heavy is loaded or a room is joined
    from bot.app import attend, load_analyst
    from bot.redis_client import connect
    from bot.rooms.local import LocalRoom
    from bot.rooms.opening import open_room

    analyst = load_analyst(settings)
    async with connect(settings) as redis, open_room(arguments.room_url, settings) as room:
        if isinstance(room, LocalRoom):
            say(f"students open {room.url}/ in a browser, or publish to {room.whip_url} by WHIP")
        await attend(room, redis, analyst, settings)


async def _simulate(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.scripts import LESSON
    from bot.students import Class, simulate

    who = Class(arguments.students, tuple(arguments.video), arguments.script or LESSON)
    await simulate(arguments.room_url, who, arguments.seconds, settings)


def _analyse(arguments: argparse.Namespace, settings: Settings) -> None:
    from rich.progress import track

    from bot.analyse import analyse_file
    from bot.app import load_analyst, mood_rules
    from bot.video_files import check_readable

    for path in arguments.video:
        check_readable(path)  # every file, before hours are spent on the first
    analyst, console, results = load_analyst(settings), _console(), []
    for path in track(arguments.video, "analysing", console=console, transient=True, disable=not console.is_terminal):
        results.append(analyse_file(path, analyst, mood_rules(settings), settings.looks_per_second))
        if not arguments.json:
            _show_timeline(results[-1])  # at once: the next file may be long, or fail
    if arguments.json:
        show_json(results)


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _show_timeline(result: dict[str, Any]) -> None:
    print(f"{result['file']}: {result['seconds']:.1f} s, {result['looks']} looks")
    print("  " + ", ".join(f"{state} {share:.0%}" for state, share in result["coverage"].items()))
    before = None
    for entry in result["timeline"]:
        now = entry["emotion"] or entry["coverage"]
        if now != before:
            print(f"  {entry['at_ms'] / 1000:8.1f} s  {now}")
        before = now


async def _watch(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.watch import watch

    await watch(settings, arguments.room)


async def _dashboard(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.dashboard_command import dashboard

    await dashboard(settings, say)


async def _health(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.health import health

    await health(settings, arguments.room)


def _settings(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.settings_table import settings_table

    print(settings_table())


class _Help(argparse.HelpFormatter):
    """Leaves the settings out of the usage line, which also precedes every error: there are some seventy, listed below it."""

    def add_usage(self, usage: str | None, actions: Iterable[argparse.Action], groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, [action for action in actions if not action.dest.startswith(SETTING)], groups, prefix)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="classmood", description="Joins an online class and publishes its mood to Redis.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    script = "the lesson that they play (YAML; default: a lesson of three minutes)"
    demo = _command(
        commands, "demo", _demo, "a complete demonstration: Redis, a room, simulated students, the bot and the dashboard"
    )
    demo.add_argument("--students", type=at_least_one, metavar="N", help="how many (default: the script's number, or 12)")
    demo.add_argument("--script", type=Path, metavar="FILE", help=script)
    demo.add_argument("--seconds", type=positive, metavar="S", help="end after S seconds and print what was published")
    demo.add_argument("--json", action="store_true", help="with --seconds: the result as one JSON object")

    join = _command(commands, "join", _join, "join a room as the bot, and publish until the room closes or it is stopped")
    join.add_argument(
        "room_url", metavar="ROOM_URL", help="local://ROOM: the bot hosts the room; janus://HOST:PORT/ROOM: it joins one"
    )

    simulate = _command(commands, "simulate", _simulate, "publish simulated students into a room")
    simulate.add_argument(
        "room_url", metavar="ROOM_URL", help="local://ROOM at --host and --port, janus://HOST:PORT/ROOM, or a WHIP URL"
    )
    simulate.add_argument("--students", type=at_least_one, metavar="N", help="how many (default: the script's number, or 12)")
    shown = simulate.add_mutually_exclusive_group()
    shown.add_argument("--script", type=Path, metavar="FILE", help=script)
    video = "show these video files instead of simulated students"
    shown.add_argument("--video", type=Path, nargs="+", action="extend", default=[], metavar="FILE", help=video)
    simulate.add_argument("--seconds", type=positive, metavar="S", help="leave after S seconds")

    analyse = _command(commands, "analyse", _analyse, "read emotions in recorded video files")
    analyse.add_argument("video", type=Path, nargs="+", metavar="VIDEO")
    analyse.add_argument("--json", action="store_true", help="a JSON array with an object per file")

    watch = _command(commands, "watch", _watch, "show a live table of a room in the terminal, read from Redis")
    watch.add_argument("room", nargs="?", metavar="ROOM", help="not needed if there is only one")

    _command(commands, "dashboard", _dashboard, "serve the teacher's web page: the class at a glance, read from Redis")

    health = _command(commands, "health", _health, "exit with 0 if Redis holds a live bot's status")
    health.add_argument("room", nargs="?", metavar="ROOM", help="default: any room")

    add_forget_command(commands, _command)

    add_basis_command(commands, _command)
    _command(commands, "settings", _settings, "print the table of all settings, as in the README")
    _add_model_commands(commands)
    return parser


def _add_model_commands(commands: Any) -> None:
    from bot.bench_commands import add_bench_command
    from bot.contract_commands import add_contract_commands
    from bot.forward_commands import add_forward_command
    from bot.marker_commands import add_mark_command
    from bot.model_commands import add_model_commands
    from bot.report_commands import add_report_command
    from bot.student_commands import add_student_commands

    add_contract_commands(commands, _command)
    add_forward_command(commands, _command)
    add_mark_command(commands, _command)
    add_report_command(commands, _command)
    add_model_commands(commands, _command)
    add_student_commands(commands, _command)
    add_bench_command(commands, _command)


def _command(
    commands: Any,
    name: str,
    run: Command,
    summary: str,
    own_groups: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    **meanings: str,
) -> argparse.ArgumentParser:
    """A command; `own_groups` adds arguments that its help lists before the settings.

    `meanings` are of settings that mean something else here.
    """
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary, formatter_class=_Help)
    parser.set_defaults(command=run)
    own_groups(parser)
    group = parser.add_argument_group(
        "settings", "each also as CLASSMOOD_NAME in the environment or in .env; flags override both"
    )
    taken = {"students", "seconds", "json", "video", "script"}
    for field, info in Settings.model_fields.items():
        # a secret on the command line would be visible in every process list
        if info.annotation is not SecretStr and field not in taken:
            flag = "--" + field.replace("_", "-")
            meaning = meanings.get(field, info.description or "").replace("%", "%%")
            group.add_argument(flag, dest=f"{SETTING}{field}", metavar="VALUE", help=meaning)
    return parser


def _flags(arguments: argparse.Namespace) -> dict[str, object]:
    given = {name.removeprefix(SETTING): value for name, value in vars(arguments).items() if name.startswith(SETTING)}
    return {name: value for name, value in given.items() if value is not None}
