"""Time as a parameter: everything that needs to know the time is handed a clock."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Gives milliseconds since the epoch that never go backwards."""

_STARTED_MS = time.time_ns() // 1_000_000
_TICKING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""CLOCK_BOOTTIME where there is one: Linux's monotonic clock stops while the machine sleeps, as a laptop may between lessons."""

_STARTED_NS = time.clock_gettime_ns(_TICKING)


def now_ms() -> int:
    """Milliseconds since the epoch: the wall clock at start-up, plus the time that has passed by a monotonic clock.

    Setting the wall clock during a class could otherwise mark everybody as stalled, or make time go backwards.
    """
    return _STARTED_MS + (time.clock_gettime_ns(_TICKING) - _STARTED_NS) // 1_000_000
