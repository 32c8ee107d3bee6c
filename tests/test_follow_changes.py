"""A subscriber to a real Redis: first the state, then every change once and in order, whatever happens to the server."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from re import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import ConnectionPool, Redis

from bot.tasks import background
from pipeline.events import Event, ParticipantJoined, ParticipantLeft, rfc3339, schema_url
from pipeline.follow import PAGE, Change, Follower, Item, Missed, RoomState, follow
from pipeline.keys import Keys
from pipeline.publish import Publisher, RedisUnusable
from pipeline.sequences import Sequences
from tests.redis_servers import SERVER, RedisServer, every_server, needs_redis, running_redis, stopped_redis

KEYS = Keys("classmood", "maths {7b}")
SOON = 0.05


def publisher(redis: Redis, epoch: str = "1700000000000") -> Publisher:
    return Publisher(redis, KEYS, epoch, outbox_limit=5000, retention_ms=600_000, status_ttl_ms=5000, retry_seconds=0.02)


def joined(number: int) -> ParticipantJoined:
    return ParticipantJoined(participant=f"p{number}", name=f"student {number}", reason="published")


def event(sequence: int, epoch: str = "1", **changed: object) -> Event:
    data = joined(sequence)
    attributes: dict[str, object] = {
        "id": f"{epoch}-{sequence}",
        "source": "/classmood/rooms/maths",
        "type": data.type,
        "subject": data.participant,
        "time": rfc3339(0),
        "sequence": sequence,
        "epoch": epoch,
        "dataschema": schema_url(data.type),
        "data": data.model_dump(mode="json"),
    }
    return Event.model_validate({**attributes, **changed})


async def publish(redis: Redis, *numbers: int, epoch: str = "1700000000000") -> Publisher:
    sender = publisher(redis, epoch)
    for number in numbers:
        sender.publish(joined(number))
    await sender.flush(5)
    return sender


async def stream_ids(redis: Redis) -> list[str]:
    return [stream_id for stream_id, _ in await redis.xrange(KEYS.events)]


def follower(redis: Redis, after: str | None = None) -> Follower:
    return Follower(redis, KEYS, after=after, retry_seconds=SOON, block_seconds=SOON)


@asynccontextmanager
async def heard(follower: Follower) -> AsyncIterator[list[Item]]:
    """What a follower yields while the block runs."""
    items: list[Item] = []

    async def listen() -> None:
        async for page in follower.pages():
            items.extend(page)

    async with background(listen()):
        yield items


async def until_there_are(items: list[Item], count: int, kind: type[Item] = Change) -> None:
    async with asyncio.timeout(30):
        while sum(isinstance(item, kind) for item in items) < count:
            await asyncio.sleep(0.005)


def sequences(items: list[Item]) -> list[int]:
    return [item.event.sequence for item in items if isinstance(item, Change)]


def without_states(items: list[Item]) -> list[Item | int]:
    return [item.event.sequence if isinstance(item, Change) else item for item in items if not isinstance(item, RoomState)]


def states(items: list[Item]) -> list[RoomState]:
    return [item for item in items if isinstance(item, RoomState)]


@every_server
async def test_the_state_comes_first_and_then_every_change_as_its_own_type(program: str) -> None:
    with running_redis(program) as server:
        async with server.client() as redis:
            sender = await publish(redis, 1, 2)
            async with aclosing(follow(redis, KEYS.room).items()) as items:
                first = await anext(items)
                assert isinstance(first, RoomState) and [person.id for person in first.present] == ["p1", "p2"]
                sender.publish(ParticipantLeft(participant="p1", reason="left"))
                await sender.flush(5)
                change = await anext(items)
            assert isinstance(change, Change) and change.data == ParticipantLeft(participant="p1", reason="left")
            assert [first.stream_id, change.stream_id] == (await stream_ids(redis))[1:]


@needs_redis
async def test_whoever_comes_into_the_middle_has_each_event_in_the_state_or_as_a_change_and_never_twice(redis: Redis) -> None:
    sender = publisher(redis)

    async def keep_publishing() -> None:
        for number in range(1, 301):
            sender.publish(joined(number))
            if number % 3 == 0:
                await asyncio.sleep(0)
        await sender.flush(5)

    followers = [follower(redis) for _ in range(2)]
    async with background(sender.run(), keep_publishing()):
        for each in followers:
            async with heard(each) as items:
                await until_there_are(items, 1, RoomState)
                [state] = states(items)
                number = len(state.participants)
                await until_there_are(items, min(60, 300 - number))
            assert sequences(items) == list(range(number + 1, number + 1 + len(sequences(items))))


@needs_redis
@pytest.mark.parametrize(
    "options",
    [{}, {"decode_responses": True}, {"protocol": 3}, {"max_connections": 1, "encoding": "latin-1"}],
    ids=["plain", "decoding", "resp3", "narrow"],
)
async def test_any_client_does_and_foreign_bytes_harm_none(server: RedisServer, redis: Redis, options: dict[str, object]) -> None:
    await redis.xadd(KEYS.events, {"event": b"\xff\xfe"})
    await publish(redis, 1)
    pool = ConnectionPool.from_url(server.url, **options)
    async with Redis.from_pool(pool) as strangers:
        reader = follower(strangers, after="0")
        async with heard(reader) as items:
            await until_there_are(items, 1)
    assert (sequences(items), reader.skipped) == ([1], 1)


@needs_redis
async def test_a_room_that_has_not_begun_is_empty_and_is_followed_from_its_first_event(redis: Redis) -> None:
    async with heard(follower(redis)) as items:
        await until_there_are(items, 1, RoomState)
        await asyncio.sleep(3 * SOON)
        await publish(redis, 1, 2)
        await until_there_are(items, 2)
    assert [state.participants for state in states(items)] == [()] and without_states(items) == [1, 2]


@every_server
async def test_a_redis_that_restarts_with_its_data_costs_nothing(program: str) -> None:
    with stopped_redis(program, "--appendonly", "yes", "--appendfsync", "always") as server:
        server.start()
        async with server.client() as redis:
            sender = await publish(redis, 1)
            reader = follower(redis)
            async with heard(reader) as items, background(sender.run()):
                await until_there_are(items, 1, RoomState)
                for number in range(2, 100):
                    if number in (20, 60):
                        server.kill()
                        await asyncio.sleep(2 * SOON)
                        server.start()
                    sender.publish(joined(number))
                    await asyncio.sleep(0.002)
                await until_there_are(items, 98)
    assert without_states(items) == list(range(2, 100))
    assert len(states(items)) == 1 and reader.outages >= 2


@every_server
async def test_a_redis_that_restarts_empty_is_told_by_a_new_state_and_loses_no_change(program: str) -> None:
    with stopped_redis(program) as server:
        server.start()
        async with server.client() as redis:
            sender = await publish(redis, 1)
            async with heard(follower(redis)) as items:
                await until_there_are(items, 1, RoomState)
                sender.publish(joined(2))
                await sender.flush(5)
                await until_there_are(items, 1)
                server.kill()
                server.start()
                await sender.flush(5)
                sender.publish(joined(3))
                await sender.flush(5)
                await until_there_are(items, 2)
                await until_there_are(items, 2, RoomState)
    # the publisher reports to the new Redis again who is there
    assert without_states(items) == list(range(2, 2 + len(sequences(items))))
    assert [len(state.participants) for state in states(items)[:1]] == [1]
    assert len(states(items)) == 2


@needs_redis
async def test_events_that_redis_lost_before_they_were_read_are_missed(redis: Redis) -> None:
    sender = await publish(redis, 1, 2)
    [_, second] = await stream_ids(redis)
    sender.publish(joined(3))
    sender.publish(joined(4))
    await sender.flush(5)
    async with heard(follower(redis, after=second)) as items:
        await until_there_are(items, 2)
        await redis.flushall()
        await until_there_are(items, 1, RoomState)
        await redis.xadd(KEYS.events, {"event": event(7, "1700000000000").to_json()})
        await until_there_are(items, 3)
        await until_there_are(items, 2, RoomState)
    [*_, newest] = [item.stream_id for item in items if isinstance(item, Change)]
    assert without_states(items) == [3, 4, Missed("1700000000000", 5, 6, newest), 7]


@needs_redis
async def test_ids_that_begin_anew_are_noticed_and_what_was_seen_does_not_come_again(redis: Redis) -> None:
    await publish(redis, 1, 2, 3)
    reader = follower(redis)
    async with heard(reader) as items:
        await until_there_are(items, 1, RoomState)
        async with redis.pipeline(transaction=True) as pipe:
            pipe.delete(KEYS.events)
            for number in (2, 3, 4, 5):
                pipe.xadd(KEYS.events, {"event": event(number, "1700000000000").to_json()}, id=f"{number}-0")
            await pipe.execute()
        await until_there_are(items, 2)
        await until_there_are(items, 2, RoomState)
    assert without_states(items) == [4, 5]
    assert states(items)[1].stream_id == "5-0"


@needs_redis
async def test_a_stream_that_begins_anew_without_anything_that_was_seen_is_read_from_its_first_entry(redis: Redis) -> None:
    await publish(redis, 1, 2, 3)
    async with heard(follower(redis)) as items:
        await until_there_are(items, 1, RoomState)
        async with redis.pipeline(transaction=True) as pipe:
            pipe.delete(KEYS.events)
            for number in (5, 6):
                pipe.xadd(KEYS.events, {"event": event(number, "1700000000000").to_json()}, id=f"{number}-0")
            await pipe.execute()
        await until_there_are(items, 2, RoomState)
    assert without_states(items) == [Missed("1700000000000", 4, 4, "5-0"), 5, 6]


@needs_redis
async def test_a_stream_that_lost_its_newest_entries_gives_what_is_published_again(redis: Redis) -> None:
    await publish(redis, 1, 2, 3)
    async with heard(follower(redis)) as items:
        await until_there_are(items, 1, RoomState)
        async with redis.pipeline(transaction=True) as pipe:  # the state of a replica that became the master
            pipe.delete(KEYS.events)
            for number in (1, 2):
                pipe.xadd(KEYS.events, {"event": event(number, "1700000000000").to_json()}, id=f"{number}-0")
            await pipe.execute()
        await until_there_are(items, 2, RoomState)
        for number in (3, 4):
            await redis.xadd(KEYS.events, {"event": event(number, "1700000000000").to_json()})
        await until_there_are(items, 2)
    assert without_states(items) == [3, 4]


@needs_redis
async def test_who_was_away_goes_on_where_they_were_with_no_state_before(redis: Redis) -> None:
    await publish(redis, *range(1, 6))
    ids = await stream_ids(redis)
    async with heard(follower(redis, after=ids[1])) as items:
        await until_there_are(items, 3)
        await asyncio.sleep(2 * SOON)
    assert items == [item for item in items if isinstance(item, Change)] and sequences(items) == [3, 4, 5]
    assert [item.stream_id for item in items if isinstance(item, Change)] == ids[2:]


@needs_redis
async def test_what_was_trimmed_before_it_was_read_is_told_and_the_state_follows_the_rest(redis: Redis) -> None:
    await publish(redis, *range(1, 11))
    await redis.xtrim(KEYS.events, maxlen=3, approximate=False)
    ids = await stream_ids(redis)
    async with heard(follower(redis, after="0")) as items:
        await until_there_are(items, 1, RoomState)
    assert without_states(items) == [Missed("1700000000000", 1, 7, ids[0]), 8, 9, 10]
    assert isinstance(items[-1], RoomState) and len(items[-1].participants) == 10 and items[-1].stream_id == ids[-1]


@needs_redis
async def test_a_position_that_was_trimmed_away_leaves_open_how_much_is_missed(redis: Redis) -> None:
    await publish(redis, *range(1, 11))
    second = (await stream_ids(redis))[1]
    await redis.xtrim(KEYS.events, maxlen=3, approximate=False)
    async with heard(follower(redis, after=second)) as items:
        await until_there_are(items, 1, RoomState)
    assert isinstance(items[0], Missed) and (items[0].first, items[0].last, items[0].count) == (None, 7, None)
    assert sequences(items) == [8, 9, 10]


@needs_redis
async def test_what_was_erased_from_the_middle_is_missed_by_its_numbers(redis: Redis) -> None:
    await publish(redis, *range(1, 7))
    ids = await stream_ids(redis)
    await redis.xdel(KEYS.events, ids[2], ids[3], ids[5])
    async with heard(follower(redis, after=ids[0])) as items:
        await until_there_are(items, 1, RoomState)
        await publish(redis, 1, epoch="1800000000000")
        await until_there_are(items, 3)
    assert without_states(items) == [2, Missed("1700000000000", 3, 4, ids[4]), 5, 1]


@needs_redis
async def test_a_new_run_of_the_bot_is_no_gap_unless_its_beginning_is_gone(redis: Redis) -> None:
    await publish(redis, 1, 2, epoch="1")
    async with heard(follower(redis)) as items:
        await until_there_are(items, 1, RoomState)
        await publish(redis, 1, epoch="2")
        await redis.xadd(KEYS.events, {"event": event(4, "3").to_json()})
        await until_there_are(items, 2)
    [*_, newest] = await stream_ids(redis)
    assert without_states(items) == [1, Missed("2", 2, None, newest), Missed("3", 1, 3, newest), 4]


async def run_that_goes_on_and_is_trimmed_before_another_begins(redis: Redis, *, foreign: bool = False) -> list[str]:
    """Lose numbers 3 to 5 of the run "1" and put the run "2" after them; returns the ids of what is left."""
    for number in (3, 4, 5):
        await redis.xadd(KEYS.events, {"event": event(number, "1").to_json()})
    await redis.xtrim(KEYS.events, maxlen=0, approximate=False)
    if foreign:
        await redis.xadd(KEYS.events, {"note": "hello"})
    for number in (1, 2):
        await redis.xadd(KEYS.events, {"event": event(number, "2").to_json()})
    return (await stream_ids(redis))[foreign:]


@every_server
@pytest.mark.parametrize(("counted", "foreign", "last"), [(None, False, None), ("5", True, 5)])
async def test_the_end_of_a_run_that_was_trimmed_before_it_was_read_is_missed_when_the_next_run_begins(
    program: str, counted: str | None, foreign: bool, last: int | None
) -> None:
    with running_redis(program) as server:
        async with server.client() as redis:
            for number in (1, 2):
                await redis.xadd(KEYS.events, {"event": event(number, "1").to_json()})
            async with asyncio.timeout(30), aclosing(follower(redis, after="0").items()) as items:
                read = [await anext(items), await anext(items)]
                [first, _] = await run_that_goes_on_and_is_trimmed_before_another_begins(redis, foreign=foreign)
                if counted is not None:
                    await redis.set(KEYS.last("1"), counted)
                read += [await anext(items) for _ in range(4)]
    assert without_states(read) == [1, 2, Missed("1", 3, last, first), 1, 2]
    assert isinstance(read[-1], RoomState)


async def until_a_reader_has_looked_for_losses(redis: Redis) -> None:
    async with asyncio.timeout(30):
        while not any(command.startswith("cmdstat_xinfo") for command in await redis.info("commandstats")):
            await asyncio.sleep(0.005)


@needs_redis
@pytest.mark.parametrize("trimmed", ["nothing", "everything", "everything, of which the run knows the end"])
async def test_a_restart_of_the_bot_is_silent_for_who_had_read_all_of_the_former_run(redis: Redis, trimmed: str) -> None:
    await publish(redis, 1, 2, epoch="1")
    async with asyncio.timeout(30), aclosing(follower(redis, after="0").items()) as items:
        read = [await anext(items), await anext(items)]
        await redis.config_resetstat()
        later = asyncio.ensure_future(anext(items))
        if trimmed == "everything":  # the reader is waiting at the end, so that nothing can slip past it
            await redis.delete(KEYS.last("1"))
            await until_a_reader_has_looked_for_losses(redis)
        if trimmed != "nothing":
            await redis.xtrim(KEYS.events, maxlen=0, approximate=False)
        await publish(redis, 1, epoch="2")
        read.append(await later)
    assert without_states(read) == [1, 2, 1]


@needs_redis
async def test_a_position_that_is_gone_before_a_new_run_leaves_open_whether_anything_is_missed(redis: Redis) -> None:
    second = await redis.xadd(KEYS.events, {"event": event(2, "1").to_json()})
    [first, _] = await run_that_goes_on_and_is_trimmed_before_another_begins(redis)
    async with heard(follower(redis, after=second)) as items:
        await until_there_are(items, 1, RoomState)
    assert without_states(items) == [Missed("", None, None, first), 1, 2] and isinstance(items[-1], RoomState)


@needs_redis
async def test_foreign_entries_are_counted_and_what_the_future_brings_is_handed_on_without_a_model(redis: Redis) -> None:
    later = event(2, dataschema="urn:classmood:schema:2:classmood.participant.joined", data={"who": "p2"}, traceparent="00-1")
    unknown = event(3, type="classmood.gaze", dataschema="urn:classmood:schema:1:classmood.gaze", data={})
    wider = event(4, data={**joined(4).model_dump(mode="json"), "pronouns": "they"})
    misfit = event(5, data={"colour": "blue"})
    reader = follower(redis)
    async with heard(reader) as items:
        await until_there_are(items, 1, RoomState)
        await redis.xadd(KEYS.events, {"event": "{"})
        await redis.xadd(KEYS.events, {"note": "hello"})
        for each in (event(1), later, unknown, wider, misfit):
            await redis.xadd(KEYS.events, {"event": each.to_json()})
        await until_there_are(items, 4)
        await asyncio.sleep(SOON)
    changes = [item for item in items if isinstance(item, Change)]
    assert [change.data is None for change in changes] == [False, True, True, False]
    assert changes[1].event.data == {"who": "p2"} and reader.skipped == 3


@needs_redis
async def test_a_slow_subscriber_is_given_pages_and_nothing_is_lost(redis: Redis) -> None:
    await publish(redis, *range(1, PAGE + 11))
    sizes: list[int] = []
    async with aclosing(follower(redis, after="0").pages()) as pages:
        async for page in pages:
            sizes.append(len(page))
            if sum(sizes) == PAGE + 10:
                break
    assert sizes == [PAGE, 10]


@needs_redis
@pytest.mark.parametrize("after", ["", "$", "now", "1-2-3", "-1", "1" * 21, "9" * 20 + "-0", f"0-{2**64}"])
def test_a_position_that_is_no_stream_id_is_refused(after: str) -> None:
    with pytest.raises(ValueError, match="is no stream id"):
        follow(Redis(), "algebra", after=after)


@needs_redis
async def test_a_redis_that_refuses_ends_it_with_one_line(redis: Redis) -> None:
    await redis.set(KEYS.events, "mine")
    for after in (None, "0"):
        with pytest.raises(RedisUnusable, match=f"redis refuses: WRONGTYPE {escape(KEYS.events)} is"):
            await anext(follower(redis, after).items())
    with running_redis(SERVER, "--requirepass", "hush") as locked:
        async with locked.client() as stranger:
            with pytest.raises(RedisUnusable, match="redis refuses: Authentication"):
                await anext(follower(stranger).items())


@needs_redis
async def test_a_cancelled_subscriber_ends_at_once_whether_it_waits_for_events_or_for_redis(redis: Redis) -> None:
    for client in (redis, Redis(port=1)):
        task = asyncio.create_task(anext(aiter(_changes(Follower(client, KEYS)))))
        await asyncio.sleep(0.2)
        task.cancel()
        async with asyncio.timeout(0.5):
            await asyncio.wait([task])
        assert task.cancelled()


async def _changes(reader: Follower) -> AsyncIterator[Change]:
    async for item in reader:
        if isinstance(item, Change):
            yield item


@needs_redis
@pytest.mark.slow
async def test_a_very_long_stream_is_followed_without_keeping_more_of_it_than_two_pages(redis: Redis) -> None:
    count = 20_000
    head, tail = event(1).to_json().split('"sequence":1')
    script = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'event', ARGV[2]..'\"sequence\":'..i..ARGV[3]) end"
    await redis.eval(script, 1, KEYS.events, str(count), head, tail)
    seen = most_kept = 0
    async with aclosing(follower(redis, after="0").pages()) as pages:
        async for page in pages:
            seen += len(page)
            most_kept = max(most_kept, sum(isinstance(each, Change) for each in gc.get_objects()))
            if seen == count:
                break
    assert seen == count and PAGE <= most_kept <= 2 * PAGE


@settings(max_examples=30)
@given(st.lists(st.integers(1, 30), min_size=1, unique=True).map(sorted))
def test_what_is_missing_and_what_came_are_together_the_whole_sequence(arrived: list[int]) -> None:
    known, told = Sequences(), []
    for number in arrived:
        missing = known.missing_before(event(number), "1-0")
        told += [count for each in missing for count in range(each.first or 0, (each.last or 0) + 1)] + [number]
    assert told == list(range(1, arrived[-1] + 1))
    assert all(known.is_repeated(event(number)) for number in arrived)
    assert all(a < b for a, b in pairwise(told))
