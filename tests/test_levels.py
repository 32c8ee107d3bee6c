"""The two levels of publication: at `aggregate`, nothing that reaches Redis is about a single person."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiortc import MediaStreamTrack
from av import VideoFrame
from redis.asyncio import Redis

from bot.app import Bot, assemble, running
from bot.rooms import Arrival, ConsentChanged, Departure, Participant, Unseen
from bot.settings import Settings, read_settings
from bot.tasks import background
from model.faces import Emotion
from pipeline.analysis import Analyst, Limits
from pipeline.coverage import Coverage
from pipeline.events import DATA_BY_TYPE, AttentionRaised, BotStatus, ParticipantJoined, Publication, Summary
from pipeline.follow import events_since, room_state
from pipeline.keys import Keys
from pipeline.levels import at_level
from pipeline.publish import Publisher
from tests.fakes import SOMEWHERE, AlwaysOf, FaceEverywhere, ScriptedRoom, picture
from tests.redis_servers import RedisServer, needs_redis

KEYS = Keys("classmood", "algebra")

STUDENTS = [Participant(f"room-id-{number}", f"Ada Lovelace {number}", consent=True) for number in range(8)]

STATUS = BotStatus(
    state="running",
    participants=23,
    looks_per_second=46.2,
    frames_received=12_345,
    looks=2345,
    frames_skipped=9999,
    frames_dropped=1001,
    events_dropped=3,
    tracks_failed=2,
)


class SlowTrack(MediaStreamTrack):
    """A camera that shows the same face twenty times a second."""

    kind = "video"

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(0.05)
        return picture()


def settings_for(server: RedisServer, **values: object) -> Settings:
    rates = {"summary_seconds": 0.1, "heartbeat_seconds": 0.1, "sample_seconds": 0.1, "looks_per_second": 10}
    return read_settings(redis_url=server.url, attention=True, **rates, **values)


class Everything:
    """All text in Redis: of every key, and of every message while it was listening."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.keys: dict[str, Any] = {}

    @asynccontextmanager
    async def heard(self, redis: Redis) -> AsyncIterator[None]:
        async with redis.pubsub() as ears:
            await ears.psubscribe("*")
            async with background(self._hear(ears)):
                yield

    async def _hear(self, ears: Any) -> None:
        async for message in ears.listen():
            self.messages.append(f"{message['channel']} {message['data']}")

    async def scan(self, redis: Redis) -> None:
        read = {
            "string": redis.get,
            "hash": redis.hgetall,
            "stream": redis.xrange,
            "zset": lambda key: redis.zrange(key, 0, -1),
        }
        async for key in redis.scan_iter():
            self.keys[key] = await read[await redis.type(key)](key)

    def text(self) -> str:
        return "\n".join([*self.messages, *(f"{key} {value}" for key, value in self.keys.items())])


async def hold_class(redis: Redis, settings: Settings) -> tuple[Bot, set[str]]:
    """A class in which people come, are read, withdraw consent and leave; returns the ids and names that must stay secret."""
    room = ScriptedRoom(KEYS.room)
    analyst = Analyst(FaceEverywhere(SOMEWHERE), AlwaysOf(Emotion.SAD), Limits(0, 0, 0))
    bot = assemble(room, redis, analyst, settings)
    await bot.publisher.wait_until_reachable()
    async with running(bot, analyst, settings), background(bot.attendance.run()):
        for student in STUDENTS[:7]:
            room.happen(Arrival(student, SlowTrack()))
            room.happen(ConsentChanged(student.id, True, "page"))
        room.happen(Unseen(STUDENTS[7], Coverage.CAMERA_OFF))
        async with asyncio.timeout(10):
            while bot.publisher.published["classmood.summary"] < 6 or bot.attendance.totals.looks < 40:
                await asyncio.sleep(0.02)
        secrets = {text for seat in bot.attendance.seats.values() for text in (seat.participant.id, seat.participant.name)}
        third = list(bot.attendance.seats.values())[2].participant.id  # unlike the first two, the third stays
        bot.attention.tell(AttentionRaised(participant=third, reason="changed", for_seconds=90))
        room.happen(ConsentChanged(STUDENTS[0].id, False, "page"))
        room.happen(Departure(STUDENTS[1].id, "left"))
        await asyncio.sleep(0.3)
    return bot, secrets | {text for student in STUDENTS for text in (student.id, student.name)}


