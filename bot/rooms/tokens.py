"""The bearer token that publishers bring (RFC 6750, section 2.1)."""

import hmac

from aiohttp import web
from pydantic import SecretStr


def bears_token(request: web.Request, token: SecretStr) -> bool:
    """Whether the request bears the token, or no token is set."""
    expected = token.get_secret_value()
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return not expected or (scheme.lower() == "bearer" and _same(given.strip(), expected))


def check_token(request: web.Request, token: SecretStr) -> None:
    """Raise HTTPUnauthorized if a token is set and the request does not bear it."""
    if not bears_token(request, token):
        raise web.HTTPUnauthorized(text="a bearer token is needed", headers={"WWW-Authenticate": "Bearer"})


def _same(given: str, expected: str) -> bool:
    # header bytes that are not UTF-8 come as surrogates
    return hmac.compare_digest(given.encode(errors="surrogateescape"), expected.encode())
