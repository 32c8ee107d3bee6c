"""The rooms that a dashboard follows: as many as there is room for, and none for longer than somebody watches."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dashboard.hubs import Hubs, TooManyRooms
from dashboard.rooms_list import RoomsList
from pipeline.keys import Keys, RoomNameUnusable
from tests.fakes import Clock
from tests.redis_servers import SERVER, RedisServer, needs_redis, running_redis

pytestmark = needs_redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis(SERVER) as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_room_is_followed_once_for_all_who_watch_it_and_let_go_after_the_last(redis: Redis) -> None:
    async with Hubs(redis, "classmood", linger_seconds=0.05) as hubs:
        with hubs.watching("maths") as one:
            with hubs.watching("maths") as other:
                assert one is other
            await asyncio.sleep(0.1)
            assert hubs.rooms == ["maths"], "one still watches"
        with hubs.watching("maths") as again:
            assert again is one, "a page that is loaded again comes before it is let go"
            await asyncio.sleep(0.1)
            assert hubs.rooms == ["maths"]
        await until(lambda: hubs.rooms == [])


async def test_rooms_are_looked_for_once_a_second_however_many_ask(redis: Redis) -> None:
    await redis.set(Keys("classmood", "algebra").bot, "{}")
    await redis.config_resetstat()
    clock = Clock()
    rooms = RoomsList(redis, "classmood", clock)
    answers = await asyncio.gather(*(rooms.get() for _ in range(20)))
    assert [[room["room"] for room in answer] for answer in answers] == [["algebra"]] * 20
    assert await scans(redis) == 1
    clock.pass_seconds(1.1)
    await rooms.get()
    assert await scans(redis) == 2


async def test_a_redis_that_is_away_is_not_looked_into_more_often_either(redis: Redis) -> None:
    clock = Clock()
    rooms = RoomsList(redis, "classmood", clock)
    await redis.acl_setuser("default", enabled=True, commands=["-scan"])
    try:
        for _ in range(5):
            with pytest.raises(RedisError):
                await rooms.get()
    finally:
        await redis.acl_setuser("default", enabled=True, commands=["+@all"])
    with pytest.raises(RedisError):
        await rooms.get()
    clock.pass_seconds(1.1)
    assert await rooms.get() == []


async def scans(redis: Redis) -> int:
    return int((await redis.info("commandstats"))["cmdstat_scan"]["calls"])


async def test_more_rooms_than_there_is_place_for_are_refused_until_one_is_let_go(redis: Redis) -> None:
    async with Hubs(redis, "classmood", most_rooms=2, linger_seconds=0.05) as hubs:
        with ExitStack() as watched:
            for room in ("algebra", "biology"):
                watched.enter_context(hubs.watching(room))
            with pytest.raises(TooManyRooms, match="2 rooms are watched already"), hubs.watching("chemistry"):
                pass
            with hubs.watching("algebra"):
                assert sorted(hubs.rooms) == ["algebra", "biology"]
        await until(lambda: hubs.rooms == [])
        with hubs.watching("chemistry"):
            assert hubs.rooms == ["chemistry"]


async def test_a_name_that_no_room_can_have_is_refused_and_takes_no_place(redis: Redis) -> None:
    async with Hubs(redis, "classmood", most_rooms=1) as hubs:
        with pytest.raises(RoomNameUnusable), hubs.watching(""):
            pass
        assert hubs.rooms == []
