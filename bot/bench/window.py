"""What a bot does and costs in a window of time that begins and ends with one of its statuses."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from bot.bench.processes import Account, account, cpu_by_thread
from bot.bench.stage import SAMPLE, Stage
from bot.demo import percentiles
from pipeline.clock import now_ms
from pipeline.entries import PAGE
from pipeline.events import BotStatus

SETTLED_MINUTES = 5


@dataclass(frozen=True, slots=True)
class Moment:
    """All counts at one moment."""

    at_seconds: float
    at_ms: int
    status: BotStatus
    bot: Account
    room: Account
    redis: Account
    bot_threads: dict[int, float]
    counts: dict[str, int]


async def moment(stage: Stage, before: BotStatus | None = None) -> Moment:
    """The counts as soon as the bot publishes a status that differs from `before`."""
    status = await stage.status(before)
    at_seconds, at_ms = time.monotonic(), now_ms()
    bot, room, redis = account(stage.bot_pid), account(stage.room_pid), account(stage.redis_pid)
    return Moment(at_seconds, at_ms, status, bot, room, redis, cpu_by_thread(stage.bot_pid), await stage.counts())


async def look_on(stage: Stage, students: int, due_per_second: float, seconds: float) -> dict[str, Any]:
    """Measure for about `seconds`, up to the bot's next status; returns figures ready for JSON.

    `due_per_second` is how many looks at each student are due.
    """
    start = await moment(stage, await stage.status())
    # half a heartbeat less, so that the window ends with the status that comes when it is over and not with the one after
    by_minute = await _memory_by_minute(stage, start, seconds - stage.heartbeat_seconds / 2)
    end = await moment(stage, await stage.status())
    return {
        **_figures(stage.bot_pid, start, end, students, due_per_second),
        **await _of_samples(stage, start, end, students),
        **memory_growth(by_minute),
    }


async def _memory_by_minute(stage: Stage, start: Moment, seconds: float) -> list[float]:
    """Wait for `seconds`; returns the bot's memory in MiB at the beginning and after each whole minute."""
    by_minute = [round(start.bot.resident_mb, 1)]
    end = start.at_seconds + seconds
    while (left := end - time.monotonic()) > 0:
        stage.check()
        await asyncio.sleep(min(left, 1.0))
        if time.monotonic() >= start.at_seconds + 60 * len(by_minute):
            by_minute.append(round(account(stage.bot_pid).resident_mb, 1))
    return by_minute


def memory_growth(by_minute: list[float]) -> dict[str, Any]:
    """By how much memory after minute 5 exceeded that at minute 5, at most; empty for a window that is not longer than that."""
    if len(by_minute) <= SETTLED_MINUTES + 1:
        return {}
    settled, later = by_minute[SETTLED_MINUTES], by_minute[SETTLED_MINUTES + 1 :]
    return {"resident_mb_by_minute": by_minute, "resident_growth_percent": round(100 * (max(later) / settled - 1), 2)}


def _figures(pid: int, start: Moment, end: Moment, students: int, due_per_second: float) -> dict[str, Any]:
    seconds = end.at_seconds - start.at_seconds
    looks = end.status.looks - start.status.looks
    counted = {name: end.counts[name] - start.counts.get(name, 0) for name in end.counts}

    def percent(cpu_seconds: float) -> float:
        return round(100 * cpu_seconds / seconds, 2)

    cpu_percent = percent(end.bot.cpu_seconds - start.bot.cpu_seconds)
    return {
        "cpu_percent_of_core": cpu_percent,
        "cpu_percent_per_student": round(cpu_percent / students, 3),
        "looks_per_second_per_student": round(looks / seconds / students, 3),
        "looks_taken_fraction": round(looks / (seconds * students * due_per_second), 4),
        "bot_looks_per_second": end.status.looks_per_second,
        "frames_per_second_per_student": round(
            (end.status.frames_received - start.status.frames_received) / seconds / students, 2
        ),
        "frames_dropped": end.status.frames_dropped - start.status.frames_dropped,
        "resident_mb": round(end.bot.resident_mb, 1),
        "seconds": round(seconds, 2),
        "cpu_percent_by_thread": _by_thread(pid, start, end, percent),
        "room_cpu_percent": percent(end.room.cpu_seconds - start.room.cpu_seconds),
        "redis_cpu_percent": percent(end.redis.cpu_seconds - start.redis.cpu_seconds),
        "room": {**counted, "latest_ms": end.counts.get("latest_ms", 0)},
    }


def _by_thread(pid: int, start: Moment, end: Moment, percent: Any) -> dict[str, float]:
    """The CPU of the main thread (the event loop), of the busiest other thread (the model), and of the rest together."""
    spent = {thread: cpu - start.bot_threads.get(thread, 0.0) for thread, cpu in end.bot_threads.items()}
    main = spent.pop(pid, 0.0)
    busiest = max(spent.values(), default=0.0)
    return {"main": percent(main), "busiest_other": percent(busiest), "others": percent(sum(spent.values()) - busiest)}


async def _of_samples(stage: Stage, start: Moment, end: Moment, students: int) -> dict[str, Any]:
    """How evenly samples are spread over the students, and the time from receiving a frame to its sample's entry in Redis."""
    samples: Counter[str] = Counter()
    latencies_ms: list[int] = []
    after, last = f"{start.at_ms}-0", str(end.at_ms)
    while True:
        page: Any = await stage.redis.xrange(stage.keys.events, min=f"({after}", max=last, count=PAGE)
        for after, fields in page:
            event = json.loads(fields["event"])
            if event["type"] == SAMPLE:
                samples[event["subject"]] += 1
                latencies_ms.append(int(after.partition("-")[0]) - event["data"]["at_ms"])
        if len(page) < PAGE:
            break
    mean = samples.total() / students
    slowest = min(samples.values()) if len(samples) == students else 0
    return {"latency_ms": percentiles(latencies_ms), "slowest_to_mean": round(slowest / mean, 3) if mean else 0.0}
