"""Erasing one person, while others stay and the bot carries on."""

import asyncio
import json
import resource

import pytest
from redis.asyncio import Redis

from bot.cli import main
from bot.tasks import background
from pipeline import forget as forgetting
from pipeline.events import ParticipantLeft
from pipeline.forget import Forgotten, forget
from pipeline.keys import LONGEST_ROOM_BYTES, Keys, RoomNameUnusable
from tests.redis_servers import RedisServer, every_server, free_port, needs_redis, running_redis
from tests.test_publish import KEYS, ONE_OF_EACH, SUMMARY, full, joined, participants, publisher, sample, status, stream, until

pytestmark = needs_redis

HOSTILE = [" ", "}{", "a:b", "{algebra}:events", "*", "\n\r\0", "ünïcode ✓", "'; FLUSHALL", "-", "x" * 10_240]


TEN_THOUSAND = "for i = 0, 9999 do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i % #ARGV + 1]) end"
"""A script that fills a stream."""


@every_server
async def test_a_person_is_erased_and_everybody_else_stays(program: str) -> None:
    with running_redis(program) as server:
        async with server.client() as redis:
            sender = publisher(redis)
            for data in (joined(2), *ONE_OF_EACH, sample(participant="p2"), sample(participant="p1")):
                sender.publish(data)
            await sender.flush(5)
            before = await redis.hgetall(KEYS.participant("p2"))
            assert await forget(redis, KEYS, "p1") == Forgotten(1, 1, 9, scanned=14, is_present=True, audit=1)
            assert participants(await stream(redis)) == ["p2", None, None, None, "p2"]
            assert [fields["event"] for _, fields in await redis.xrange(KEYS.audit)] == [(await stream(redis))[1].to_json()]
            assert await redis.zrange(KEYS.participants, 0, -1) == ["p2"]
            assert await redis.hgetall(KEYS.participant("p2")) == before
            assert not any("p1" in key for key in await redis.keys("*"))
            assert not await redis.exists(KEYS.participant("p1"))
            assert not (await forget(redis, KEYS, "p1")).anything


async def test_the_summaries_of_the_class_are_erased_where_that_is_asked_for(redis: Redis) -> None:
    sender = publisher(redis)
    for data in (joined(1), SUMMARY, joined(2), SUMMARY):
        sender.publish(data)
    await sender.flush(5)
    assert (await forget(redis, KEYS, "p1")).summaries == 0 and await redis.exists(KEYS.summary)
    assert await forget(redis, KEYS, "p2", summaries=True) == Forgotten(1, 1, 1, 3, False, summaries=2)
    assert not await stream(redis) and not await redis.exists(KEYS.summary)


async def test_who_is_not_there_is_not_found_and_nothing_is_lost(redis: Redis) -> None:
    sender = publisher(redis)
    sender.publish(joined(1))
    await sender.flush(5)
    assert await forget(redis, KEYS, "p") == Forgotten(0, 0, 0, 1, False)
    assert await forget(redis, Keys("classmood", "nowhere"), "p1") == Forgotten(0, 0, 0, 0, False)
    assert participants(await stream(redis)) == ["p1"]


async def test_what_somebody_else_wrote_is_passed_over_however_deep_it_is(redis: Redis) -> None:
    await redis.xadd(KEYS.events, {"event": '{"participant": "p1", "data": ' + "[" * 100_000})
    sender = publisher(redis)
    sender.publish(joined(1))
    await sender.flush(5)
    assert (await forget(redis, KEYS, "p1")).entries == 1
    assert await redis.xlen(KEYS.events) == 1


async def test_who_left_is_forgotten_for_good(redis: Redis) -> None:
    sender = publisher(redis)
    for data in (*ONE_OF_EACH, status()):
        sender.publish(data)
    await sender.flush(5)
    forgotten = await forget(redis, KEYS, "p1")
    assert forgotten.is_present is False and (forgotten.states, forgotten.entries) == (1, 8)
    assert participants(await stream(redis)) == [None, None, None, None]


async def test_a_person_is_forgotten_by_a_redis_that_is_full(redis: Redis) -> None:
    sender = publisher(redis)
    for data in (joined(), sample()):
        sender.publish(data)
    await sender.flush(5)
    async with full(redis):
        assert await forget(redis, KEYS, "p1") == Forgotten(1, 1, 2, scanned=2, is_present=False)
    assert participants(await stream(redis)) == []


async def test_entries_of_others_and_of_the_future_are_told_apart(redis: Redis) -> None:
    future = {"specversion": "9", "type": "classmood.gaze", "data": {"participant": "p1", "more": ["p1"]}}
    for text in (json.dumps(future), json.dumps({"subject": "p1"}), '"p1"', "p1", "[", '{"data": "p1"}', '{"subject": ["p1"]}'):
        await redis.xadd(KEYS.events, {"event": text})
    await redis.xadd(KEYS.events, {"note": "p1"})
    assert (await forget(redis, KEYS, "p1")).entries == 2
    assert await redis.xlen(KEYS.events) == 6


async def test_many_pages_are_read_to_their_end(redis: Redis) -> None:
    sender = publisher(redis, outbox_limit=2000)
    for number in range(3 * forgetting.PAGE):
        sender.publish(joined(number % 3))
    await sender.flush(10)
    found = await forget(redis, KEYS, "p1")
    assert (found.entries, found.scanned) == (forgetting.PAGE, 3 * forgetting.PAGE)


