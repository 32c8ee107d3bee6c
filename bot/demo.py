"""Everything in one process: a Redis server, a local room, simulated students, and the bot."""

import asyncio
import logging
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from bot.analyse import shares
from bot.app import Bot, assemble, load_analyst, running
from bot.clip_track import clips
from bot.embedded_redis import embedded_redis
from bot.errors import NothingHappened, RoomRefused
from bot.redis_client import connect
from bot.rooms.local import LocalRoom, host
from bot.settings import Settings
from bot.students import students
from bot.tasks import background, stay
from pipeline.events import EmotionSample
from pipeline.follow import events_since
from pipeline.keys import Keys

logger = logging.getLogger(__name__)

ROOM = "demo"


async def demo(settings: Settings, count: int, seconds: float | None, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Run the demonstration for `seconds` and return its figures, or without them until it is stopped.

    `say` is told, line by line, where to look.
    """
    analyst = load_analyst(settings)
    async with AsyncExitStack() as stack:
        settings = await _with_redis(stack, settings)
        redis = await stack.enter_async_context(connect(settings))
        room = await stack.enter_async_context(_hosted(settings))
        bot = assemble(room, redis, analyst, settings)
        await bot.publisher.wait_until_reachable()
        await stack.enter_async_context(running(bot, analyst, settings))
        await stack.enter_async_context(background(bot.attendance.run()))
        _say_where(room, settings, say)
        ready = await asyncio.to_thread(clips, [], count)
        started = time.monotonic()
        await stack.enter_async_context(students(room.whip_url, count, ready, settings))
        say(f"{count} students are in the room, {time.monotonic() - started:.1f} s after the first asked to come in")
        await stay(seconds)
        return await figures(bot, redis, Keys(settings.key_prefix, ROOM), seconds or 0)


async def _with_redis(stack: AsyncExitStack, settings: Settings) -> Settings:
    """The settings with an embedded Redis server in them, unless they name one."""
    if "redis_url" in settings.model_fields_set:
        return settings
    url = await stack.enter_async_context(embedded_redis())
    return settings.model_copy(update={"redis_url": url})


@asynccontextmanager
async def _hosted(settings: Settings) -> AsyncIterator[LocalRoom]:
    """The room on the port of the settings, or on a free one where none was asked for and the usual one is taken."""
    async with AsyncExitStack() as stack:
        try:
            room = await stack.enter_async_context(host(ROOM, settings))
        except RoomRefused:
            if "port" in settings.model_fields_set:
                raise
            room = await stack.enter_async_context(host(ROOM, settings.model_copy(update={"port": 0})))
        yield room


def _say_where(room: LocalRoom, settings: Settings, say: Callable[[str], None]) -> None:
    say(f"be a student:   open {room.url}/ in a browser, or publish to {room.whip_url} by WHIP")
    say(f"watch the room: {_ourselves()} watch {ROOM} --redis-url {settings.redis_url}")
    say(f"hear it live:   redis-cli -u {settings.redis_url} subscribe '{Keys(settings.key_prefix, ROOM).live}'")


def _ourselves() -> str:
    """How this program was called, so that what is told can be copied into a shell."""
    return sys.argv[0] if Path(sys.argv[0]).name == "classmood" else "python -m bot"


async def figures(bot: Bot, redis: Redis, keys: Keys, seconds: float) -> dict[str, Any]:
    """What was published, read back from Redis, beside the bot's own counters."""
    events: dict[str, Counter[str]] = defaultdict(Counter)
    emotions: dict[str, list[str]] = defaultdict(list)
    async for event in events_since(redis, keys):
        if event.epoch != bot.publisher.epoch or event.subject is None:
            continue
        events[event.subject][event.type] += 1
        data = event.typed()
        if isinstance(data, EmotionSample):
            emotions[event.subject].append(str(data.emotion))
    return {
        "students": [
            {
                "id": participant_id,
                "frames": seat.frames_received,
                "looks": seat.looks,
                "events": dict(events[participant_id]),
                "shares": shares(emotions[participant_id]),
            }
            for participant_id, seat in bot.attendance.seats.items()
        ],
        "dropped": bot.frames.dropped,
        "skipped": bot.attendance.totals.frames_skipped,
        "latency_ms": percentiles(bot.publisher.latencies_ms),
        "seconds": seconds,
        "model": bot.model,
    }


def percentiles(values: Any) -> dict[str, float | None]:
    """The 50th and 95th percentile; null of fewer than two."""
    if len(values) < 2:
        return {"p50": None, "p95": None}
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1)}


def check(result: dict[str, Any], count: int) -> None:
    """Raise NothingHappened unless emotion events of every student were published."""
    heard = sum("classmood.emotion.sample" in student["events"] for student in result["students"])
    if heard < count:
        raise NothingHappened(f"emotion events came of {heard} of {count} students")
