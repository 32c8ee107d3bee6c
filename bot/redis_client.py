"""The bot's connection to Redis."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bot.settings import Settings

CONNECT_SECONDS = 3.0
REPLY_SECONDS = 5.0


def connect(settings: Settings) -> Redis:
    """A client of the Redis in the settings, to be used as `async with`; it connects with the first command.

    It never tries again by itself: the publisher alone decides when to, and redis-py's own tries take seconds.
    """
    client: Redis = Redis.from_url(
        str(settings.redis_url),
        username=settings.redis_username or None,
        password=settings.redis_password.get_secret_value() or None,
        decode_responses=True,
        encoding_errors="replace",
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=REPLY_SECONDS,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 0),
    )
    return client
