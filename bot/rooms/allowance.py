"""A token bucket, which limits how much of something may be done: a burst at once, and then so much a second."""


class Allowance:
    """An allowance that refills as time goes by; `now` is always in seconds of the same monotonic clock."""

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = burst
        self._at = now

    def spend(self, now: float) -> bool:
        """Take one if there is one left; returns whether there was."""
        if self.wait_seconds(now) > 0:
            return False
        self._left -= 1
        return True

    def wait_seconds(self, now: float) -> float:
        """How long until there is one to take; 0 if there is one now."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        return max(0.0, (1 - self._left) / self._per_second)
