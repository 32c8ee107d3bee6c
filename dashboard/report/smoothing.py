"""How the plots smooth the time steps: by a centred moving mean, so that a single student's blinks do not look like a trend."""

from collections.abc import Callable, Sequence

from dashboard.report.model import STEP_SECONDS, Step

SMOOTHING_STEPS = 5
"""Steps averaged into one point: its own, two before it and two after it."""

SMOOTHING_SECONDS = SMOOTHING_STEPS * STEP_SECONDS


def smoothed(steps: Sequence[Step], value: Callable[[Step], float | None], weight: Callable[[Step], float]) -> list[float | None]:
    """A figure averaged, with weights, over each step and its neighbours; a step without the figure stays without one."""
    reach = SMOOTHING_STEPS // 2
    values, weights = [value(step) for step in steps], [weight(step) for step in steps]
    means: list[float | None] = []
    for at, own in enumerate(values):
        around = range(max(0, at - reach), min(len(values), at + reach + 1))
        known = [(each, weights[near]) for near in around if (each := values[near]) is not None]
        total = sum(heavy for _, heavy in known)
        means.append(None if own is None else sum(each * heavy for each, heavy in known) / total if total else own)
    return means


def known_seconds(step: Step) -> float:
    """The weight of a step's shares: the people whose emotion was known, times the seconds for which shares were published."""
    return (step.scored or 0.0) * step.published_seconds


def told_seconds(step: Step) -> float:
    """The weight of a step's counts: the seconds for which they were published."""
    return step.told_seconds
