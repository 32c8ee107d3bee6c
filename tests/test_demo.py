"""The demo as a newcomer runs it: what it says, and that it leaves nothing behind however it ends."""

import json
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from bot.demo import check, demo, percentiles
from bot.errors import NothingHappened, RoomRefused
from bot.scripts import LESSON, read_script
from bot.settings import Settings, read_settings
from pipeline.follow import events_since
from pipeline.keys import Keys
from pipeline.publish import RedisUnusable
from tests.commands import ended, left_in, started
from tests.redis_servers import PROGRAMS, RedisServer, needs_redis, running_redis

SERVER = PROGRAMS["packaged"]
SAMPLE = "classmood.emotion.sample"
RUNNING = "students are in the room"
SCRIPT = read_script(LESSON)

pytestmark = needs_redis

# Linux says in which folder a process works
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")


def test_it_ends_by_itself_and_tells_what_came_of_every_student_in_one_json_object(tmp_path: Path) -> None:
    code, out, err = ended(tmp_path, "demo", "--students", "2", "--seconds", "3", "--json", "--port", "0")
    assert code == 0, err
    result = json.loads(out)
    assert set(result) == {"students", "dropped", "skipped", "latency_ms", "seconds", "model"}
    assert len({student["id"] for student in result["students"]}) == 2
    for student in result["students"]:
        assert set(student) == {"id", "frames", "looks", "events", "shares"}
        assert student["frames"] > student["looks"] >= student["events"][SAMPLE] > 0
        assert sum(student["shares"].values()) == pytest.approx(1, abs=0.001)
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p95"]
    assert (result["dropped"], result["seconds"]) == (0, 3.0)
    for line in ("be a student", "watch demo", RUNNING):
        assert line in err
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.slow
def test_a_script_says_how_many_come_and_where_only_the_class_is_told_their_looks_are_what_counts(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text("students: 2\nduration_seconds: 60\nsteps:\n  - {at_seconds: 0, who: 1, feel: happy}\n")
    code, out, err = ended(
        tmp_path, "demo", "--script", "two.yaml", "--seconds", "3", "--json", "--port", "0", "--publication", "aggregate"
    )
    assert code == 0, err
    assert [student["events"] for student in json.loads(out)["students"]] == [{}, {}]


# an import is named on standard error when it has finished, which marks moments before the demo says anything
ENDS = [
    (" av\n", signal.SIGTERM, False),
    (RUNNING, signal.SIGINT, True),
    *(
        pytest.param(moment, number, group, marks=pytest.mark.slow)
        for moment in (" bot.demo\n", "hear it live", RUNNING)
        for number, group in ((signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGTERM, True))
        if (moment, number, group) != (RUNNING, signal.SIGINT, True)
    ),
]


@on_linux
@pytest.mark.slow
@pytest.mark.parametrize(("moment", "number", "group"), ENDS)
def test_a_signal_at_any_moment_leaves_no_process_no_port_and_no_folder(
    tmp_path: Path, moment: str, number: signal.Signals, group: bool
) -> None:
    with started(tmp_path, "demo", "--students", "2", "--port", "0", PYTHONPROFILEIMPORTTIME="1") as command:
        command.until_it_says(moment)
        command.signal(number, group=group)
        assert command.exit_code() == (130 if number is signal.SIGINT else 0)
        assert not left_in(tmp_path)
    assert not [port for port in re.findall(r"127\.0\.0\.1:(\d+)", command.err) if answers(int(port))]
    assert not list((tmp_path / "tmp").iterdir())
    assert "Traceback" not in command.err and "never awaited" not in command.err
    assert not command.out


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
async def test_students_without_a_visible_face_fail_the_check_and_all_is_told_to_the_redis_that_was_named() -> None:
    with running_redis(SERVER) as server:
        said: list[str] = []
        result = await demo(of(server, smallest_face_pixels=1000), 1, 1.5, said.append, SCRIPT)
        assert result is not None and said
        async with server.client() as redis:
            kinds = {event.type async for event in events_since(redis, Keys("classmood", "demo"))}
    assert {"classmood.participant.joined", "classmood.coverage.changed"} <= kinds and SAMPLE not in kinds
    assert result["students"][0]["shares"] == {}
    with pytest.raises(NothingHappened, match=r"^emotion events came from only 0 of 1 students$"):
        check(result, 1, sampled=True)


async def test_a_student_who_never_came_is_missed_too() -> None:
    heard = {"events": {SAMPLE: 3}}
    check({"students": [heard, heard]}, 2, sampled=True)
    with pytest.raises(NothingHappened, match="from only 1 of 2 students"):
        check({"students": [heard]}, 2, sampled=True)


async def test_a_port_in_use_is_one_line_where_it_was_asked_for() -> None:
    said: list[str] = []
    with running_redis(SERVER) as server, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RoomRefused, match=rf"^cannot listen on 127\.0\.0\.1 port {port}: [^\n]+$"):
            await demo(of(server, port=port), 1, 1.0, said.append, SCRIPT)
    assert not said


async def test_a_redis_that_refuses_ends_it_before_any_student_comes() -> None:
    said: list[str] = []
    with running_redis(SERVER, "--requirepass", "right") as server, pytest.raises(ExceptionGroup) as group:
        await demo(of(server, redis_password="wrong"), 1, 1.0, said.append, SCRIPT)
    assert group.group_contains(RedisUnusable, match=r"^redis refuses: [^\n]+$") and not said


def test_percentiles_of_too_few_are_none_and_of_many_are_interpolated() -> None:
    assert percentiles([]) == percentiles([3.0]) == {"p50": None, "p95": None}
    assert percentiles(range(101)) == {"p50": 50, "p95": 95}


def of(server: RedisServer, **values: object) -> Settings:
    return read_settings(**{"redis_url": server.url, "port": 0, **values})
