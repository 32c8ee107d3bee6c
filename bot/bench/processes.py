"""What processes cost according to the operating system: CPU time and memory, from /proc; Linux only."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PARENT, _USER, _SYSTEM, _RESIDENT = 1, 11, 12, 21
_ENDED = slice(13, 15)
"""Fields of /proc/PID/stat, counted from the one after the name; see proc(5)."""


@dataclass(frozen=True, slots=True)
class Account:
    """CPU seconds since the start and resident memory in MiB, of a process and all its descendants."""

    cpu_seconds: float
    resident_mb: float


def account(root: int) -> Account:
    """What a process and its descendants have cost, including children that have ended and were waited for."""
    every = dict(_stats())
    tree = [fields for pid, fields in every.items() if _descends(pid, root, every)]
    ticks = sum(sum(map(int, (fields[_USER], fields[_SYSTEM], *fields[_ENDED]))) for fields in tree)
    pages = sum(int(fields[_RESIDENT]) for fields in tree)
    return Account(ticks / TICKS_PER_SECOND, pages * PAGE_BYTES / 2**20)


def confine(root: int, cores: set[int]) -> None:
    """Let a process and all its threads run on these cores only; threads that it starts later inherit that."""
    for task in (Path("/proc") / str(root) / "task").iterdir():
        try:
            os.sched_setaffinity(int(task.name), cores)
        except ProcessLookupError:  # it ended meanwhile
            continue


def _stats() -> list[tuple[int, list[str]]]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name in brackets may contain blanks
            found.append((int(entry.parent.name), entry.read_text().rpartition(")")[2].split()))
        except OSError:  # it ended meanwhile
            continue
    return found


def _descends(pid: int, root: int, every: dict[int, list[str]]) -> bool:
    while pid > 1 and pid != root:
        pid = int(every[pid][_PARENT]) if pid in every else 0
    return pid == root


def cpu_by_thread(pid: int) -> dict[int, float]:
    """CPU seconds of each thread of a process since its start, by the thread's id; the main thread has the process's id."""
    seconds = {}
    for entry in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        seconds[int(entry.parent.name)] = (int(fields[_USER]) + int(fields[_SYSTEM])) / TICKS_PER_SECOND
    return seconds
