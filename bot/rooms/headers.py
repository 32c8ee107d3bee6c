"""The headers with which every answer of the room protects those who look at it in a browser."""

from aiohttp import web

_PROTECTION = {
    # the page loads from here alone, runs no script from within a text, and is shown in nobody's frame
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    # of what is fetched without CORS; pages of allowed origins fetch with it
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def protect(response: web.StreamResponse) -> None:
    """Add the headers, those that the answer sets itself excepted."""
    for name, value in _PROTECTION.items():
        response.headers.setdefault(name, value)
    # in place of the exact versions of Python and aiohttp
    response.headers["Server"] = "classmood"


async def protection(request: web.Request, response: web.StreamResponse) -> None:
    """A signal for `on_response_prepare`, so that errors carry the headers too."""
    protect(response)