async def test_a_bot_that_publishes_meanwhile_goes_on_without_a_number_twice(redis: Redis) -> None:
    sender = publisher(redis, outbox_limit=5000)
    async with background(sender.run()):
        for number in range(800):
            sender.publish(sample(participant=f"p{number % 2}") if number % 10 else SUMMARY)
            if number % 50 == 0:
                await asyncio.sleep(0.001)
            if number == 400:
                erased = await forget(redis, KEYS, "p1")
        await until(lambda: sender.waiting == 0)
    numbers = [event.sequence for event in await stream(redis)]
    assert erased.entries > 0
    assert len(numbers) == 800 - erased.entries == len(set(numbers)) and numbers == sorted(numbers)
    assert sender.published.total() == 800


@pytest.mark.parametrize("newest", ["p1", "p2"])
async def test_an_answer_that_is_lost_after_the_newest_was_forgotten_brings_nothing_back(redis: Redis, newest: str) -> None:
    sender = publisher(redis)
    for data in (joined(1), joined(2), sample(participant=newest)):
        sender.publish(data)
    await sender.flush(5)
    await forget(redis, KEYS, newest)
    sender.publish(SUMMARY)
    await sender.flush(5)
    assert newest not in participants(await stream(redis))
    assert (await stream(redis))[-1].sequence == 4


@pytest.mark.parametrize("participant_id", HOSTILE, ids=[repr(each[:20]) for each in HOSTILE])
async def test_an_id_of_any_shape_is_published_and_forgotten_and_touches_no_other_key(redis: Redis, participant_id: str) -> None:
    sender = publisher(redis)
    for data in (joined(1), sample(participant=participant_id), SUMMARY, status()):
        sender.publish(data)
    await sender.flush(5)
    assert (await redis.hgetall(KEYS.participant(participant_id)))["id"] == participant_id
    assert participants(await stream(redis)) == ["p1", participant_id, None, None]
    assert await forget(redis, KEYS, participant_id) == Forgotten(1, 1, 1, 4, True)
    assert participants(await stream(redis)) == ["p1", None, None]
    assert sorted(await redis.keys("*")) == sorted(
        [KEYS.bot, KEYS.events, KEYS.participants, KEYS.summary, KEYS.last(sender.epoch), KEYS.participant("p1")]
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_million_entries_are_looked_through_without_holding_them_or_keeping_others_waiting(redis: Redis) -> None:
    sender = publisher(redis)
    for number in range(50):
        sender.publish(ParticipantLeft(participant=f"p{number}", reason="left"))
    await sender.flush(5)
    texts = [event.to_json() for event in await stream(redis)]
    await redis.delete(KEYS.events)
    for _ in range(100):
        await redis.eval(TEN_THOUSAND, 1, KEYS.events, *texts)  # type: ignore[no-untyped-call, misc]
    await redis.config_set("slowlog-log-slower-than", "100000")
    await redis.slowlog_reset()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = await forget(redis, KEYS, "p7")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 20_000
    assert (found.scanned, found.entries) == (1_000_000, 20_000)
    assert await redis.xlen(KEYS.events) == 980_000
    assert await redis.slowlog_len() == 0, "a command kept others waiting for longer than 0.1 s"


def test_the_command_prints_counts_and_no_name(server: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(_fill(server))
    place = ["--redis-url", server.url]
    assert main(["forget", KEYS.room, "p1", "--json", *place]) == 0
    counts = {"states": 1, "ranks": 1, "entries": 8, "scanned": 12, "is_present": False, "audit": 1, "summaries": 0}
    assert json.loads(capsys.readouterr().out) == counts
    assert main(["forget", KEYS.room, "p2", *place]) == 0
    told = capsys.readouterr()
    assert told.out == (
        "erased their state and 1 of 4 stream entries\n"
        "they are still in the room: what the bot publishes from now on stays, until this is run again after they left\n"
    )
    assert main(["forget", KEYS.room, "p2", *place]) == 6
    gone = capsys.readouterr()
    assert gone.out == "erased no state and 0 of 3 stream entries\n"
    assert gone.err == "classmood: Redis holds nothing about this participant\n"
    assert "student" not in told.out + told.err + gone.out + gone.err


async def _fill(server: RedisServer) -> None:
    async with server.client() as redis:
        await redis.flushall()
        sender = publisher(redis)
        for data in (*ONE_OF_EACH, joined(2)):
            sender.publish(data)
        await sender.flush(5)


def test_a_redis_that_is_away_or_holds_something_else_is_one_line(
    server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["forget", KEYS.room, "p1", "--redis-url", f"redis://127.0.0.1:{free_port()}/0"]) == 4
    assert capsys.readouterr().err.startswith("classmood: not everything was erased, run it again: ")
    asyncio.run(_occupy(server))
    assert main(["forget", KEYS.room, "p1", "--redis-url", server.url]) == 4
    assert capsys.readouterr().err.endswith(": WRONGTYPE Operation against a key holding the wrong kind of value\n")


async def _occupy(server: RedisServer) -> None:
    async with server.client() as redis:
        await redis.flushall()
        await redis.set(KEYS.events, "not ours")


@pytest.mark.parametrize(
    ("room", "says"),
    [
        ("", "a room without a name has no keys"),
        ("x" * 10_240, "the room's name has 10240 bytes, at most 256 are taken"),
        ("ü" * 129, "the room's name has 258 bytes, at most 256 are taken"),
        ("a\udcffb", "the room's name is not valid text"),
    ],
    ids=["empty", "10 kB", "258 bytes", "no text"],
)
def test_a_room_name_that_no_key_can_be_made_of_is_one_line(room: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RoomNameUnusable, match=says):
        Keys("classmood", room)
    assert main(["forget", room, "p1", "--redis-url", "redis://127.0.0.1:1/0"]) == 2
    assert capsys.readouterr().err == f"classmood: {says}\n"


def test_the_longest_room_name_is_taken() -> None:
    assert Keys("classmood", "x" * LONGEST_ROOM_BYTES).events
