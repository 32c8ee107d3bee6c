"""Lesson time: made from the times of events, whose clocks may have been set back."""

from bisect import bisect_right

JITTER_MS = 60_000
"""An event older by at most this much is merely late; one that is older still shows that a clock was set back."""


class LessonClock:
    """Milliseconds that never go back; they equal the events' own times as long as no clock is set back."""

    def __init__(self) -> None:
        self._now_ms: int | None = None
        self._shift_ms = 0
        # for each stretch of one clock: its start in lesson time, its start in its own time, and the shift between them
        self._stretches: list[tuple[int, int, int]] = []

    @property
    def set_back(self) -> int:
        """How often a clock was set back."""
        return max(0, len(self._stretches) - 1)

    def at(self, wall_ms: int) -> int:
        """The lesson time of the next event."""
        now_ms = self._now_ms
        if now_ms is None or wall_ms + self._shift_ms < now_ms - JITTER_MS:
            self._shift_ms = 0 if now_ms is None else now_ms - wall_ms
            self._stretches.append((wall_ms + self._shift_ms, wall_ms, self._shift_ms))
        self._now_ms = wall_ms + self._shift_ms if now_ms is None else max(now_ms, wall_ms + self._shift_ms)
        return self._now_ms

    def of(self, wall_ms: int) -> int:
        """The lesson time of a moment noted by the same clocks: in the latest stretch that it fits into."""
        for number in reversed(range(len(self._stretches))):
            begins_ms, since_ms, shift_ms = self._stretches[number]
            is_last = number == len(self._stretches) - 1
            if wall_ms >= since_ms and (is_last or wall_ms + shift_ms < self._stretches[number + 1][0]):
                return max(begins_ms, wall_ms + shift_ms)
        return wall_ms

    def wall(self, lesson_ms: int) -> int:
        """The time that the clock showed at that lesson time."""
        found = bisect_right(self._stretches, lesson_ms, key=lambda stretch: stretch[0])
        return lesson_ms - (self._stretches[found - 1][2] if found else 0)
