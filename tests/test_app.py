"""A frame's whole journey: encoded video, WebRTC over loopback, the shipped weights, a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict

import pytest
from redis.asyncio import Redis

from bot.app import Bot, assemble, limits, load_analyst, mood_rules, running
from bot.clips import Clip, encode
from bot.redis_client import connect
from bot.rooms.local import LocalRoom, host
from bot.settings import Settings, read_settings
from bot.students import students
from bot.tasks import background
from pipeline.analysis import Analyst, Limits
from pipeline.events import Event
from pipeline.follow import events_since, room_state
from pipeline.keys import Keys
from pipeline.mood import MoodRules
from tests.redis_servers import SERVER, RedisServer, needs_redis, running_redis
from tests.videos import portrait

KEYS = Keys("classmood", "algebra")

pytestmark = needs_redis


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with running_redis(SERVER) as server:
        yield server


@pytest.fixture(scope="module")
def analyst() -> Analyst:
    return load_analyst(read_settings())


@pytest.fixture(scope="module")
def face() -> Clip:
    return encode(portrait(320, 180) for _ in range(20))


@pytest.fixture(scope="module")
def nobody() -> Clip:
    grey = portrait(320, 180) // 8 + 100
    return encode(grey[:, :40].repeat(8, axis=1) for _ in range(20))


class Class:
    """A bot at work in its own room."""

    def __init__(self, room: LocalRoom, redis: Redis, bot: Bot, settings: Settings) -> None:
        self.room, self.redis, self.bot, self.settings = room, redis, bot, settings

    async def events(self) -> list[Event]:
        return [event async for event in events_since(self.redis, KEYS)]

    async def of_type(self, kind: str) -> list[Event]:
        return [event for event in await self.events() if event.type == kind]

    async def until(self, true: Callable[[], bool], seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.02)

    async def until_published(self, kind: str, count: int) -> None:
        await self.until(lambda: self.bot.publisher.published[kind] >= count)


@asynccontextmanager
async def at_work(server: RedisServer, analyst: Analyst, **values: object) -> AsyncIterator[Class]:
    settings = read_settings(redis_url=server.url, port=0, **values)
    async with connect(settings) as redis, host("algebra", settings) as room:
        bot = assemble(room, redis, analyst, settings)
        await bot.publisher.wait_until_reachable()
        async with running(bot, analyst, settings), background(bot.attendance.run()):
            yield Class(room, redis, bot, settings)


async def test_students_in_a_room_become_emotion_events_in_redis(redis_server: RedisServer, analyst: Analyst, face: Clip) -> None:
    async with at_work(redis_server, analyst) as these, students(these.room.whip_url, 2, [face], these.settings):
        await these.until_published("classmood.emotion.sample", 6)
        state = await room_state(these.redis, KEYS)
        seats = list(these.bot.attendance.seats.values())
    ids = {seat.participant.id for seat in seats}
    assert len(ids) == 2 and {person.id for person in state.present} == ids
    assert {str(person.coverage) for person in state.present} == {"ok"}
    assert all(seat.frames_received > seat.looks > 0 for seat in seats)


async def test_sequence_has_no_gap_and_every_event_fits_its_type(redis_server: RedisServer, analyst: Analyst, face: Clip) -> None:
    async with at_work(redis_server, analyst) as these:
        async with students(these.room.whip_url, 1, [face], these.settings):
            await these.until_published("classmood.emotion.sample", 2)
        await these.until_published("classmood.participant.left", 1)
        events = await these.events()
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert len({event.epoch for event in events}) == 1
    kinds = [event.typed().type for event in events]
    assert kinds.index("classmood.participant.joined") < kinds.index("classmood.coverage.changed")
    assert kinds.index("classmood.coverage.changed") < kinds.index("classmood.emotion.changed")


def test_each_setting_is_the_rule_of_its_name() -> None:
    assert (mood_rules(read_settings()), limits(read_settings())) == (MoodRules(), Limits())
    moods = {"smoothing_seconds": 2.0, "unknown_below": 0.3, "lead_to_change": 0.2, "dwell_seconds": 4.0, "sample_seconds": 5.0}
    faces = {"smallest_face_pixels": 31.0, "darkest_face": 32.0, "blurriest_face": 33.0}
    settings = read_settings(**moods, **faces)
    assert (asdict(mood_rules(settings)), asdict(limits(settings))) == (moods, faces)


async def test_what_is_kept_for_how_long_is_what_the_settings_say(redis_server: RedisServer, analyst: Analyst) -> None:
    kept = {"retention_hours": 2, "audit_retention_days": 3, "heartbeat_seconds": 7}
    async with at_work(redis_server, analyst, **kept) as these:
        await these.until_published("classmood.bot.status", 1)
        lives_ms = [await these.redis.pttl(key) for key in (KEYS.events, KEYS.audit, KEYS.bot)]
    assert lives_ms == [pytest.approx(ms, abs=5000) for ms in (2 * 3_600_000, 3 * 86_400_000, 3 * 7000)]


async def test_a_picture_without_a_face_is_told_as_such_and_gives_no_emotion(
    redis_server: RedisServer, analyst: Analyst, nobody: Clip
) -> None:
    async with at_work(redis_server, analyst) as these:
        async with students(these.room.whip_url, 1, [nobody], these.settings):
            await these.until_published("classmood.coverage.changed", 1)
            await these.until(lambda: these.bot.attendance.totals.looks >= 3)
        changes = await these.of_type("classmood.coverage.changed")
    assert [change.data["after"] for change in changes] == ["no_face"]
    assert not these.bot.publisher.published["classmood.emotion.sample"]


async def test_when_the_bot_stops_everybody_has_left_and_its_status_is_gone(
    redis_server: RedisServer, analyst: Analyst, face: Clip
) -> None:
    async with at_work(redis_server, analyst) as these, students(these.room.whip_url, 2, [face], these.settings):
        await these.until_published("classmood.emotion.sample", 2)
        assert (await room_state(these.redis, KEYS)).bot is not None
    async with connect(these.settings) as redis:
        state = await room_state(redis, KEYS)
    assert state.bot is None and not state.present and len(state.participants) == 2


@pytest.mark.slow
async def test_events_of_a_while_in_which_redis_stalls_arrive_afterwards_in_order(
    redis_server: RedisServer, analyst: Analyst, face: Clip
) -> None:
    async with at_work(redis_server, analyst, redis_retry_seconds=0.1) as these:
        async with students(these.room.whip_url, 1, [face], these.settings):
            await these.until_published("classmood.emotion.sample", 2)
            redis_server.stall()
            looks = these.bot.attendance.totals.looks
            await these.until(lambda: these.bot.attendance.totals.looks >= looks + 4)
            redis_server.go_on()
            await these.until_published("classmood.emotion.sample", 5)
        events = await these.events()
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert these.bot.publisher.dropped == 0
