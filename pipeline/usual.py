"""What is usual for one person, and how far they are from it at present."""

import math
from collections import deque
from dataclasses import dataclass, field

PRESENT_SECONDS = 15.0
"""Time constant of what counts as the present."""

RECENT_SECONDS = 30.0
"""Age at which a look is learnt from: by then a change has been noticed, and is not taken for usual."""

SPREADS = 2.0
"""How many of their own usual deviations someone must have moved, so that lively faces are not taken for changed ones."""


@dataclass(frozen=True, slots=True)
class _Look:
    valence: float
    elapsed_seconds: float
    is_changed: bool


@dataclass(slots=True)
class Usual:
    """The valence of one person: its slow mean and mean absolute deviation, and its present value.

    The mean covers everything learnt until that is more than `baseline_seconds`; from then on, what is old fades.
    """

    baseline_seconds: float
    seen_seconds: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    present: float = 0.0
    _recent: deque[_Look] = field(default_factory=deque)
    _recent_seconds: float = 0.0
    _learnt_seconds: float = 0.0

    @property
    def fall(self) -> float:
        """How much less pleasant than usual the present is; negative where it is more so."""
        return self.mean - self.present

    def enough(self, valence_fall: float) -> float:
        """The fall that counts as a change for this person, at least `valence_fall`."""
        return max(valence_fall, SPREADS * self.deviation)

    def see(self, valence: float, elapsed_seconds: float, *, is_changed: bool) -> None:
        """Take in a look, `elapsed_seconds` after the last one, or 0 if they were out of sight in between."""
        if self.seen_seconds == 0 and elapsed_seconds == 0:
            self.mean = self.present = valence
        self.seen_seconds += elapsed_seconds
        self.present -= math.expm1(-elapsed_seconds / PRESENT_SECONDS) * (valence - self.present)
        if elapsed_seconds:  # otherwise there is nothing to learn from it later
            self._recent.append(_Look(valence, elapsed_seconds, is_changed))
        self._recent_seconds += elapsed_seconds
        while self._recent_seconds > RECENT_SECONDS:
            self._learn(self._recent.popleft(), is_changed)

    def _learn(self, look: _Look, is_changed: bool) -> None:
        """Add a look to what is usual; a change becomes usual only slowly, and does not count as deviation."""
        self._recent_seconds -= look.elapsed_seconds
        self._learnt_seconds += look.elapsed_seconds
        counts_little = is_changed or look.is_changed
        learnt_seconds = self.baseline_seconds if counts_little else min(self._learnt_seconds, self.baseline_seconds)
        weight = min(1.0, look.elapsed_seconds / learnt_seconds) if learnt_seconds else 0.0
        self.mean += weight * (look.valence - self.mean)
        if not counts_little:
            self.deviation += weight * (abs(look.valence - self.mean) - self.deviation)
