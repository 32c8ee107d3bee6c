"""The headers in every answer of the room that protect people who open it in a browser."""

from aiohttp import web

_PROTECTION = {
    # the page loads only from here, runs no inline scripts, and cannot be shown in a frame
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    # applies to requests without CORS; pages from allowed origins use CORS
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def protect(response: web.StreamResponse) -> None:
    """Add the headers, except those that the answer already has."""
    for name, value in _PROTECTION.items():
        response.headers.setdefault(name, value)
    # instead of the exact versions of Python and aiohttp
    response.headers["Server"] = "classmood"


async def protection(request: web.Request, response: web.StreamResponse) -> None:
    """A handler for `on_response_prepare`, which adds the headers to errors too."""
    protect(response)
