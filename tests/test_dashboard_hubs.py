"""The rooms that a dashboard follows: as many as there is room for, and none for longer than somebody watches."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis

from dashboard.hubs import Hubs, TooManyRooms
from pipeline.keys import RoomNameUnusable
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
