"""Who may see the dashboard: the password, its cookie, and protection from the pages of other sites."""

from urllib.parse import quote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from dashboard.attempts import Attempts
from dashboard.options import DashboardOptions, is_loopback
from dashboard.proxies import address_of
from dashboard.sessions import SESSION_SECONDS, Secrets, Sessions

PUBLIC = ("/login", "/static/", "/look/")
"""Paths that need no password: the login, files that hold nothing about a class, and read-only links with their own token."""

PROTECTION = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # with no-referrer, a browser would send `null` as the origin of our own form
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Access:
    """Decides which requests are let through."""

    def __init__(self, options: DashboardOptions, attempts: Attempts | None = None, sessions: Sessions | None = None) -> None:
        self.secrets = Secrets(options)
        self.sessions = sessions or Sessions()
        self._attempts = attempts or Attempts()
        self._proxies = options.trusted_proxies
        self._secure = options.tls_certificate is not None
        # with the prefix __Host-, a browser takes and returns the cookie only over TLS, and only if this very host set it
        self._cookie = "__Host-classmood" if self._secure else "classmood"

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check everything that must hold before a request is answered."""
        self._check_host(request)
        if request.method not in ("GET", "HEAD"):
            check_same_origin(request)
        if not _is_public(request) and not self.is_known(request):
            if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
                raise web.HTTPSeeOther(f"/login?next={quote(request.rel_url.raw_path, safe='')}")
            raise web.HTTPUnauthorized(text="a password is needed")
        return await handler(request)

    def is_known(self, request: web.Request) -> bool:
        """Whether a request comes from somebody who gave the password, or no password is needed."""
        return not self.secrets.asked or self.sessions.is_open(request.cookies.get(self._cookie, ""))

    def log_in(self, request: web.Request, password: str, then: str) -> web.Response:
        """Open a session for the right password and lead on to the page `then`.

        Raises HTTPForbidden for a wrong password, HTTPTooManyRequests after too many wrong ones.
        """
        address = address_of(request, self._proxies)
        if wait_seconds := self._attempts.wait_seconds(address):
            raise web.HTTPTooManyRequests(
                text=f"Too many tries. Wait {wait_seconds} seconds.", headers={"Retry-After": str(wait_seconds)}
            )
        if not self.secrets.is_password(password):
            self._attempts.failed(address)
            raise web.HTTPForbidden(text="Wrong password.")
        response = web.Response(status=303, headers={"Location": own_path(then)})
        response.set_cookie(
            self._cookie,
            self.sessions.open(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="Strict",
            secure=self._secure,
            path="/",
        )
        return response

    def log_out(self, request: web.Request) -> web.Response:
        """End the session and lead to the form."""
        self.sessions.close(request.cookies.get(self._cookie, ""))
        response = web.Response(status=303, headers={"Location": "/login"})
        response.del_cookie(self._cookie, path="/", httponly=True, samesite="Strict", secure=self._secure)
        return response

    def _check_host(self, request: web.Request) -> None:
        """Without a password, refuse a name that is not this machine's: another site's name may lead here (DNS rebinding).

        With a password, the cookie is bound to the name under which it was set.
        """
        if not self.secrets.asked and not is_loopback(_name(request.host)):
            raise web.HTTPMisdirectedRequest(text="this dashboard has no password, so it answers only to localhost")


def _is_public(request: web.Request) -> bool:
    # by the route that will answer, since a path can be written in many ways
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical.startswith(PUBLIC)


def check_same_origin(request: web.Request) -> None:
    """Raises HTTPForbidden unless one of our own pages sent the request.

    Sources: https://www.w3.org/TR/fetch-metadata/ and RFC 6454, section 7.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = urlsplit(request.headers.get("Origin", "")).netloc
    if (site or "same-origin") != "same-origin" or origin.lower() != request.host.lower():
        raise web.HTTPForbidden(text="only the dashboard's own pages may ask for this")


def own_path(path: str) -> str:
    """A path of this site, such as a room's; `/` for anything that could lead elsewhere."""
    return path if path.startswith("/rooms/") and path.isprintable() and "\\" not in path else "/"


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer the headers that keep other sites' pages out."""
    for name, value in PROTECTION.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
