"""Failed tries to guess the password, counted by where they come from."""

from collections import OrderedDict

from dashboard.proxies import address_from, network_of
from pipeline.clock import Clock, now_ms

MOST_PLACES = 10_000


class Attempts:
    """At most `limit` failures in `per_seconds` from one place: an IPv4 address, or an IPv6 network of 64 bits.

    If there are too many places, the one that failed longest ago is forgotten.
    """

    def __init__(self, limit: int = 5, per_seconds: float = 60.0, *, clock: Clock = now_ms) -> None:
        self._limit = limit
        self._per_ms = round(per_seconds * 1000)
        self._clock = clock
        self._failed: OrderedDict[str, list[int]] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """How long a place must wait before its next try; 0 if it may try now."""
        recent = self._recent(_place(address))
        if len(recent) < self._limit:
            return 0
        return max(1, -(-(recent[-self._limit] + self._per_ms - self._clock()) // 1000))

    def failed(self, address: str) -> None:
        """Count a failure."""
        place = _place(address)
        self._failed[place] = [*self._recent(place), self._clock()][-self._limit :]
        self._failed.move_to_end(place)
        if len(self._failed) > MOST_PLACES:
            self._failed.popitem(last=False)

    def _recent(self, place: str) -> list[int]:
        since_ms = self._clock() - self._per_ms
        return [at_ms for at_ms in self._failed.get(place, ()) if at_ms > since_ms]


def _place(address: str) -> str:
    try:
        return network_of(address_from(address.partition("%")[0]))
    except ValueError:
        return address
