"""What a report of a long class costs: time and memory from a stream in a real Redis to the finished page.

    python -m tests.benchmarks.report --students 50 --minutes 60

The class is scripted (tests/scripted_class.py) and its time is simulated; its events are written to the stream directly.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from typing import Any

from redis.asyncio import Redis

from dashboard.report.build import Options, build
from dashboard.report.classes import Classes
from dashboard.report.page import page
from dashboard.report.read import Reading
from pipeline.events import Data
from pipeline.keys import Keys
from pipeline.mood import MoodRules, Moods
from pipeline.summary import ClassFigures
from tests.fakes import Clock
from tests.lessons import STARTS_MS, line, status
from tests.redis_servers import SERVER, running_redis
from tests.scripted_class import ScriptedClass

KEYS = Keys("classmood", "algebra")
LOOKS_PER_SECOND = 2
EVERY_SECONDS = 5
"""Seconds between two summaries, and between two heartbeats."""


async def play(redis: Redis, students: int, minutes: float) -> None:
    """Write the events of a class to the stream, with a sample of each student every second."""
    clock, told = Clock(STARTS_MS), list[tuple[float, Data]]()
    moods = Moods(lambda data: told.append(((clock() - STARTS_MS) / 1000, data)), "tiny@01234567", MoodRules(sample_seconds=1))
    klass, figures, sequence = ScriptedClass(moods, students, clock()), ClassFigures(5), 0
    for turn in range(round(minutes * 60 * LOOKS_PER_SECOND)):
        if turn % (EVERY_SECONDS * LOOKS_PER_SECOND) == 0:
            moods.tell(figures.summary(moods.present(), clock()))
            moods.tell(status(students))
        for _ in klass.looks(clock(), students):
            pass
        clock.pass_seconds(1 / LOOKS_PER_SECOND)
        async with redis.pipeline(transaction=False) as pipe:
            for second, data in told:
                sequence += 1
                pipe.xadd(KEYS.events, {"event": line(second, data, sequence, room=KEYS.room)})
            await pipe.execute()
        told.clear()


async def report(redis: Redis) -> dict[str, Any]:
    """Make the page; returns what it cost. Memory is the growth of this process at its peak."""
    memory_before, began, cpu_before = _peak_mb(), time.monotonic(), time.process_time()
    reading = Reading(Classes())
    await reading.add_room(redis, KEYS)
    told = build(reading.classes, [], reading.broken, Options(KEYS.room, 0))
    assert told is not None
    text = page(told)
    return {
        "events": reading.events,
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(time.process_time() - cpu_before, 2),
        "memory_growth_mb": round(_peak_mb() - memory_before, 1),
        "page_bytes": len(text),
        "json_bytes": len(told.model_dump_json()),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _measured(students: int, minutes: float) -> dict[str, Any]:
    with running_redis(SERVER) as server:
        async with server.client() as redis:
            await play(redis, students, minutes)
            return await report(redis)


def main() -> None:
    """Measure, and print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    sys.stdout.write(json.dumps(asyncio.run(_measured(arguments.students, arguments.minutes))) + "\n")


if __name__ == "__main__":
    main()
