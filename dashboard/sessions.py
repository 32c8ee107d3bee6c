"""Who has given the password, and the links that need none."""

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict

from dashboard.options import DashboardOptions
from pipeline.clock import Clock, now_ms

SESSION_SECONDS = 12 * 3600
MOST_SESSIONS = 1000


class Sessions:
    """Sessions of browsers that gave the password: random names, kept here as hashes, each with an expiry."""

    def __init__(self, clock: Clock = now_ms) -> None:
        self._clock = clock
        self._ends_ms: OrderedDict[bytes, int] = OrderedDict()

    def open(self) -> str:
        """A new session's secret name; the oldest session ends if there are too many."""
        name = secrets.token_urlsafe(32)
        self._ends_ms[_hash(name)] = self._clock() + SESSION_SECONDS * 1000
        if len(self._ends_ms) > MOST_SESSIONS:
            self._ends_ms.popitem(last=False)
        return name

    def is_open(self, name: str) -> bool:
        """Whether a session of this name has not ended."""
        # looked up by its hash, so that the time it takes reveals nothing about existing names
        return self._ends_ms.get(_hash(name), 0) > self._clock()

    def close(self, name: str) -> None:
        """End a session."""
        self._ends_ms.pop(_hash(name), None)


class Secrets:
    """Compares what visitors present with the password and with the read-only links, in constant time."""

    def __init__(self, options: DashboardOptions) -> None:
        self._password = options.password.get_secret_value()
        self._links = options.link_secret.get_secret_value().encode() or secrets.token_bytes(32)

    @property
    def asked(self) -> bool:
        """Whether there is a password."""
        return bool(self._password)

    def is_password(self, given: str) -> bool:
        """Whether that is the password."""
        return self.asked and hmac.compare_digest(_hash(given), _hash(self._password))

    def link_token(self, room: str) -> str:
        """The token in a read-only link to a room, which only the secret can make (HMAC-SHA256, RFC 2104)."""
        digest = hmac.digest(self._links, b"classmood dashboard look " + room.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def is_link(self, room: str, token: str) -> bool:
        """Whether a token is that of the read-only link to the room."""
        return hmac.compare_digest(_hash(token), _hash(self.link_token(room)))


def _hash(text: str) -> bytes:
    # what a browser sends need not be valid text
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
