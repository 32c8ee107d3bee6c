"""What was declared at the start of a run, once the stream of events no longer has it: the audit stream keeps it longer."""

import asyncio
import json
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.cli import main
from bot.recorded_basis import basis_file, read_basis
from dashboard.past import read_past
from dashboard.report.compare import read_report
from dashboard.report.model import Report
from pipeline.audit import declared_by_run
from pipeline.events import ConsentGranted, Data, Event
from pipeline.follow import events_since
from pipeline.keys import Keys
from tests.dashboards import Lesson
from tests.fakes import Clock
from tests.lessons import STARTS_MS, basis, comes, line, status
from tests.redis_servers import RedisServer, needs_redis

ROOM = "algebra"
KEYS = Keys("classmood", ROOM)

pytestmark = needs_redis


async def told(redis: Redis, epoch: str, *events: Data) -> None:
    await Lesson(redis, ROOM, epoch).tell(*events)


async def a_class_after(redis: Redis, *declared: Data, trimmed: bool = True) -> None:
    """Ten seconds of one participant, after the declarations have been trimmed from the stream, if they are."""
    await redis.flushall()
    clock = Clock(STARTS_MS)
    lesson = Lesson(redis, ROOM, clock=clock)
    await lesson.tell(*declared)
    if trimmed:
        await redis.xtrim(KEYS.events, maxlen=0, approximate=False)
    joins, *is_read = (data for _, data in comes(0, "p0", "Teal Otter"))
    await lesson.tell(joins, ConsentGranted(participant="p0", source="page"), *is_read)
    clock.pass_seconds(10)
    await lesson.tell(status(1))


def prepare(server: RedisServer, *declared: Data, trimmed: bool = True) -> None:
    async def publish() -> None:
        async with server.client() as redis:
            await a_class_after(redis, *declared, trimmed=trimmed)

    asyncio.run(publish())


def reported(server: RedisServer, capsys: pytest.CaptureFixture[str], *declared: Data) -> Report:
    prepare(server, *declared)
    assert main(["report", ROOM, "--format", "json", "--redis-url", server.url]) == 0
    return read_report(capsys.readouterr().out.encode())


def test_a_bot_that_runs_longer_than_the_retention_has_declared_all_the_same(
    server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    report = reported(server, capsys, basis())
    assert [(each.epoch, each.basis, each.names) for each in report.declared] == [("1", "consent", False)]
    assert [each.label for each in report.people.participants] == ["Teal Otter"]
    assert report.certainty.models == (basis().model,)
    assert not any("basis" in note for note in report.notes)


def test_what_was_never_declared_is_on_no_record(server: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    report = reported(server, capsys)
    assert report.declared == () and "No legal basis is on record for this class." in report.notes
    assert "Teal Otter" not in report.model_dump_json()


async def test_each_run_has_what_it_declared_last(redis: Redis) -> None:
    await told(redis, "1", basis(level="aggregate"), basis())
    await told(redis, "2", basis(names=True))
    await redis.xadd(KEYS.audit, {"event": "no json"})
    await redis.xadd(KEYS.audit, {"event": json.dumps({"type": "classmood.basis.stated"})})
    assert await declared_by_run(redis, KEYS) == {"1": basis(), "2": basis(names=True)}


async def test_what_was_declared_is_found_however_many_have_consented_since(redis: Redis) -> None:
    await told(redis, "1", basis(), *(ConsentGranted(participant=f"p{number}", source="page") for number in range(1200)))
    assert (await read_past(redis, KEYS, "1-0")).basis == basis()
    assert await declared_by_run(redis, KEYS) == {"1": basis()}


async def test_in_a_room_where_nothing_was_declared_there_is_nothing(redis: Redis) -> None:
    await told(redis, "1", status(1))
    assert (await read_past(redis, KEYS, "1-0")).basis is None


# beside a recording


def recorded(server: RedisServer, out: Path, *declared: Data, trimmed: bool = True) -> str:
    """What `record` says once it has written that class."""
    prepare(server, *declared, trimmed=trimmed)
    with redirect_stderr(StringIO()) as said:
        command = ["record", ROOM, "--from-start", "--seconds", "0.5", "--out", str(out), "--force"]
        assert main([*command, "--redis-url", server.url]) == 0
    return said.getvalue()


def test_a_recording_has_beside_it_what_was_declared_before_it_began(
    server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "class.jsonl.gz"
    assert ", the declared basis in a file beside it" in recorded(server, recording, basis())
    beside = tmp_path / "class.basis.jsonl"
    assert beside.stat().st_mode & 0o777 == 0o600
    assert [main(["validate", str(each)]) for each in (recording, beside)] == [0, 0]
    capsys.readouterr()
    assert main(["report", "--recording", str(recording), "--format", "json"]) == 0
    report = read_report(capsys.readouterr().out.encode())
    assert [(each.epoch, each.basis) for each in report.declared] == [("1", "consent")]
    assert [each.label for each in report.people.participants] == ["Teal Otter"]


def test_a_replayed_class_declares_first_what_was_declared_before_it_was_recorded(server: RedisServer, tmp_path: Path) -> None:
    recording = tmp_path / "class.jsonl"
    recorded(server, recording, basis(names=True))
    assert main(["replay", str(recording), "--room", "again", "--speed", "max", "--redis-url", server.url]) == 0

    async def played() -> list[Event]:
        async with server.client() as redis:
            return [event async for event in events_since(redis, Keys("classmood", "again"))]

    events = asyncio.run(played())
    assert events[0].typed() == basis(names=True) and len(events) > 5
    assert main(["validate", "--room", "again", "--redis-url", server.url]) == 0


def test_a_recording_that_has_the_declaration_itself_has_none_beside_it(server: RedisServer, tmp_path: Path) -> None:
    recording, beside = tmp_path / "class.jsonl", tmp_path / "class.basis.jsonl"
    beside.write_text("yesterday's")
    assert "beside it" not in recorded(server, recording, basis(), trimmed=False)
    assert not beside.exists()


def test_what_is_no_declaration_in_the_file_beside_a_recording_is_left_out(tmp_path: Path) -> None:
    other = line(0, status(1), 2).decode()
    basis_file(tmp_path / "class.jsonl").write_text("no json\n" + other + "\n" + line(0, basis(), 1).decode() + "\n")
    assert read_basis(tmp_path / "class.jsonl.gz") == {"1": basis()}
    assert read_basis(tmp_path / "another.jsonl") == {}
