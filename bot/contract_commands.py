"""The commands for the event contract: validate, record, replay, and schemas, which writes its documents."""

import argparse
import json
import math
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.arguments import not_negative, positive
from bot.errors import NothingHappened, SettingsWrong
from bot.settings import Settings
from bot.words import counted
from pipeline.keys import Keys


def add_contract_commands(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the four commands to the parser."""
    _add_validate(command(commands, "validate", _validate, "check events against the contract: a file, or a room in Redis"))
    _add_record(command(commands, "record", _record, "write a room's events to a file as they arrive, as JSON lines"))
    _add_replay(command(commands, "replay", _replay, "play a recorded class into Redis as if it were happening now"))
    schemas = command(
        commands, "schemas", _schemas, "write the JSON Schemas, the AsyncAPI document and the tables of docs/events.md"
    )
    schemas.add_argument(
        "--out", type=Path, default=Path("docs"), metavar="FOLDER", help="folder of the documents (default: docs)"
    )


def _add_validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="JSON lines, a JSON array or one event; also gzipped; - for standard input"
    )
    parser.add_argument("--room", metavar="ROOM", help="instead of a file: what the room's stream in Redis holds")
    parser.add_argument("--follow", action="store_true", help="with --room: keep checking new events")
    parser.add_argument("--seconds", type=positive, metavar="S", help="with --follow: end after S seconds")
    parser.add_argument("--allow-gaps", action="store_true", help="treat gaps in the sequence as erased events")
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("room", metavar="ROOM")
    parser.add_argument("--out", type=Path, metavar="FILE", help="FILE.jsonl or FILE.jsonl.gz (default: standard output)")
    parser.add_argument("--seconds", type=positive, metavar="S", help="end after S seconds")
    parser.add_argument("--from-start", action="store_true", help="begin with the oldest event that Redis holds")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="JSON lines as `record` writes them; also gzipped")
    parser.add_argument("--room", metavar="ROOM", help="play into this room (default: the one it was recorded in)")
    parser.add_argument("--speed", type=_speed, default=1.0, metavar="X", help="speed factor (default: 1); 0 or max: all at once")
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until stopped")
    parser.add_argument("--history", action="store_true", help="all at once, dated as if the class had just ended")
    parser.add_argument("--force", action="store_true", help="play into a room where a bot is live")
    parser.add_argument("--json", action="store_true", help="print what was played as one JSON object")


def _validate(arguments: argparse.Namespace, settings: Settings) -> Coroutine[Any, Any, None] | None:
    from bot.recordings import recorded
    from bot.validate import check_lines

    if (arguments.file is None) == (arguments.room is None):
        raise SettingsWrong("validate takes either a file or --room")
    if arguments.file is not None and (arguments.follow or arguments.seconds):
        raise SettingsWrong("--follow and --seconds go with --room")
    if arguments.room is not None:
        return _validate_room(arguments, settings)
    with _findings(arguments) as findings:
        check_lines(recorded(arguments.file), findings)
    return None


@contextmanager
def _findings(arguments: argparse.Namespace) -> Iterator[Any]:
    """Collects what is found while the block runs and prints it at the end; raises what `conclude` raises."""
    from bot.recordings import named
    from bot.validate import Findings, conclude

    findings = Findings(_say if arguments.json else print, arguments.allow_gaps)
    try:
        yield findings
    finally:
        if arguments.json or findings.events:
            print(json.dumps(findings.summary()) if arguments.json else findings.in_words(), flush=True)
    conclude(findings, f"room {arguments.room}" if arguments.room else named(arguments.file))


async def _validate_room(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.redis_client import connect
    from bot.validate import check_room, check_room_as_it_goes

    keys = Keys(settings.key_prefix, arguments.room)
    with _findings(arguments) as findings:
        async with connect(settings) as redis:
            if arguments.follow:
                await check_room_as_it_goes(redis, keys, findings, arguments.seconds, settings.redis_retry_seconds)
            else:
                await check_room(redis, keys, findings)


def _record(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.cli import run_in_loop
    from bot.line_files import opened_for_lines
    from bot.record import Recorder
    from bot.recorded_basis import basis_file
    from bot.recorded_marks import marks_file
    from bot.whole_files import check_place

    keys = Keys(settings.key_prefix, arguments.room)
    if arguments.out is not None:
        check_place(arguments.out, force=arguments.force)
        # another recording may have its own there: class.jsonl and class.jsonl.gz share these files
        check_place(marks_file(arguments.out), force=arguments.force)
        check_place(basis_file(arguments.out), force=arguments.force)
    with opened_for_lines(arguments.out, arguments.force) as lines:
        recorder = Recorder(lines)
        try:
            run_in_loop(_record_room(keys, recorder, arguments, settings))
        finally:
            missing = f", {recorder.sequences.missing} missing in {counted(recorder.gaps, 'gap')}" if recorder.gaps else ""
            left_out = f", {recorder.left_out} entries left out" if recorder.left_out else ""
            marked = f", {counted(recorder.marks, 'mark')} in a file beside it" if recorder.marks else ""
            declared = ", the declared basis in a file beside it" if recorder.declarations else ""
            _say(f"{recorder.events} events recorded{missing}{left_out}{marked}{declared}")
    if not recorder.events:
        raise NothingHappened(f"no event arrived in room {arguments.room}")


async def _record_room(keys: Keys, recorder: Any, arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.record import record
    from bot.recorded_basis import keep_basis
    from bot.recorded_marks import keep_marks
    from bot.redis_client import connect

    how: dict[str, Any] = {"from_start": arguments.from_start, "seconds": arguments.seconds}
    async with connect(settings) as redis:
        try:
            await record(redis, keys, recorder, wait_seconds=settings.redis_retry_seconds, **how)
        finally:
            if arguments.out is not None and recorder.begins_ms is not None:
                recorder.marks = await keep_marks(redis, keys, arguments.out, recorder.begins_ms)
                if arguments.out.is_file():  # beside a pipe nobody would look for it
                    recorder.declarations = await keep_basis(redis, keys, arguments.out, recorder.undeclared)


def _replay(arguments: argparse.Namespace, settings: Settings) -> Coroutine[Any, Any, None]:
    from bot.timeline import survey

    return _replay_recording(survey(arguments.file), arguments, settings)


async def _replay_recording(recording: Any, arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.redis_client import connect
    from bot.replay import Pace, Played, check_that_nobody_is_live, replay

    played = Played()
    keys = Keys(settings.key_prefix, recording.room if arguments.room is None else arguments.room)
    async with connect(settings) as redis:
        if not arguments.force:
            await check_that_nobody_is_live(redis, keys)
        _say(f"{recording.events} events, {recording.seconds:.0f} s, into room {keys.room}")
        try:
            pace = Pace(arguments.speed, arguments.history)
            await replay(redis, keys, recording, settings, pace, played, loop=arguments.loop)
        finally:
            result = {"room": keys.room, "events": played.events, "rounds": played.rounds, "types": dict(played.types)}
            print(json.dumps(result), flush=True) if arguments.json else _say(f"{played.events} events played")


def _schemas(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.contract_documents import write_documents

    for path in write_documents(arguments.out):
        print(path)


def _say(line: str) -> None:
    from bot.cli import say

    say(line)


def _speed(text: str) -> float:
    return (0.0 if text == "max" else not_negative(text)) or math.inf
