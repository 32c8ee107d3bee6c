"""The teacher's marks in a room: which are accepted, which are refused, and how they are read back."""

import json
import time
from datetime import datetime

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from bot.errors import RedisRefused, SettingsWrong
from bot.marker_commands import end, last_time, make_mark, moment
from bot.settings import Settings
from pipeline.events import BotStatus
from pipeline.keys import Keys
from pipeline.markers import MOST_MARKERS, MarkRefused, mark, markers, new_marker
from pipeline.publish import Publisher
from tests.fakes import Clock
from tests.redis_servers import RedisServer, free_port, needs_redis

pytestmark = needs_redis

KEYS = Keys("classmood", "demo")
AN_HOUR_MS = 3_600_000


def settings(server: RedisServer) -> Settings:
    return Settings(redis_url=server.url, _env_file=None)  # type: ignore[arg-type, call-arg]


async def test_marks_come_back_in_the_order_of_their_times(redis: Redis) -> None:
    await mark(redis, KEYS, "exercise", 2000, kind="work")
    await mark(redis, KEYS, "explanation", 1000)
    assert [(each.label, each.at_ms, each.kind) for each in await markers(redis, KEYS)] == [
        ("explanation", 1000, ""),
        ("exercise", 2000, "work"),
    ]


async def test_a_room_without_marks_has_none(redis: Redis) -> None:
    assert await markers(redis, KEYS) == []


@pytest.mark.parametrize("label", ["", "   ", "x" * 61, "two\nlines", "bell\a", "left\u202eto right", "\u2028", "half \ud800"])
async def test_a_label_out_of_bounds_is_refused_in_one_line(redis: Redis, label: str) -> None:
    with pytest.raises(MarkRefused, match=r"\Alabel: .+\Z"):
        await mark(redis, KEYS, label)
    assert await redis.exists(KEYS.markers) == 0


@pytest.mark.parametrize("label", ["x", "ü" * 60, "  trimmed  ", "<b>&amp;", "👩‍🏫 Übung", "تمرین\u200cها"])  # noqa: RUF001
async def test_a_label_in_any_script_is_taken(redis: Redis, label: str) -> None:
    assert (await mark(redis, KEYS, label)).label == label.strip()


@pytest.mark.parametrize("at_ms", [-1, 10**15])
async def test_a_time_that_no_date_can_be_written_for_is_refused(redis: Redis, at_ms: int) -> None:
    with pytest.raises(MarkRefused, match="at_ms"):
        await mark(redis, KEYS, "exercise", at_ms)


async def test_one_mark_too_many_is_refused_and_what_is_older_than_the_retention_makes_room(redis: Redis) -> None:
    old = new_marker("exercise", 1).model_dump_json()
    seconds, _ = await redis.time()
    for number in range(MOST_MARKERS):
        await redis.xadd(KEYS.markers, {"marker": old}, id=f"{(int(seconds) - 7200) * 1000}-{number + 1}")
    with pytest.raises(MarkRefused, match="already has 500 marks"):
        await mark(redis, KEYS, "one more", retention_ms=3 * AN_HOUR_MS)
    assert len(await markers(redis, KEYS)) == MOST_MARKERS
    await mark(redis, KEYS, "one more", retention_ms=AN_HOUR_MS)
    assert [each.label for each in await markers(redis, KEYS)] == ["one more"]
    assert 0 < await redis.pttl(KEYS.markers) <= AN_HOUR_MS


async def told_hours_ago(redis: Redis, key: str, fields: dict[str, str], hours: int, retention_hours: int) -> None:
    """Add an entry to a stream with that retention, dated as if it had been added so many hours ago."""
    seconds, _ = await redis.time()
    await redis.xadd(key, fields, id=f"{int(seconds) * 1000 - hours * AN_HOUR_MS}-1")  # type: ignore[arg-type]
    await redis.pexpire(key, retention_hours * AN_HOUR_MS)


async def test_a_mark_of_a_shorter_retention_ends_none_that_events_stand_beside(redis: Redis) -> None:
    """Two days after a lesson whose events the bot keeps for a month."""
    await told_hours_ago(redis, KEYS.markers, {"marker": new_marker("lesson", 1).model_dump_json()}, 48, 720)
    await told_hours_ago(redis, KEYS.events, {"event": "{}"}, 49, 720)
    await redis.pexpire(KEYS.events, 600 * AN_HOUR_MS)
    for label in ("exercise", "break"):
        await mark(redis, KEYS, label)
    assert [each.label for each in await markers(redis, KEYS)] == ["lesson", "exercise", "break"]
    assert await redis.pttl(KEYS.markers) > 719 * AN_HOUR_MS


async def test_a_first_mark_lives_as_long_as_the_events_it_is_among(redis: Redis) -> None:
    await told_hours_ago(redis, KEYS.events, {"event": "{}"}, 0, 720)
    await mark(redis, KEYS, "exercise")
    assert await redis.pttl(KEYS.markers) > 719 * AN_HOUR_MS


