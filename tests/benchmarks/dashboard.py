"""What the dashboard costs: a class of synthetic samples, a real Chromium watching it, and CPU time from /proc.

    python -m tests.benchmarks.dashboard --students 50 --seconds 60

Linux only. Another process makes the events, so that the server's figure is the server's alone; the browser's figure covers
all its processes.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import async_playwright

from bot.redis_client import connect
from bot.settings import read_settings
from model.faces import EMOTIONS
from pipeline.clock import now_ms
from tests.chromium import CHROMIUM, FLAGS
from tests.commands import started, until
from tests.dashboards import Lesson, sample, status, summary
from tests.redis_servers import SERVER, free_port, running_redis

ROOM = "bench"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
CHANGE_SECONDS = 20
SETTLE_SECONDS = 10.0


def cpu_seconds(root: int) -> float:
    """CPU time of a process and all its descendants, including those that have ended and been waited for."""
    parents, times = {}, {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name in brackets may contain blanks
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        pid = int(entry.parent.name)
        parents[pid], times[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    return sum(times[pid] for pid in times if _descends(pid, root, parents)) / TICKS_PER_SECOND


def _descends(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid > 1 and pid != root:
        pid = parents.get(pid, 0)
    return pid == root


async def teach(redis_url: str, students: int) -> None:
    """Publish a sample a second for everybody, spread over the second, and a summary and a status every five seconds."""
    names = [f"Student {n}" for n in range(students)]
    async with connect(read_settings(redis_url=redis_url)) as redis:
        lesson = Lesson(redis, ROOM, str(now_ms()))
        await lesson.begin(*names)
        turn = 0
        while True:
            began = time.monotonic()
            if turn % 5 == 0:
                await lesson.tell(summary(0.5 + 0.4 * math.sin(turn / 20), students, students), status())
            for number, name in enumerate(names):
                emotion = EMOTIONS[(turn // CHANGE_SECONDS + number) % len(EMOTIONS)]
                await lesson.tell(sample(name, emotion, now_ms(), 0.5 + 0.4 * math.sin(turn + number)))
                await asyncio.sleep(max(0.0, began + (number + 1) / students - time.monotonic()))
            turn += 1


def _teach(redis_url: str, students: int) -> None:
    asyncio.run(teach(redis_url, students))


async def watched(url: str, server_pid: int, seconds: float) -> dict[str, float]:
    """What a watching browser and the server use, in percent of a core, once the page has settled."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False)
        page = await browser.new_page(viewport={"width": 1366, "height": 768})
        await page.goto(url)
        await page.wait_for_selector("#chart .js-fill, #chart .main-svg", timeout=60_000)
        await asyncio.sleep(SETTLE_SECONDS)
        browser_pid = _chromium_under(os.getpid())
        before, began = (cpu_seconds(browser_pid), cpu_seconds(server_pid)), time.monotonic()
        await asyncio.sleep(seconds)
        after, took = (cpu_seconds(browser_pid), cpu_seconds(server_pid)), time.monotonic() - began
        shown = await page.locator(".person[data-coverage=ok]").count()
        await browser.close()
    browser_percent, server_percent = (round(100 * (b - a) / took, 2) for a, b in zip(before, after, strict=True))
    return {"shown": shown, "browser_percent_of_core": browser_percent, "server_percent_of_core": server_percent}


def _chromium_under(root: int) -> int:
    """The browser's first process: a descendant of ours with its name, whose parent is not one of the browser's."""
    names, parents = {}, {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = entry.read_text().rpartition(")")
        except OSError:
            continue
        pid = int(entry.parent.name)
        names[pid], parents[pid] = head.partition("(")[2], int(rest.split()[1])
    ours = [pid for pid in sorted(names) if names[pid].startswith("chrom") and _descends(pid, root, parents)]
    return next(pid for pid in ours if parents[pid] not in ours)


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    port = free_port()
    with TemporaryDirectory(prefix="classmood-bench-") as folder, running_redis(SERVER) as server:
        teacher = multiprocessing.get_context("spawn").Process(target=_teach, args=(server.url, arguments.students), daemon=True)
        with started(Path(folder), "dashboard", CLASSMOOD_REDIS_URL=server.url, CLASSMOOD_DASHBOARD_PORT=str(port)) as command:
            until(lambda: "the dashboard is at" in command.err)
            teacher.start()
            result = asyncio.run(watched(f"http://127.0.0.1:{port}/rooms/{ROOM}", command.pid, arguments.seconds))
            teacher.kill()
    sys.stdout.write(json.dumps({"students": arguments.students, "seconds": arguments.seconds, **result}) + "\n")


if __name__ == "__main__":
    main()
