"""Services that share a room's events through a consumer group of a real Redis."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from bot.tasks import background
from pipeline.events import ParticipantJoined
from pipeline.follow import Change
from pipeline.keys import Keys
from pipeline.publish import Publisher, RedisUnusable
from pipeline.shared_work import NotNow, Worker
from tests.redis_servers import SERVER, every_server, needs_redis, running_redis

KEYS = Keys("classmood", "maths")
SOON = 0.05


def publisher(redis: Redis) -> Publisher:
    return Publisher(redis, KEYS, "1", outbox_limit=5000, retention_ms=600_000, status_ttl_ms=5000, retry_seconds=0.02)


async def publish(sender: Publisher, *numbers: int) -> None:
    for number in numbers:
        sender.publish(ParticipantJoined(participant=f"p{number}", name="", reason="published"))
    await sender.flush(5)


class Done:
    """A handler that records the numbers it is given, and fails on some of them as often as told."""

    def __init__(self, fails: dict[int, int] | None = None) -> None:
        self.numbers: list[int] = []
        self._fails = fails or {}

    async def __call__(self, change: Change) -> None:
        number = change.event.sequence
        if self._fails.get(number, 0) > 0:
            self._fails[number] -= 1
            raise NotNow
        self.numbers.append(number)


def worker(
    redis: Redis, handle: Callable[[Change], Awaitable[None]], name: str = "one", claim_after_seconds: float = 30, **more: int
) -> Worker:
    times = {"claim_after_seconds": claim_after_seconds, "block_seconds": SOON, "retry_seconds": SOON}
    return Worker(redis, KEYS, group="archive", name=name, handle=handle, start="0", **times, **more)  # type: ignore[arg-type]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def still_pending(redis: Redis) -> int:
    pending = await redis.xpending(KEYS.events, "archive")
    return int(pending["pending"])


@every_server
async def test_workers_of_a_group_share_the_events_and_each_is_done_once(program: str) -> None:
    with running_redis(program) as server:
        async with server.client() as redis:
            sender, ada, ben = publisher(redis), Done(), Done()
            await publish(sender, 1, 2)
            workers = worker(redis, ada, "ada"), worker(redis, ben, "ben")
            async with background(*(each.run() for each in workers)):
                await publish(sender, *range(3, 101))
                await until(lambda: len(ada.numbers) + len(ben.numbers) >= 100)
                await asyncio.sleep(SOON)
            assert sorted(ada.numbers + ben.numbers) == list(range(1, 101))
            assert ada.numbers == sorted(ada.numbers) and ben.numbers == sorted(ben.numbers)
            assert await still_pending(redis) == 0 and sum(each.handled for each in workers) == 100


@every_server
async def test_what_a_dead_worker_had_in_hand_goes_to_another_and_what_was_erased_meanwhile_is_let_go(program: str) -> None:
    with running_redis(program) as server:
        async with server.client() as redis:
            await publish(publisher(redis), 1, 2, 3)
            await redis.xgroup_create(KEYS.events, "archive", "0")
            [[_, taken]] = await redis.xreadgroup("archive", "dead", {KEYS.events: ">"})
            await redis.xdel(KEYS.events, taken[1][0])
            done = Done()
            heir = worker(redis, done, claim_after_seconds=SOON)
            async with background(heir.run()):
                await until(lambda: len(done.numbers) == 2)
                await asyncio.sleep(4 * SOON)
            assert done.numbers == [1, 3] and heir.claimed == 2
            assert await still_pending(redis) == 0


@needs_redis
async def test_an_event_that_a_handler_wants_later_comes_again_and_holds_up_nobody(redis: Redis) -> None:
    done = Done(fails={1: 2})
    await publish(publisher(redis), 1, 2)
    one = worker(redis, done, claim_after_seconds=SOON)
    async with background(one.run()):
        await until(lambda: len(done.numbers) == 2)
    assert done.numbers == [2, 1] and (one.handled, one.postponed) == (2, 2)


@needs_redis
async def test_an_event_that_is_never_done_is_put_aside_by_its_id_alone(redis: Redis) -> None:
    done = Done(fails={1: 1000})
    await publish(publisher(redis), 1, 2)
    [(first, _), _] = await redis.xrange(KEYS.events)
    one = worker(redis, done, claim_after_seconds=0.01, most_deliveries=3)
    async with background(one.run()):
        await until(lambda: one.set_aside == 1)
    assert done.numbers == [2] and one.postponed == 3
    assert [fields for _, fields in await redis.xrange(KEYS.aside("archive"))] == [{"id": first, "deliveries": "3"}]
    assert await still_pending(redis) == 0 and await redis.ttl(KEYS.aside("archive")) > 0


@needs_redis
async def test_a_handler_that_breaks_ends_the_worker_and_its_event_is_not_lost(redis: Redis) -> None:
    async def breaks(change: Change) -> None:
        raise ZeroDivisionError

    await publish(publisher(redis), 1)
    with pytest.raises(ZeroDivisionError):
        await worker(redis, breaks).run()
    assert await still_pending(redis) == 1


@needs_redis
async def test_entries_that_are_no_events_are_done_with_and_counted(redis: Redis) -> None:
    await redis.xadd(KEYS.events, {"note": "hello"})
    await publish(publisher(redis), 1)
    done = Done()
    one = worker(redis, done)
    async with background(one.run()):
        await until(lambda: bool(done.numbers))
        await asyncio.sleep(SOON)
    assert one.skipped == 1 and await still_pending(redis) == 0


@every_server
async def test_a_group_that_is_destroyed_goes_on_where_it_was_and_a_stream_that_is_gone_from_its_first_entry(
    program: str,
) -> None:
    with running_redis(program) as server:
        async with server.client() as redis:
            sender, done = publisher(redis), Done()
            async with background(worker(redis, done).run()):
                await publish(sender, 1, 2)
                await until(lambda: len(done.numbers) == 2)
                await redis.xgroup_destroy(KEYS.events, "archive")
                await publish(sender, 3)
                await until(lambda: len(done.numbers) == 3)
                await redis.delete(KEYS.events)
                await publish(sender, 4)
                await until(lambda: len(done.numbers) == 4)
            assert done.numbers == [1, 2, 3, 4]


@needs_redis
async def test_a_redis_that_comes_back_empty_gives_the_group_its_next_events() -> None:
    with running_redis(SERVER) as server:
        async with server.client() as redis:
            sender, done = publisher(redis), Done()
            async with background(worker(redis, done).run()):
                await publish(sender, 1)
                await until(lambda: len(done.numbers) == 1)
                server.kill()
                server.start()
                await publish(sender, 2)
                await until(lambda: len(done.numbers) >= 2)
            assert done.numbers[:2] == [1, 2]


@needs_redis
async def test_a_redis_that_refuses_ends_the_worker_with_one_line(redis: Redis) -> None:
    await redis.set(KEYS.events, "mine")
    with pytest.raises(RedisUnusable, match="redis refuses: WRONGTYPE"):
        await worker(redis, Done()).run()
