"""How much of something may be done: an amount at once, and so much a second after that (a token bucket)."""


class Allowance:
    """An allowance that fills up again as time goes by; times are seconds of one monotonic clock."""

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = burst
        self._at = now

    def spend(self, now: float) -> bool:
        """Take one, if there is one left."""
        if self.wait_seconds(now) > 0:
            return False
        self._left -= 1
        return True

    def wait_seconds(self, now: float) -> float:
        """How long until there is one to take; 0 if there is."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        return max(0.0, (1 - self._left) / self._per_second)
