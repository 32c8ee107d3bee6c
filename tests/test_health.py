"""The health check: live or not, in one line, quickly."""

import subprocess
import sys

import pytest

from bot.errors import NothingHappened, RedisRefused
from bot.health import health
from bot.settings import Settings
from pipeline.keys import Keys
from tests.redis_servers import SERVER, RedisServer, needs_redis, stopped_redis

pytestmark = needs_redis


def settings(server: RedisServer, **more: object) -> Settings:
    return Settings(redis_url=server.url, _env_file=None, **more)  # type: ignore[arg-type, call-arg]


async def test_a_room_with_a_status_is_healthy_and_another_is_not(server: RedisServer) -> None:
    async with server.client() as redis:
        await redis.flushall()
        with pytest.raises(NothingHappened, match="in any room"):
            await health(settings(server))
        await redis.set(Keys("classmood", "a{1}").bot, "{}")
        await redis.set(Keys("classmood", "b").participants, "no status")
    await health(settings(server))
    await health(settings(server), "a{1}")
    for room in ("b", "*"):
        with pytest.raises(NothingHappened, match="no bot is live in room"):
            await health(settings(server), room)
    with pytest.raises(NothingHappened):
        await health(settings(server, key_prefix="other"))


async def test_a_redis_that_is_away_or_refuses_is_one_line() -> None:
    with stopped_redis(SERVER, "--requirepass", "right") as server:
        with pytest.raises(RedisRefused, match=r"^cannot ask redis: [^\n]+$"):
            await health(settings(server))
        server.start()
        with pytest.raises(RedisRefused, match=r"^cannot ask redis: [^\n]+$"):
            await health(settings(server, redis_password="wrong"))


def test_it_loads_nothing_heavy() -> None:
    code = "import sys, bot.health; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "redis" in loaded
    assert not {"aiortc", "av", "cv2", "ai_edge_litert", "numpy", "aiohttp", "rich"} & set(loaded)
