"""What the plots show of the time steps: a centred moving mean, by which single students' blinks do not look like a story."""

from collections.abc import Callable, Sequence

from dashboard.report.model import STEP_SECONDS, Step

SMOOTHING_STEPS = 5
"""Steps that one point is the mean of, two before and two behind among them."""

SMOOTHING_SECONDS = SMOOTHING_STEPS * STEP_SECONDS


def smoothed(steps: Sequence[Step], value: Callable[[Step], float | None], weight: Callable[[Step], float]) -> list[float | None]:
    """A figure of each step as the weighted mean with its neighbours; a step that has none stays without."""
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
    """How much a step's shares weigh: the people whose emotion was known, by the seconds that it was published."""
    return (step.scored or 0.0) * step.published_seconds


def told_seconds(step: Step) -> float:
    """How much a step's counts weigh."""
    return step.told_seconds