@needs_redis
@pytest.mark.parametrize("names", [False, True])
async def test_at_aggregate_no_key_entry_or_message_holds_an_id_or_a_name(server: RedisServer, redis: Redis, names: bool) -> None:
    everything = Everything()
    async with everything.heard(redis):
        _, secrets = await hold_class(redis, settings_for(server, publication="aggregate", names=names))
    await everything.scan(redis)
    text = everything.text()
    assert len(secrets) >= 16 and not [secret for secret in secrets if secret in text]
    assert KEYS.participants not in everything.keys and not [key for key in everything.keys if ":participant:" in key]
    kinds = Counter([event.type async for event in events_since(redis, KEYS)])
    assert set(kinds) == {"classmood.basis.stated", "classmood.summary", "classmood.bot.status"}
    assert everything.messages and '"withheld":false' in text


@needs_redis
async def test_at_individual_the_same_class_is_told_by_alias(server: RedisServer, redis: Redis) -> None:
    everything = Everything()
    async with everything.heard(redis):
        bot, secrets = await hold_class(redis, settings_for(server))
    await everything.scan(redis)
    told = {secret for secret in secrets if secret in everything.text()}
    assert len(told) == 16, "an id and a pseudonym of each, which the scan finds where they are"
    assert bot.publisher.published["classmood.attention.raised"] == 1


@needs_redis
async def test_a_run_at_aggregate_erases_who_seems_present_since_a_run_at_individual(redis: Redis) -> None:
    def publisher(epoch: str, level: Publication) -> Publisher:
        lifetimes: dict[str, Any] = {"retention_ms": 60_000, "status_ttl_ms": 5000, "retry_seconds": 0.1}
        return Publisher(redis, KEYS, epoch, outbox_limit=100, level=level, **lifetimes)

    killed = publisher("1", "individual")
    killed.publish(ParticipantJoined(participant="ada", name="Ada", reason="joined"))
    assert await killed.flush(5) == 0
    await publisher("2", "aggregate").wait_until_reachable()
    assert not (await room_state(redis, KEYS)).participants
    assert [event.epoch async for event in events_since(redis, KEYS)] == ["1"]


def test_what_may_pass_at_aggregate_is_named_type_by_type() -> None:
    passing = at_level("aggregate")
    unvalidated = {kind: model.model_construct(participants=3) for kind, model in DATA_BY_TYPE.items()}
    del unvalidated["classmood.bot.status"]  # it needs its counters
    assert {kind for kind, data in unvalidated.items() if passing(data)} == {"classmood.summary", "classmood.basis.stated"}  # type: ignore[arg-type]
    assert all(at_level("individual")(data) is data for data in unvalidated.values())  # type: ignore[arg-type, comparison-overlap]


def test_at_aggregate_the_status_counts_whom_the_last_summary_counted_and_nothing_that_grows_with_each_camera() -> None:
    passing = at_level("aggregate")
    before = passing(STATUS)
    passing(Summary(participants=25, scored=20, coverage={Coverage.OK: 25}, shares=None, valence=None, withheld=True))
    after = passing(STATUS)
    assert isinstance(before, BotStatus) and isinstance(after, BotStatus)
    assert (before.participants, after.participants) == (0, 25)
    assert (after.looks_per_second, after.frames_received, after.looks, after.frames_skipped, after.frames_dropped) == (0,) * 5
    assert (after.state, after.events_dropped, after.tracks_failed) == ("running", 3, 2)
