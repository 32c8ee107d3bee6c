"""Which web pages of other origins may publish into the room (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from collections.abc import Awaitable, Callable

from aiohttp import web

EXPOSED = "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, WWW-Authenticate"

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Max-Age": "86400",
}

Signal = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def cors(allowed_origins: tuple[str, ...]) -> Signal:
    """A signal for `on_response_prepare`, so that errors carry the headers too."""

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        origin = _granted(request.headers.get("Origin", ""), allowed_origins)
        if "*" not in allowed_origins:
            response.headers["Vary"] = "Origin"
        if origin:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
            if request.method == "OPTIONS":
                response.headers.update(_PREFLIGHT)

    return add_headers


def _granted(origin: str, allowed_origins: tuple[str, ...]) -> str:
    if "*" in allowed_origins:
        return "*"
    return origin if origin in allowed_origins else ""
