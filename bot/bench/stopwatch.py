"""Timing several ways of doing the same work in one run, so that a busy machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], object]

ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds for one piece of work: of wall time, and of CPU time over all threads of the process."""

    wall_ms: float
    cpu_ms: float


def compare(works: Mapping[str, Work], times: int, rounds: int = ROUNDS) -> dict[str, Cost]:
    """The median cost of each work over `rounds`; in each round, every work in turn is done `times` times.

    Each is first done once without being counted, because first calls load and plan.
    """
    for work in works.values():
        work()
    laps: dict[str, list[Cost]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            laps[name].append(_lap(work, times))
    return {name: _median(each) for name, each in laps.items()}


def _lap(work: Work, times: int) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        work()
    return Cost((time.perf_counter() - wall) / times * 1000, (time.process_time() - cpu) / times * 1000)


def _median(laps: list[Cost]) -> Cost:
    return Cost(statistics.median(lap.wall_ms for lap in laps), statistics.median(lap.cpu_ms for lap in laps))
