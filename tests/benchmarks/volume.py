"""How much of Redis a class takes up: events, bytes and growth of the append-only file, measured on a real server.

    python -m tests.benchmarks.volume --students 50 --minutes 60 --sample-seconds 1 5 0

The class is scripted (tests/scripted_class.py) and its time is simulated; judging, publishing and Redis are real.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

from redis.asyncio import Redis

from pipeline.events import BotStatus
from pipeline.keys import Keys
from pipeline.mood import MoodRules, Moods
from pipeline.publish import Publisher
from pipeline.summary import ClassFigures
from tests.fakes import Clock
from tests.redis_servers import PROGRAMS, running_redis
from tests.scripted_class import ScriptedClass

KEYS = Keys("classmood", "algebra")
LOOKS_PER_SECOND = 2
BATCH = 8
EVERY_SECONDS = 5
"""Seconds between two summaries, and between two heartbeats: the defaults of the settings."""


async def measure(redis: Redis, students: int, minutes: float, sample_seconds: float) -> dict[str, Any]:
    """Play a class; the figures cover the whole time played."""
    clock = Clock(time.time_ns() // 1_000_000)
    publisher = Publisher(
        redis, KEYS, "1", outbox_limit=10_000, retention_ms=86_400_000, status_ttl_ms=15_000, retry_seconds=1, clock=clock
    )
    memory_before = (await redis.info("memory"))["used_memory"]
    aof_before = (await redis.info("persistence"))["aof_current_size"]
    await _play(publisher, clock, students, minutes, sample_seconds)
    aof_after = (await redis.info("persistence"))["aof_current_size"]
    memory_after = (await redis.info("memory"))["used_memory"]
    return {
        "students": students,
        "minutes": minutes,
        "sample_seconds": sample_seconds,
        "events": dict(publisher.published.most_common()),
        "json_bytes": await _json_bytes(redis),
        "stream_bytes": await redis.memory_usage(KEYS.events, samples=0),
        "memory_bytes": memory_after - memory_before,
        "aof_bytes": aof_after - aof_before,
        "dropped": publisher.dropped,
    }


async def _play(publisher: Publisher, clock: Clock, students: int, minutes: float, sample_seconds: float) -> None:
    moods = Moods(publisher.publish, "custom_cnn@0123abcd", MoodRules(sample_seconds=sample_seconds))
    klass, figures = ScriptedClass(moods, students, clock()), ClassFigures(5)
    looks = 0
    for turn in range(round(minutes * 60 * LOOKS_PER_SECOND)):
        if turn % (EVERY_SECONDS * LOOKS_PER_SECOND) == 0:
            publisher.publish(figures.summary(moods.present(), clock()))
            publisher.publish(_status(students, looks))
        for _ in klass.looks(clock(), BATCH):
            await publisher.flush(60)
        looks += students
        clock.pass_seconds(1 / LOOKS_PER_SECOND)


def _status(students: int, looks: int) -> BotStatus:
    return BotStatus(
        state="running",
        participants=students,
        looks_per_second=students * LOOKS_PER_SECOND,
        frames_received=looks * 5,
        looks=looks,
        frames_skipped=looks * 4,
        frames_dropped=0,
        events_dropped=0,
        tracks_failed=0,
    )


async def _json_bytes(redis: Redis) -> dict[str, int]:
    """The bytes of each type of event, as the stream holds them and the channel carries them."""
    sizes: Counter[str] = Counter()
    after = "-"
    while True:
        page: Any = await redis.xrange(KEYS.events, min=after, count=100)
        if not page:
            return dict(sizes.most_common())
        for _, fields in page:
            sizes[json.loads(fields["event"])["type"]] += len(fields["event"].encode())
        after = f"({page[-1][0]}"


async def _run(arguments: argparse.Namespace) -> None:
    for sample_seconds in arguments.sample_seconds:
        # the file is not rewritten meanwhile, so that its growth is all that was written to it
        with running_redis(PROGRAMS[arguments.server], "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0") as server:
            async with server.client() as redis:
                figures = await measure(redis, arguments.students, arguments.minutes, sample_seconds)
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Measure as asked, printing one JSON object a line."""
    parser = argparse.ArgumentParser(description="Measures what a class costs in Redis.")
    parser.add_argument("--students", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--sample-seconds", type=float, nargs="+", default=[1, 5, 0])
    parser.add_argument("--server", choices=PROGRAMS, default="debian")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
