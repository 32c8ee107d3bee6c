"""The cores of the machine that this process may use."""

import os


def cores() -> int:
    """How many cores this process may use: under `taskset` or in a container, it may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
