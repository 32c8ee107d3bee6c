"""Which web pages from other origins may publish into the room (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol)."""

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from bot.settings import Settings

EXPOSED = "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, WWW-Authenticate"

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST, PATCH, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Max-Age": "86400",
}

Signal = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Origins:
    """The origins whose pages may use the room.

    If none is named, a room with a token is open to all, because a page that does not know the token gets nowhere. A room
    without a token is open only to pages from this machine, because any page in the operator's browser can reach the room.
    """

    named: tuple[str, ...] = ()
    has_token: bool = False

    def may_ask(self, origin: str) -> bool:
        """Whether pages from this origin may use the room."""
        if self.named:
            return "*" in self.named or origin in self.named
        return self.has_token or _is_of_this_machine(origin)


def origins_of(settings: Settings) -> Origins:
    """The origins that the settings allow."""
    return Origins(settings.allowed_origins, has_token=bool(settings.room_token.get_secret_value()))


def cors(origins: Origins) -> Signal:
    """A handler for `on_response_prepare`, which adds the CORS headers to errors too."""

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin", "")
        if "*" not in origins.named:
            response.headers["Vary"] = "Origin"
        if "*" in origins.named or (origin and origins.may_ask(origin)):
            response.headers["Access-Control-Allow-Origin"] = "*" if "*" in origins.named else origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
            if request.method == "OPTIONS":
                response.headers.update(_PREFLIGHT)

    return add_headers


def _is_of_this_machine(origin: str) -> bool:
    try:
        place = urlsplit(origin)
        _ = place.port  # raises ValueError if what follows the colon is not a port
        name = place.hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
