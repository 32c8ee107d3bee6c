"""The marks that a scripted lesson makes, as a teacher would."""

import asyncio
import logging
from itertools import count

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.scripts import Script
from bot.synthetic.parts import marks
from pipeline.cancellation import cancellable
from pipeline.keys import Keys
from pipeline.markers import MarkRefused, mark
from pipeline.publish import reason

logger = logging.getLogger(__name__)


async def marking(redis: Redis, keys: Keys, script: Script, begun_seconds: float) -> None:
    """Make the lesson's marks when they are due, lesson after lesson, from `begun_seconds` on the event loop's clock."""
    moments = marks(script)
    for lesson in count() if moments else ():
        for at_seconds, label in moments:
            due = begun_seconds + lesson * script.duration_seconds + at_seconds
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            try:
                await cancellable(mark(redis, keys, label))
            except (MarkRefused, RedisError) as error:  # the lesson goes on without it
                logger.warning("a mark of the lesson was not made: %s", reason(error) if isinstance(error, RedisError) else error)
