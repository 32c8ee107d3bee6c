"""Events on their way to a real Redis: in order, exactly once, whatever goes wrong."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from redis.asyncio import Redis

from bot.redis_client import connect
from bot.settings import Settings
from bot.tasks import background
from model.faces import EMOTIONS, Emotion
from pipeline.clock import now_ms
from pipeline.coverage import Coverage
from pipeline.events import (
    AttentionCleared,
    AttentionRaised,
    BasisStated,
    BotStatus,
    ConsentGranted,
    ConsentWithdrawn,
    CoverageChanged,
    Data,
    EmotionChanged,
    EmotionSample,
    Event,
    FaceBox,
    ParticipantJoined,
    ParticipantLeft,
    Summary,
)
from pipeline.follow import events_since, room_state
from pipeline.keys import Keys
from pipeline.publish import Publisher, RedisUnusable
from tests.fakes import Clock
from tests.redis_servers import SERVER, RedisServer, every_server, needs_redis, proxied, running_redis, stopped_redis

KEYS = Keys("classmood", "maths {7b}: 100%")


def publisher(redis: Redis, **changed: object) -> Publisher:
    settings: dict[str, object] = {
        "epoch": "1700000000000",
        "outbox_limit": 1000,
        "retention_ms": 60_000,
        "status_ttl_ms": 5_000,
        "retry_seconds": 0.05,
    }
    return Publisher(redis, KEYS, **{**settings, **changed})  # type: ignore[arg-type]


def joined(number: int = 1) -> ParticipantJoined:
    return ParticipantJoined(participant=f"p{number}", name=f"student {number}", reason="published")


def sample(at_ms: int = 1_700_000_000_500, participant: str = "p1") -> EmotionSample:
    return EmotionSample(
        participant=participant,
        at_ms=at_ms,
        emotion=Emotion.HAPPY,
        confidence=0.5,
        scores={emotion: 0.5 if emotion is Emotion.HAPPY else 0.0833 for emotion in EMOTIONS},
        face=FaceBox(x=0.25, y=-0.1, width=0.5, height=0.5),
        faces=2,
        coverage=Coverage.OK,
        model="cnn@1",
    )


def status(events_dropped: int = 0) -> BotStatus:
    return BotStatus(
        state="running",
        participants=1,
        looks_per_second=2.0,
        frames_received=10,
        looks=2,
        frames_skipped=8,
        frames_dropped=0,
        events_dropped=events_dropped,
        tracks_failed=0,
    )


SUMMARY = Summary(participants=6, scored=1, coverage={Coverage.OK: 1}, shares=None, valence=None, withheld=True)

BASIS = BasisStated(
    jurisdiction="US",
    basis="consent",
    purpose=None,
    level="individual",
    consent="asked",
    names=True,
    retention_hours=24.0,
    model="cnn@1",
    version="1",
)

ONE_OF_EACH: list[Data] = [
    BASIS,
    joined(),
    ConsentGranted(participant="p1", source="page"),
    CoverageChanged(participant="p1", before=None, after=Coverage.OK),
    EmotionChanged(participant="p1", before=None, after=Emotion.HAPPY, since_ms=1),
    sample(),
    AttentionRaised(participant="p1", reason="changed", for_seconds=90.0),
    SUMMARY,
    status(),
    AttentionCleared(participant="p1", reason="changed", for_seconds=95.5),
    ParticipantLeft(participant="p1", reason="left"),
]


async def stream(redis: Redis) -> list[Event]:
    return [event async for event in events_since(redis, KEYS)]


def participants(events: list[Event]) -> list[str | None]:
    return [event.subject for event in events]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # what it waits for sends no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(redis: Redis) -> AsyncIterator[list[str]]:
    """The messages of the live channel."""
    heard: list[str] = []

    async def listen() -> None:
        while True:
            message = await channel.get_message(timeout=None)
            if message:
                heard.append(message["data"])

    async with redis.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(KEYS.live)
        async with background(listen()):
            yield heard


@every_server
async def test_stream_channel_and_state_agree(program: str) -> None:
    with running_redis(program) as server:
        async with server.client() as redis, listening(redis) as heard:
            sender = publisher(redis)
            for data in ONE_OF_EACH[:-1]:
                sender.publish(data)
            assert await sender.flush(5) == 0
            events = await stream(redis)
            await until(lambda: len(heard) == len(events))
            assert [event.typed() for event in events] == ONE_OF_EACH[:-1]
            assert heard == [event.to_json() for event in events]
            state = await room_state(redis, KEYS)
            [person] = state.participants
            assert (person.id, person.name, person.present, person.coverage) == ("p1", "student 1", True, Coverage.OK)
            assert (person.emotion, person.confidence, person.faces, person.at_ms) == ("happy", 0.5, 2, sample().at_ms)
            assert (person.scores, person.face) == (sample().scores, sample().face)
            assert (person.consent, person.attention, person.attention_since_ms) == (True, None, None)
            assert (person.epoch, person.sequence) == (sender.epoch, len(events))
            assert state.bot == status()
            assert state.summary is not None and state.summary.withheld and state.summary.shares is None
            assert state.broken == 0


@needs_redis
async def test_every_event_is_a_cloudevent(redis: Redis) -> None:
    sender = publisher(redis, clock=lambda: 1_700_000_000_250)
    for data in ONE_OF_EACH:
        sender.publish(data)
    await sender.flush(5)
    written = [json.loads(fields["event"]) for _, fields in await redis.xrange(KEYS.events)]
    assert [event["type"] for event in written] == [data.type for data in ONE_OF_EACH]
    for event in written:
        assert all(re.fullmatch("[a-z0-9]+", attribute) for attribute in event)
        assert {"specversion", "id", "source", "type", "subject", "time", "data"} >= event.keys() - {
            "sequence",
            "epoch",
            "datacontenttype",
            "dataschema",
            "dataclassification",
        }
        assert event["dataclassification"] in ("sensitive", "personal", "aggregate", "operational")
        assert event["specversion"] == "1.0"
        assert event["source"] == "/classmood/rooms/maths%20%7B7b%7D%3A%20100%25"
        assert event["time"] == "2023-11-14T22:13:20.250Z"
        assert datetime.fromisoformat(event["time"]).tzinfo is not None
        assert None not in {value for key, value in event.items() if key != "data"}
    assert len({event["id"] for event in written}) == len(written)
    assert [event["data"]["shares"] for event in written if event["type"] == "classmood.summary"] == [None]


@needs_redis
async def test_a_thousand_events_arrive_in_order_without_a_gap(redis: Redis) -> None:
    sender = publisher(redis, outbox_limit=10_000)
    async with background(sender.run()):
        for number in range(1000):
            sender.publish(joined(number))
            if number % 90 == 0:
                await asyncio.sleep(0)
        await until(lambda: sender.waiting == 0)
    events = await stream(redis)
    assert participants(events) == [f"p{number}" for number in range(1000)]
    assert [event.sequence for event in events] == list(range(1, 1001))
    assert sender.published == {"classmood.participant.joined": 1000}


@needs_redis
async def test_time_is_when_an_event_was_published_and_latency_counts_from_the_frame(redis: Redis) -> None:
    times = iter([1_700_000_001_000, 1_700_000_009_000, 1_700_000_009_000])
    sender = publisher(redis, clock=lambda: next(times))
    sender.publish(sample(at_ms=1_700_000_000_500))
    await sender.flush(5)
    [event] = await stream(redis)
    assert event.time == "2023-11-14T22:13:21.000Z"
    assert list(sender.latencies_ms) == [8500]


async def outage(server: RedisServer, sender: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    """Redis is gone, and the publisher has noticed."""
    server.kill()
    sender.publish(joined(1))
    await until(lambda: "redis is away" in caplog.text)
    assert sender.waiting == 1


@every_server
async def test_an_outage_keeps_the_newest_in_order_and_counts_the_rest(program: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with running_redis(program) as server:
        async with server.client() as redis:
            sender = publisher(redis, outbox_limit=10)
            async with background(sender.run()):
                await outage(server, sender, caplog)
                for number in range(2, 13):
                    sender.publish(joined(number))
                await asyncio.sleep(0.2)
                server.start()
                await until(lambda: sender.waiting == 0)
            events = await stream(redis)
    assert participants(events) == [f"p{number}" for number in range(3, 13)]
    assert [event.sequence for event in events] == list(range(1, 11))
    assert sender.dropped == 2
    lines = [record.getMessage() for record in caplog.records if record.name == "pipeline.publish"]
    assert [line.partition(":")[0] for line in lines] == ["redis is away, 1 events wait", "redis is back"]
    assert lines[1] == "redis is back: 10 events waited, 2 were dropped"
    assert "student" not in caplog.text


@pytest.mark.parametrize("lose", ["answer", "request"])
@needs_redis
async def test_a_connection_cut_in_the_middle_of_a_transaction_loses_and_doubles_nothing(
    server: RedisServer, redis: Redis, lose: str
) -> None:
    async with proxied(server, lose) as proxy, server.client(proxy.port) as cut:  # type: ignore[arg-type]
        sender = publisher(cut)
        async with background(sender.run()), listening(redis) as heard:
            for number in range(5):
                sender.publish(joined(number))
            await until(lambda: sender.waiting == 0)
            sender.publish(joined(5))
            await until(lambda: sender.waiting == 0)
            await until(lambda: len(heard) >= 6)
    events = await stream(redis)
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6]
    assert heard == [event.to_json() for event in events]
    assert sender.published.total() == 6


@needs_redis
async def test_a_transaction_that_reaches_redis_late_is_shut_out(server: RedisServer, redis: Redis) -> None:
    async with proxied(server, "late") as proxy, server.client(proxy.port) as cut:
        sender = publisher(cut)
        async with background(sender.run()):
            sender.publish(joined(1))
            await until(lambda: sender.published.total() == 1)
            proxy.deliver.set()
            await proxy.delivered.wait()
            sender.publish(joined(2))
            await until(lambda: sender.waiting == 0)
    assert participants(await stream(redis)) == ["p1", "p2"]


@needs_redis
async def test_what_was_lost_with_the_answer_and_fell_out_meanwhile_is_not_counted_as_dropped(
    server: RedisServer, redis: Redis
) -> None:
    async with proxied(server, "answer") as proxy, server.client(proxy.port) as cut:
        sender = publisher(cut, outbox_limit=10)
        for number in range(10):
            sender.publish(joined(number))
        async with background(sender.run()):
            await proxy.delivered.wait()
            for number in range(10, 20):
                sender.publish(joined(number))
            await until(lambda: sender.waiting == 0)
    assert len(await stream(redis)) == 20
    assert sender.dropped == 0


@needs_redis
async def test_a_stalled_redis_is_waited_out(server: RedisServer) -> None:
    settings = Settings(redis_url=server.url, _env_file=None)  # type: ignore[arg-type, call-arg]
    async with connect(settings) as patient, Redis.from_url(server.url, decode_responses=True, socket_timeout=0.1) as redis:
        await patient.flushall()
        sender = publisher(redis)
        async with background(sender.run()):
            sender.publish(joined(1))
            await until(lambda: sender.waiting == 0)
            server.stall()
            sender.publish(joined(2))
            await asyncio.sleep(0.3)
            server.go_on()
            await until(lambda: sender.waiting == 0)
        assert participants(await stream(patient)) == ["p1", "p2"]


@needs_redis
async def test_redis_may_come_after_the_bot(caplog: pytest.LogCaptureFixture) -> None:
    with stopped_redis(SERVER) as server:
        async with server.client() as redis:
            sender = publisher(redis)
            starting = asyncio.create_task(sender.wait_until_reachable())
            await asyncio.sleep(0.2)
            assert not starting.done()
            server.start()
            await asyncio.wait_for(starting, 5)
    assert len([record for record in caplog.records if record.name == "pipeline.publish"]) == 1


async def test_waits_double_up_to_the_setting() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 6:
            raise asyncio.CancelledError

    async with connect(Settings(redis_url="redis://127.0.0.1:1/0", _env_file=None)) as redis:  # type: ignore[arg-type, call-arg]
        with pytest.raises(asyncio.CancelledError):
            await publisher(redis, retry_seconds=0.5, sleep=sleep).wait_until_reachable()
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]


@needs_redis
async def test_a_wrong_password_is_not_waited_out() -> None:
    with running_redis(SERVER, "--requirepass", "right") as server:
        for password in ("", "wrong"):
            settings = Settings(redis_url=server.url, redis_password=password, _env_file=None)  # type: ignore[arg-type, call-arg]
            async with connect(settings) as redis:
                with pytest.raises(RedisUnusable, match=r"^redis refuses: [^\n]*$") as refusal:
                    await publisher(redis).wait_until_reachable()
            assert "right" not in str(refusal.value) and "wrong" not in str(refusal.value)


@needs_redis
async def test_a_right_password_may_stand_in_the_url() -> None:
    with running_redis(SERVER, "--requirepass", "r/ght") as server:
        url = server.url.replace("redis://", "redis://:r%2Fght@")
        async with connect(Settings(redis_url=url, _env_file=None)) as redis:  # type: ignore[arg-type, call-arg]
            await asyncio.wait_for(publisher(redis).wait_until_reachable(), 5)


@pytest.mark.parametrize("key", [KEYS.events, KEYS.participants, KEYS.summary])
@needs_redis
async def test_a_key_of_somebody_else_is_named_at_the_start(redis: Redis, key: str) -> None:
    await redis.set(key, "not ours")
    with pytest.raises(RedisUnusable, match=re.escape(key) + ": WRONGTYPE"):
        await publisher(redis).wait_until_reachable()


@needs_redis
async def test_a_key_of_somebody_else_is_named_without_the_name_of_a_person(redis: Redis) -> None:
    await redis.set(KEYS.participant("p1"), "not ours")
    sender = publisher(redis)
    sender.publish(sample())
    with pytest.raises(RedisUnusable, match=re.escape(KEYS.participant("p1"))):
        await sender.run()


@needs_redis
async def test_a_user_without_the_right_to_publish_is_refused_without_the_name_of_a_person(redis: Redis) -> None:
    await redis.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "&*", "+@all", "-publish")
    url = f"redis://reader:secret@127.0.0.1:{redis.connection_pool.connection_kwargs['port']}/0"
    async with connect(Settings(redis_url=url, _env_file=None)) as reader:  # type: ignore[arg-type, call-arg]
        sender = publisher(reader)
        sender.publish(joined())
        with pytest.raises(RedisUnusable, match="permissions") as refusal:
            await sender.run()
    assert "student" not in str(refusal.value)
    assert await stream(redis) == []


@asynccontextmanager
async def full(redis: Redis) -> AsyncIterator[None]:
    """The server has no memory left while the block runs."""
    await redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        await redis.config_set("maxmemory", "0")


@needs_redis
async def test_a_full_redis_is_weather(redis: Redis) -> None:
    sender = publisher(redis)
    async with background(sender.run()):
        async with full(redis):
            sender.publish(joined())
            await asyncio.sleep(0.1)
            assert sender.waiting == 1
        await until(lambda: sender.waiting == 0)
    assert len(await stream(redis)) == 1


@needs_redis
async def test_a_full_redis_is_trimmed_and_erased_from_all_the_same(redis: Redis) -> None:
    await redis.xadd(KEYS.events, {"event": "{}"}, id="1-1")  # long past its retention
    fill = "for i = 1, 3000 do redis.call('XADD', KEYS[1], '*', 'event', ARGV[1]) end"
    await redis.eval(fill, 1, KEYS.events, json.dumps({"subject": "p1"}))
    sender = publisher(redis, withdrawal_erases=True)
    async with background(sender.run()):
        sender.publish(joined())
        sender.publish(ConsentWithdrawn(participant="p1", source="page"))
        await until(lambda: sender.published["classmood.consent.withdrawn"] == 1)
        async with full(redis):
            sender.publish(joined(2))
            while await redis.xlen(KEYS.events) > 1:
                await asyncio.sleep(0.01)
            assert sender.waiting == 1
        await until(lambda: sender.waiting == 0)
    assert [event.type for event in await stream(redis)] == ["classmood.consent.withdrawn", "classmood.participant.joined"]


@needs_redis
async def test_what_redis_lost_is_told_again_as_of_then_so_that_time_does_not_go_backwards(redis: Redis) -> None:
    clock = Clock(1_700_000_000_000)
    sender = publisher(redis, clock=clock)
    raised = AttentionRaised(participant="p1", reason="changed", for_seconds=90.0)
    for data in (joined(), sample(), raised, joined(2), ParticipantLeft(participant="p2", reason="left")):
        sender.publish(data)
        clock.pass_seconds(60)
    await sender.flush(5)
    kept = (await redis.xrange(KEYS.events))[0]
    await redis.flushall()  # like a Redis that went back to an older state, in which p2 was present
    await redis.xadd(KEYS.events, kept[1])
    await redis.hset(KEYS.participant("p2"), mapping={"present": "1"})
    await redis.zadd(KEYS.participants, {"p2": clock()})
    sender.publish(status())
    clock.pass_seconds(60)
    await sender.flush(5)
    events = await stream(redis)
    assert [event.type for event in events[1:]].count("classmood.participant.joined") == 1
    times = [event.time for event in events]
    assert participants(events).count("p2") == 1 and events[2].type == "classmood.participant.left"
    assert times == sorted(times) and times[-1] == "2023-11-14T22:19:20.000Z"
    assert await redis.hget(KEYS.participant("p1"), "attention_since_ms") == str(1_700_000_030_000), "it is since when it was"


@needs_redis
async def test_a_read_only_replica_is_weather(redis: Redis) -> None:
    sender = publisher(redis)
    await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        async with background(sender.run()):
            sender.publish(joined())
            await asyncio.sleep(0.1)
            assert sender.waiting == 1
            await redis.execute_command("REPLICAOF", "NO", "ONE")
            await until(lambda: sender.waiting == 0)
    finally:
        await redis.execute_command("REPLICAOF", "NO", "ONE")
    assert len(await stream(redis)) == 1


@needs_redis
async def test_flush_gives_up_and_says_how_many_stayed_behind() -> None:
    with stopped_redis(SERVER) as server:
        async with server.client() as redis:
            sender = publisher(redis)
            sender.publish(joined(1))
            sender.publish(joined(2))
            assert await sender.flush(0.1) == 2


@needs_redis
async def test_a_run_that_is_cancelled_in_the_middle_is_finished_by_flush(server: RedisServer, redis: Redis) -> None:
    sender = publisher(redis)
    for number in range(20):
        sender.publish(joined(number))
        running = asyncio.create_task(sender.run())
        await asyncio.sleep(0.0002 * number)
        running.cancel()
        await asyncio.wait([running])
    assert await sender.flush(5) == 0
    assert participants(await stream(redis)) == [f"p{number}" for number in range(20)]


@every_server
async def test_nothing_outlives_the_retention(program: str) -> None:
    with running_redis(program) as server:
        async with server.client() as redis:
            sender = publisher(redis, retention_ms=500, status_ttl_ms=250, audit_retention_ms=500)
            for data in ONE_OF_EACH:
                sender.publish(data)
            await sender.flush(5)
            assert await redis.exists(KEYS.bot)
            await asyncio.sleep(0.3)
            assert not await redis.exists(KEYS.bot)
            sender.publish(joined(2))
            await sender.flush(5)
            await asyncio.sleep(0.3)
            for number in (3, 4):  # the stream is trimmed by the time that Redis gave the previous transaction
                sender.publish(joined(number))
                await sender.flush(5)
            assert participants(await stream(redis)) == ["p2", "p3", "p4"]
            assert [person.id for person in (await room_state(redis, KEYS)).participants] == ["p2", "p3", "p4"]
            await asyncio.sleep(0.6)
            assert await redis.keys("*") == []


@needs_redis
async def test_what_a_single_transaction_made_ends_by_itself_too(redis: Redis) -> None:
    sender = publisher(redis)
    for data in ONE_OF_EACH:
        sender.publish(data)
    await sender.flush(5)
    made = await redis.keys("*")
    assert {KEYS.events, KEYS.audit, KEYS.participants} < set(made)
    assert [key for key in made if await redis.pttl(key) < 0] == []


@needs_redis
async def test_while_only_readings_are_sent_the_past_is_ended_once_a_second_and_what_is_new_ends_by_itself(redis: Redis) -> None:
    clock = Clock(1_700_000_000_000)
    sender = publisher(redis, clock=clock)

    async def trims_after(*data: Data) -> int:
        for each in data:
            sender.publish(each)
        assert await sender.flush(5) == 0
        return int((await redis.info("commandstats"))["cmdstat_xtrim"]["calls"])

    before = await trims_after(joined(1))
    assert await trims_after(sample()) == before
    clock.at_ms += 500
    assert await trims_after(sample(), sample()) == before
    assert (ended := await trims_after(joined(2))) > before
    assert [key for key in await redis.keys("*") if await redis.pttl(key) < 0] == []
    clock.at_ms += 1000
    assert (later := await trims_after(sample())) > ended
    clock.at_ms -= 5000  # set back
    assert await trims_after(sample()) > later


@needs_redis
async def test_who_was_left_behind_by_a_former_run_is_told_to_have_left(redis: Redis) -> None:
    former = publisher(redis, epoch="1")
    for number in range(1, 31):
        former.publish(joined(number))
    former.publish(ParticipantLeft(participant="p2", reason="left"))
    await former.flush(5)
    sender = publisher(redis, epoch="2", outbox_limit=10)
    await sender.wait_until_reachable()
    events = [event for event in await stream(redis) if event.epoch == "2"]
    assert {event.subject for event in events} == {f"p{number}" for number in range(1, 31)} - {"p2"}
    assert {(event.type, event.data["reason"]) for event in events} == {("classmood.participant.left", "bot restarted")}
    state = await room_state(redis, KEYS)
    assert len(state.participants) == 30 and state.present == ()
    assert sender.dropped == 0


@needs_redis
async def test_who_comes_again_starts_without_the_emotion_of_the_last_time(redis: Redis) -> None:
    sender = publisher(redis)
    for data in (*ONE_OF_EACH, joined()):
        sender.publish(data)
    await sender.flush(5)
    [person] = (await room_state(redis, KEYS)).participants
    assert (person.present, person.emotion, person.coverage, person.face) == (True, None, None, None)


@needs_redis
async def test_two_rooms_do_not_meet(redis: Redis) -> None:
    rooms = [Keys("classmood", name) for name in ("a", "a}:events{", "a%7D", "%61")]
    for keys in rooms:
        sender = Publisher(
            redis, keys, "1", outbox_limit=10, retention_ms=60_000, status_ttl_ms=1000, retry_seconds=1, clock=now_ms
        )
        sender.publish(joined())
        await sender.flush(5)
    assert [len([event async for event in events_since(redis, keys)]) for keys in rooms] == [1, 1, 1, 1]
