"""What the whole bot costs in a room: another process replays real streams, and the bot runs as it does for any user."""

import asyncio
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bot.bench.packets import Layer
from bot.bench.processes import confine
from bot.bench.stage import stage
from bot.bench.window import look_on
from bot.errors import Trouble
from bot.settings import Settings

SETTLE_SECONDS = 5.0
"""Time between the first sample of the last student, or a change of cores, and the measurement."""


EVERY_LOOK_SECONDS = 0.001
"""Time between two samples of one student, so short that every look gives one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: each number of students in each of `runs` rounds, so that variations of the machine affect all alike.

    With `overload`, the bot is also measured while it has only one core, and afterwards, and it publishes every look.
    """

    students: tuple[int, ...]
    layer: Layer = "simulcast"
    seconds: float = 20.0
    runs: int = 3
    overload: bool = False


async def bench_room(settings: Settings, plan: Plan, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """The figures for each number of students, ready for JSON: medians over the runs.

    Raises Trouble on systems other than Linux, and NothingHappened if the bot ends or does not read everybody.
    """
    if sys.platform != "linux":
        raise Trouble("what processes cost is read from /proc, which only Linux has")
    measured: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for run in range(plan.runs):
        for students in plan.students:
            say(f"run {run + 1} of {plan.runs}: {students} students, {plan.layer}")
            for phase, figures in (await measured_once(settings, students, plan)).items():
                measured.setdefault((students, phase), []).append(figures)
    return [
        {"students": students, "layer": plan.layer, "phase": phase, **median_of(runs)}
        for (students, phase), runs in measured.items()
    ]


async def measured_once(settings: Settings, students: int, plan: Plan) -> dict[str, dict[str, Any]]:
    """The figures of one run, by phase: `all cores` and, with overload, `one core` and `all cores again`."""
    cores = os.sched_getaffinity(0)
    phases = {"all cores": cores}
    if plan.overload:
        phases |= {"one core": {min(cores)}, "all cores again": cores}
    every_look = {"sample_seconds": EVERY_LOOK_SECONDS} if plan.overload else {}
    figures = {}
    async with stage(students, plan.layer, settings, **every_look) as standing:
        await standing.until_all_are_read(students)
        for phase, allowed in phases.items():
            confine(standing.bot_pid, allowed)
            await asyncio.sleep(SETTLE_SECONDS)
            figures[phase] = await look_on(standing, students, settings.looks_per_second, plan.seconds)
    return figures


def median_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure, including nested ones, and also the CPU of each run."""
    cpu = [run["cpu_percent_of_core"] for run in runs]
    return {**_medians(runs), "runs": len(runs), "cpu_percent_of_core_by_run": cpu}


def _medians(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: _median([run[name] for run in runs if name in run]) for name in runs[0]}


def _median(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return _medians(values)
    if isinstance(values[0], list):
        return [_median(list(each)) for each in zip(*values, strict=False)]
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 4) if known else None
