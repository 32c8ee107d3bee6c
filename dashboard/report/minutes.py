"""Time steps merged into minutes, for tables that people read."""

from collections.abc import Callable, Sequence

from dashboard.report.model import STEP_SECONDS, Step
from dashboard.report.smoothing import known_seconds, told_seconds
from model.faces import EMOTIONS

STEPS_OF_A_MINUTE = 60 // STEP_SECONDS


def minutes(steps: Sequence[Step]) -> list[Step]:
    """The time steps merged into minutes."""
    return [merged(steps[first : first + STEPS_OF_A_MINUTE]) for first in range(0, len(steps), STEPS_OF_A_MINUTE)]


def merged(steps: Sequence[Step]) -> Step:
    """Consecutive steps as one; each figure is a mean weighted by the time, or person-time, that it was published for."""
    people = _mean(steps, lambda step: step.participants, told_seconds)
    seen = _mean(steps, lambda step: step.seen, told_seconds)
    has_shares = any(step.shares for step in steps)
    return Step(
        at_seconds=steps[0].at_seconds,
        seconds=sum(step.seconds for step in steps),
        told_seconds=sum(step.told_seconds for step in steps),
        published_seconds=sum(step.published_seconds for step in steps),
        participants=people,
        seen=seen,
        scored=_mean(steps, lambda step: step.scored, lambda step: step.published_seconds),
        coverage=None,
        seen_share=None if not people or seen is None else min(1.0, seen / people),
        shares={each: _mean(steps, lambda step, of=each: (step.shares or {}).get(of), known_seconds) or 0.0 for each in EMOTIONS}  # type: ignore[misc]
        if has_shares
        else None,
        valence=_mean(steps, lambda step: step.valence, known_seconds),
    )


def _mean(steps: Sequence[Step], value: Callable[[Step], float | None], weight: Callable[[Step], float]) -> float | None:
    known = [(each, weight(step)) for step in steps if (each := value(step)) is not None]
    total = sum(heavy for _, heavy in known)
    return sum(each * heavy for each, heavy in known) / total if total else None
