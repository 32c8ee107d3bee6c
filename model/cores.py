"""The cores of the machine that this process may use."""

import os


def cores() -> int:
    """How many this process may use: in a container or under `taskset` fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
