"""What time it is by the bot's clock, found with clocks that need not agree with it.

The bot says when it looked, Redis when it received that, and the browser shows how long ago it was. None of the three
relies on another's wall clock: what counts is how far apart they were when something came through.
"""

from collections import deque
from collections.abc import Iterable

NEWEST = 200
"""Events by which the bot's clock is judged; older ones no longer count, since a new run may have another clock."""


SET_BACK_MS = 60_000
"""A time that falls back by more than this means a clock that was set back, another bot's clock, or a very late event."""


class RoomClock:
    """What the bot's clock and that of Redis show now; all times are in milliseconds."""

    def __init__(self) -> None:
        self._redis_ahead_ms = 0
        self._bot_ahead_ms: deque[int] = deque(maxlen=NEWEST)

    def redis_said(self, redis_ms: int, here_ms: int) -> None:
        """Note that Redis gave the time `redis_ms` at `here_ms`."""
        self._redis_ahead_ms = redis_ms - here_ms

    def event_came(self, bot_ms: int, redis_ms: int) -> None:
        """Note that an event was published at `bot_ms` and entered Redis at `redis_ms`."""
        if bot_ms - redis_ms < max(self._bot_ahead_ms, default=0) - SET_BACK_MS:
            self._bot_ahead_ms.clear()
        self._bot_ahead_ms.append(bot_ms - redis_ms)

    def begin_anew(self, times: Iterable[tuple[int, int]] = ()) -> None:
        """Forget what was known about the bot's clock, and note these events as `event_came` does."""
        self._bot_ahead_ms.clear()
        for bot_ms, redis_ms in times:
            self.event_came(bot_ms, redis_ms)

    def redis_now_ms(self, here_ms: int) -> int:
        """Now by the clock of Redis."""
        return here_ms + self._redis_ahead_ms

    def bot_now_ms(self, here_ms: int) -> int:
        """Now by the bot's clock, or by that of Redis while nothing says how far apart they are."""
        # an event can only be late, so the largest lead is the one with the least delay in it
        return self.redis_now_ms(here_ms) + max(self._bot_ahead_ms, default=0)
