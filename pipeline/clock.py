"""Time as a parameter: everything that needs to know the time is handed a clock."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Gives milliseconds since the epoch that never go backwards."""

_STARTED_MS = time.time_ns() // 1_000_000
_STARTED_NS = time.monotonic_ns()


def now_ms() -> int:
    """Milliseconds since the epoch: the wall clock at start-up, carried on by the monotonic one.

    A wall clock that is set during a class would mark everybody as stalled, or send time backwards.
    """
    return _STARTED_MS + (time.monotonic_ns() - _STARTED_NS) // 1_000_000
