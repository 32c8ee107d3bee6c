"""Everything in one command: a Redis server, in its own process, and a local room, simulated students and the bot in this one."""

import asyncio
import logging
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from bot.analyse import shares
from bot.app import Bot, assemble, load_analyst, running
from bot.attendance import Seat
from bot.basis import basis_if_stated
from bot.consent import ConsentPolicy, consent_policy
from bot.dashboard_command import dashboard_options
from bot.embedded_redis import embedded_redis
from bot.errors import NothingHappened, RoomRefused, SettingsWrong
from bot.redis_client import connect
from bot.rooms.local import LocalRoom, host
from bot.scripts import Script
from bot.settings import Settings
from bot.students import whip_entrance
from bot.synthetic.acting import acting
from bot.synthetic.marking import marking
from bot.tasks import background, stay
from dashboard.options import DashboardOptions, DashboardRefused
from dashboard.server import serving
from pipeline.events import EmotionSample
from pipeline.follow import events_since
from pipeline.keys import Keys

logger = logging.getLogger(__name__)

ROOM = "demo"


async def demo(
    settings: Settings, count: int, seconds: float | None, say: Callable[[str], None], script: Script
) -> dict[str, Any] | None:
    """Run the demonstration for `seconds` and return its figures; without `seconds`, run until stopped.

    `count` simulated students follow the script. `say` gets the lines that tell a person where to look. Without a stated basis,
    only these students are read, whoever else comes.
    """
    policy = consent_policy(settings, reads_visitors=basis_if_stated(settings) is not None)
    analyst = load_analyst(settings)
    async with AsyncExitStack() as stack:
        settings = await _with_redis(stack, settings)
        redis = await stack.enter_async_context(connect(settings))
        room = await stack.enter_async_context(_hosted(settings, policy))
        bot = assemble(room, redis, analyst, settings)
        await bot.publisher.wait_until_reachable()
        await stack.enter_async_context(running(bot, analyst, settings))
        await stack.enter_async_context(background(bot.attendance.run()))
        dashboard = await stack.enter_async_context(_dashboard(redis, settings))
        _say_where(room, dashboard, settings, say)
        if not policy.reads_visitors:
            say("who is read:    only the simulated students, until a basis is stated: see `classmood basis`")
        keys, seats = Keys(settings.key_prefix, ROOM), dict(bot.attendance.seats)
        if seconds is not None:  # a demonstration without an end returns no figures
            await stack.enter_async_context(background(_remember(bot, seats)))
        started = _now()
        enter = await stack.enter_async_context(whip_entrance(room.whip_url, settings, policy.ticket))
        await stack.enter_async_context(acting(enter, script, count))
        await stack.enter_async_context(background(marking(redis, keys, script, started)))
        say(
            f"{count} student{' is' if count == 1 else 's are'} in the room,"
            f" {_now() - started:.1f} s after the first asked to join"
        )
        await stay(seconds)
        return await figures(bot, seats | bot.attendance.seats, redis, keys, seconds or 0)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _remember(bot: Bot, seats: dict[str, Seat]) -> None:
    """Keep adding everybody's seat to `seats`, forever, so that the figures at the end include those who left."""
    while True:
        seats.update(bot.attendance.seats)
        await asyncio.sleep(0.5)


@asynccontextmanager
async def _dashboard(redis: Redis, settings: Settings) -> AsyncIterator[str]:
    """Serve the teacher's page, and yield its URL: on the port in the settings, or a free one if only the default is taken."""
    options = dashboard_options(settings)
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(serving(redis, settings.key_prefix, options))
        except DashboardRefused as error:
            if "dashboard_port" in settings.model_fields_set:
                raise SettingsWrong(str(error)) from None
            url = await _elsewhere(stack, redis, settings, options)
        yield url


async def _elsewhere(stack: AsyncExitStack, redis: Redis, settings: Settings, options: DashboardOptions) -> str:
    try:
        return await stack.enter_async_context(serving(redis, settings.key_prefix, replace(options, port=0)))
    except DashboardRefused as error:  # the port was not the reason
        raise SettingsWrong(str(error)) from None


async def _with_redis(stack: AsyncExitStack, settings: Settings) -> Settings:
    """The settings with the URL of an embedded Redis server, unless they name a server themselves."""
    if "redis_url" in settings.model_fields_set:
        return settings
    url = await stack.enter_async_context(embedded_redis())
    return settings.model_copy(update={"redis_url": url})


@asynccontextmanager
async def _hosted(settings: Settings, policy: ConsentPolicy) -> AsyncIterator[LocalRoom]:
    """The room, on the port in the settings, or on a free one if only the default is taken."""
    async with AsyncExitStack() as stack:
        try:
            room = await stack.enter_async_context(host(ROOM, settings, policy))
        except RoomRefused:
            if "port" in settings.model_fields_set:
                raise
            room = await stack.enter_async_context(host(ROOM, settings.model_copy(update={"port": 0}), policy))
        yield room


def _say_where(room: LocalRoom, dashboard: str, settings: Settings, say: Callable[[str], None]) -> None:
    say(f"see the class:  open {dashboard} in a browser")
    say(f"be a student:   open {room.url}/ in a browser, or publish to {room.whip_url} by WHIP")
    say(f"watch the room: {_ourselves()} watch {ROOM} --redis-url {settings.redis_url}")
    say(f"hear it live:   redis-cli -u {settings.redis_url} subscribe '{Keys(settings.key_prefix, ROOM).live}'")


def _ourselves() -> str:
    """How this program was called, so that the printed commands can be copied into a shell."""
    return sys.argv[0] if Path(sys.argv[0]).name == "classmood" else "python -m bot"


async def figures(bot: Bot, seats: dict[str, Seat], redis: Redis, keys: Keys, seconds: float) -> dict[str, Any]:
    """What was published, read back from Redis, together with the bot's own counters."""
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
            for participant_id, seat in seats.items()
        ],
        "dropped": bot.frames.dropped,
        "skipped": bot.attendance.totals.frames_skipped,
        "latency_ms": percentiles(bot.publisher.latencies_ms),
        "seconds": seconds,
        "model": bot.model,
    }


def percentiles(values: Any) -> dict[str, float | None]:
    """The 50th and 95th percentiles, as `p50` and `p95`; None with fewer than two values."""
    if len(values) < 2:
        return {"p50": None, "p95": None}
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1)}


def check(result: dict[str, Any], count: int, *, sampled: bool) -> None:
    """Raise NothingHappened unless each of `count` students had an emotion sample, or, if not `sampled`, at least one look."""
    if sampled:
        heard = sum("classmood.emotion.sample" in student["events"] for student in result["students"])
    else:
        heard = sum(student["looks"] > 0 for student in result["students"])
    if heard < count:
        raise NothingHappened(f"{'emotion events' if sampled else 'looks'} came from only {heard} of {count} students")
