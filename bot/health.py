"""Asks Redis whether a bot is live; light enough for a container's health check."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.errors import NothingHappened, RedisRefused
from bot.redis_client import connect
from bot.settings import Settings
from pipeline.keys import Keys, any_room


async def health(settings: Settings, room: str | None = None) -> None:
    """Return if Redis holds the status of a bot in `room`, or in any room if `room` is None.

    Raises NothingHappened if it does not, and RedisRefused if Redis cannot be asked.
    """
    async with connect(settings) as redis:
        try:
            alive = await _is_live(redis, settings.key_prefix, room)
        except RedisError as error:
            raise RedisRefused(f"cannot ask redis: {error}") from None
    if not alive:
        raise NothingHappened(f"no bot is live in room {room!r}" if room else "no bot is live in any room")


async def _is_live(redis: Redis, prefix: str, room: str | None) -> bool:
    if room:
        # GET, a right that the bot has anyway: a container's health check logs in as the bot
        return await redis.get(Keys(prefix, room).bot) is not None
    async for _ in redis.scan_iter(any_room(prefix, "bot"), count=1000):
        return True
    return False