async def test_a_mark_from_before_every_event_ends_by_the_retention(redis: Redis) -> None:
    await told_hours_ago(redis, KEYS.markers, {"marker": new_marker("last month", 1).model_dump_json()}, 48, 24)
    await told_hours_ago(redis, KEYS.events, {"event": "{}"}, 47, 24)
    await mark(redis, KEYS, "exercise")
    assert [each.label for each in await markers(redis, KEYS)] == ["exercise"]


async def test_a_mark_now_stands_on_the_clock_of_the_bot_whose_events_it_is_among(redis: Redis) -> None:
    five_minutes_ahead = Clock(round(time.time() * 1000) + 300_000)
    publisher = Publisher(
        redis, KEYS, "1", outbox_limit=10, retention_ms=AN_HOUR_MS, status_ttl_ms=1000, retry_seconds=1, clock=five_minutes_ahead
    )
    publisher.publish(
        BotStatus(
            state="running", participants=0, looks_per_second=0, frames_received=0, looks=0,
            frames_skipped=0, frames_dropped=0, events_dropped=0, tracks_failed=0,
        )
    )  # fmt: skip
    await publisher.flush(5)
    marker = await mark(redis, KEYS, "exercise")
    assert abs(marker.at_ms - five_minutes_ahead()) < 5000


async def test_a_mark_in_a_room_without_events_stands_on_the_clock_of_redis(redis: Redis) -> None:
    marker = await mark(redis, KEYS, "exercise")
    assert abs(marker.at_ms - time.time() * 1000) < 5000


async def test_what_somebody_else_wrote_is_left_out(redis: Redis) -> None:
    for text in (
        "",
        "no json",
        "[]",
        '{"id": "1", "label": "a\\u0000b", "at_ms": 1}',
        '{"id": "1", "label": "fine", "at_ms": 1}',
    ):
        await redis.xadd(KEYS.markers, {"marker": text})
    await redis.xadd(KEYS.markers, {"else": "x"})
    assert [each.label for each in await markers(redis, KEYS)] == ["fine"]


async def test_a_key_of_another_type_is_named(redis: Redis) -> None:
    await redis.set(KEYS.markers, "x")
    with pytest.raises(ResponseError, match=r"demo.*markers is of another type"):
        await markers(redis, KEYS)
    with pytest.raises(ResponseError, match=r"demo.*markers is of another type"):
        await mark(redis, KEYS, "exercise")
    await redis.set(KEYS.events, "x")
    with pytest.raises(ResponseError, match=r"demo.*events is of another type"):
        await mark(redis, KEYS, "exercise", 1000)


async def test_the_command_makes_a_mark_or_says_why_not(server: RedisServer, redis: Redis) -> None:
    await make_mark(settings(server), "demo", "exercise", 1000, "work")
    assert [each.label for each in await markers(redis, KEYS)] == ["exercise"]
    with pytest.raises(SettingsWrong, match="label"):
        await make_mark(settings(server), "demo", "")
    nobody = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0", _env_file=None)  # type: ignore[arg-type, call-arg]
    with pytest.raises(RedisRefused, match="not marked"):
        await make_mark(nobody, "demo", "exercise")


async def test_a_mark_in_a_room_that_may_be_misspelled_is_made_and_told_of(
    server: RedisServer, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await make_mark(settings(server), "dmeo\x1b", "exercise")
    assert capsys.readouterr().err == "room dmeo has no events yet: is that its name?\n"
    assert [each.label for each in await markers(redis, Keys("classmood", "dmeo\x1b"))] == ["exercise"]
    await redis.xadd(KEYS.events, {"event": "{}"})
    await make_mark(settings(server), "demo", "exercise")
    assert capsys.readouterr().err == ""


def test_a_moment_is_read_as_people_write_it() -> None:
    assert moment("2026-01-31T09:15:00Z") == 1_769_850_900_000
    assert moment("2026-01-31T10:15:00+01:00") == 1_769_850_900_000
    assert abs(moment("90s") - (time.time() - 90) * 1000) < 2000
    assert moment("00:00") % 60_000 == 0
    assert end("00:00") == moment("00:00")


def test_a_time_of_day_is_the_last_one_so_that_a_class_may_go_on_over_midnight() -> None:
    now = datetime(2026, 1, 2, 0, 5)
    assert last_time("23:55", now) == datetime(2026, 1, 1, 23, 55).timestamp() * 1000
    assert last_time("00:05:00", now) == now.timestamp() * 1000


def test_a_mark_survives_its_own_json() -> None:
    marker = new_marker("exercise", 1000, "work")
    assert json.loads(marker.model_dump_json()) == {"id": marker.id, "label": "exercise", "at_ms": 1000, "kind": "work"}
