"""The rooms that a dashboard follows: as many as it may, and each only as long as somebody watches it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dashboard.hubs import Hubs, TooManyRooms
from dashboard.rooms_list import RoomsList
from pipeline.keys import Keys, RoomNameUnusable
from tests.dashboards import Lesson, status
from tests.fakes import Clock
from tests.redis_servers import SERVER, RedisServer, every_server, needs_redis, running_redis
from tests.test_publish import full

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


async def standing(redis: Redis, room: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until somebody who opens the room gets a state as wanted."""
    async with Hubs(redis, "classmood") as hubs:
        with hubs.watching(room) as hub:
            await until(lambda: wanted(hub.view(-1)["state"]))


@asynccontextmanager
async def refusing(redis: Redis, how: str) -> AsyncIterator[None]:
    """The server takes no writes while the block runs, because it is full or because it is a read-only replica."""
    if how == "full":
        async with full(redis):
            yield
        return
    await redis.replicaof("127.0.0.1", "1")
    yield
    await redis.replicaof("NO", "ONE")


@every_server
@pytest.mark.slow
@pytest.mark.parametrize("how", ["full", "a copy"])
async def test_a_redis_that_refuses_to_write_is_told_from_a_bot_that_is_gone(program: str, how: str) -> None:
    with running_redis(program) as server:
        async with server.client() as redis, Hubs(redis, "classmood") as hubs:
            lesson = Lesson(redis, "maths")
            await lesson.begin("ada")
            with hubs.watching("maths") as hub:
                await until(lambda: hub.view(-1)["state"]["bot"] == "running")
                assert await redis.pexpire(lesson.keys.bot, 1)  # no heartbeat of the bot arrives any more
                async with refusing(redis, how):
                    await until(lambda: hub.view(-1)["state"]["refuses_writes"])
                    await standing(redis, "maths", lambda state: state["refuses_writes"])
                await until(lambda: not hub.view(-1)["state"]["refuses_writes"])
                assert hub.view(-1)["state"]["bot"] is None
                await lesson.tell(status())
                await until(lambda: hub.view(-1)["state"]["bot"] == "running")
            assert await redis.keys("*nothing*") == []


async def test_a_dashboard_that_may_not_write_takes_every_bot_that_is_silent_for_gone(server: RedisServer, redis: Redis) -> None:
    await Lesson(redis, "maths").begin("ada")
    await redis.delete(Keys("classmood", "maths").bot)
    await redis.acl_setuser("looks", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-@write"])
    async with Redis.from_url(server.url, username="looks", password="any", decode_responses=True) as looking:
        await standing(looking, "maths", lambda state: state["begun"] and state["bot"] is None and not state["refused"])


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
