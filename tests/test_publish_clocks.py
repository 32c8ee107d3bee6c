"""Retention with clocks that are wrong or jump: each age is taken by the clock that gave the time."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from bot.tasks import background
from pipeline.coverage import Coverage
from pipeline.events import CoverageChanged
from pipeline.follow import room_state
from tests.fakes import Clock
from tests.redis_servers import needs_redis
from tests.test_publish import KEYS, joined, participants, publisher, stream

HOUR_MS = 3_600_000
RETENTION_MS = 60_000

pytestmark = needs_redis


def real_ms() -> int:
    return time.time_ns() // 1_000_000


async def old_and_new_entries(redis: Redis) -> tuple[str, str]:
    """Stream entries written twice the retention ago, and half of it."""
    ids = [
        await redis.xadd(KEYS.events, {"event": "{}"}, id=f"{real_ms() - age}-0") for age in (2 * RETENTION_MS, RETENTION_MS // 2)
    ]
    return ids[0], ids[1]


async def ids_in_stream(redis: Redis) -> list[str]:
    return [stream_id for stream_id, _ in await redis.xrange(KEYS.events)]


@pytest.mark.parametrize("hours_off", [-24, -1, 0, 1, 24])
async def test_the_stream_is_trimmed_by_the_clock_of_redis_however_wrong_the_bots_is(redis: Redis, hours_off: int) -> None:
    old, new = await old_and_new_entries(redis)
    clock = Clock(real_ms() + hours_off * HOUR_MS)
    sender = publisher(redis, retention_ms=RETENTION_MS, clock=clock)
    for number in (1, 2):
        sender.publish(joined(number))
        await sender.flush(5)
    ids = await ids_in_stream(redis)
    assert old not in ids and new in ids and len(ids) == 3
    assert [person.id for person in (await room_state(redis, KEYS)).participants] == ["p1", "p2"]


@pytest.mark.parametrize("jump_ms", [-24 * HOUR_MS, -HOUR_MS, HOUR_MS, 24 * HOUR_MS])
async def test_a_bots_clock_that_jumps_in_the_middle_takes_no_event_and_nobody_who_is_still_seen(
    redis: Redis, jump_ms: int
) -> None:
    clock = Clock(real_ms())
    sender = publisher(redis, retention_ms=RETENTION_MS, clock=clock)
    sender.publish(joined(1))
    await sender.flush(5)
    clock.at_ms += jump_ms
    for number in (2, 3):
        sender.publish(joined(number))
        sender.publish(CoverageChanged(participant="p1", before=None, after=Coverage.OK))
        await sender.flush(5)
    events = await stream(redis)
    assert participants(events) == ["p1", "p2", "p1", "p3", "p1"]
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
    assert {"p2", "p3"} <= set(await redis.zrange(KEYS.participants, 0, -1))
    assert await redis.hget(KEYS.participant("p1"), "coverage") == "ok"


async def test_a_redis_clock_that_was_ahead_keeps_entries_longer_and_their_order_right(redis: Redis) -> None:
    ahead = await redis.xadd(KEYS.events, {"event": "{}"}, id=f"{real_ms() + HOUR_MS}-0")
    sender = publisher(redis, retention_ms=RETENTION_MS)
    for number in (1, 2):
        sender.publish(joined(number))
        await sender.flush(5)
    ids = await ids_in_stream(redis)
    assert ids[0] == ahead and len(ids) == 3
    assert [int(each.partition("-")[0]) for each in ids] == [int(ahead.partition("-")[0])] * 3
    assert participants(await stream(redis)) == ["p1", "p2"]
    assert 0 < await redis.pttl(KEYS.events) <= RETENTION_MS, "a room that falls silent ends all the same"


async def test_who_was_seen_by_a_clock_that_was_ahead_does_not_stay_for_ever(redis: Redis) -> None:
    former = publisher(redis, epoch="1", retention_ms=RETENTION_MS, clock=lambda: real_ms() + 24 * HOUR_MS)
    former.publish(joined(1))
    await former.flush(5)
    sender = publisher(redis, epoch="2", retention_ms=RETENTION_MS)
    await sender.wait_until_reachable()
    sender.publish(joined(2))
    await sender.flush(5)
    assert await redis.zrange(KEYS.participants, 0, -1) == ["p2"]
    assert [event.type for event in await stream(redis)][1] == "classmood.participant.left"


async def test_what_names_a_person_ends_with_the_retention_after_they_left_in_a_room_that_goes_on(redis: Redis) -> None:
    sender = publisher(redis, retention_ms=400)
    sender.publish(joined(1))
    await sender.flush(5)
    async with background(sender.run()):
        for _ in range(6):
            sender.publish(joined(2))
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.05)
    assert not any("p1" in key for key in await redis.keys("*"))
    assert await redis.zrange(KEYS.participants, 0, -1) == ["p2"]
    assert set(participants(await stream(redis))) == {"p2"}
    assert 0 < await redis.pttl(KEYS.last(sender.epoch)) <= 400
