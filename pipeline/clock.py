"""Time as a parameter: everything that needs to know the time is handed a clock."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Gives milliseconds since the epoch that never go backwards."""

_STARTED_MS = time.time_ns() // 1_000_000
_TICKING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux' monotonic clock stands still while the machine sleeps, as a laptop may between two lessons; this one does not."""

_STARTED_NS = time.clock_gettime_ns(_TICKING)


def now_ms() -> int:
    """Milliseconds since the epoch: the wall clock at start-up, carried on by the monotonic one.

    A wall clock that is set during a class would mark everybody as stalled, or send time backwards.
    """
    return _STARTED_MS + (time.clock_gettime_ns(_TICKING) - _STARTED_NS) // 1_000_000
