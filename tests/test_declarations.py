"""What was declared at the start of a run, after the stream of events no longer has it: the audit stream keeps it longer."""

import asyncio
import json

import pytest
from redis.asyncio import Redis

from bot.cli import main
from dashboard.past import read_past
from dashboard.report.compare import read_report
from dashboard.report.model import Report
from pipeline.audit import declared_by_run
from pipeline.events import ConsentGranted, Data
from pipeline.keys import Keys
from tests.dashboards import Lesson
from tests.fakes import Clock
from tests.lessons import STARTS_MS, basis, status
from tests.redis_servers import RedisServer, needs_redis

ROOM = "algebra"
KEYS = Keys("classmood", ROOM)

pytestmark = needs_redis


async def told(redis: Redis, epoch: str, *events: Data) -> None:
    await Lesson(redis, ROOM, epoch).tell(*events)


async def a_class_after(redis: Redis, *declared: Data) -> None:
    """Ten seconds of somebody, after the retention has taken what was declared."""
    await redis.flushall()
    clock = Clock(STARTS_MS)
    lesson = Lesson(redis, ROOM, clock=clock)
    await lesson.tell(*declared)
    await redis.xtrim(KEYS.events, maxlen=0, approximate=False)
    await lesson.begin("Teal Otter")
    clock.pass_seconds(10)
    await lesson.tell(status(1))


def reported(server: RedisServer, capsys: pytest.CaptureFixture[str], *declared: Data) -> Report:
    async def prepare() -> None:
        async with server.client() as redis:
            await a_class_after(redis, *declared)

    asyncio.run(prepare())
    assert main(["report", ROOM, "--format", "json", "--redis-url", server.url]) == 0
    return read_report(capsys.readouterr().out.encode())


def test_a_bot_that_runs_longer_than_the_retention_has_declared_all_the_same(
    server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    report = reported(server, capsys, basis())
    assert [(each.epoch, each.basis, each.names) for each in report.declared] == [("1", "consent", False)]
    assert [each.label for each in report.people.participants] == ["Teal Otter"]
    assert basis().model in report.certainty.models
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
