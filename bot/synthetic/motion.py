"""How a made-up person moves: the head wanders a little and the eyes blink, in a cycle that repeats."""

from dataclasses import dataclass

import numpy as np

from bot.synthetic.people import Person

PERIOD_SECONDS = 4
BLINK_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Pose:
    """The pose of the head: shift in face pixels, turn in degrees, size as a factor; `lids` is how far the eyes are closed."""

    across: float
    down: float
    turn: float
    size: float
    lids: float


class Motion:
    """The movements of one person."""

    def __init__(self, person: Person) -> None:
        random = person.random("motion")
        # whole numbers of turns per period, so that the cycle repeats without a jump
        self._swings = [
            [(random.uniform(0.4, 1.0) / turns, turns, random.uniform(0, 2 * np.pi)) for turns in (1, 2, 3)] for _ in range(4)
        ]
        self._blinks = sorted(random.uniform(0.2, PERIOD_SECONDS - 0.4, 2))

    def pose(self, at_seconds: float) -> Pose:
        """The pose at a time; it repeats every `PERIOD_SECONDS`."""
        phase = at_seconds % PERIOD_SECONDS
        across, down, turn, size = (_swing(swing, phase) for swing in self._swings)
        closed = any(blink <= phase < blink + BLINK_SECONDS for blink in self._blinks)
        return Pose(across * 3.0, down * 1.5, turn * 3.0, 1 + size * 0.03, 0.9 if closed else 0.0)


def _swing(swing: list[tuple[float, int, float]], phase: float) -> float:
    return float(sum(wide * np.sin(2 * np.pi * turns * phase / PERIOD_SECONDS + start) for wide, turns, start in swing))
