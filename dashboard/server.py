"""The dashboard as a web server: it follows rooms in Redis, and knows nothing of the bot."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext

from aiohttp import web
from redis.asyncio import Redis

from dashboard.access import Access, protect
from dashboard.hubs import Hubs
from dashboard.options import DashboardOptions, DashboardRefused, in_url, is_loopback, tls_context
from dashboard.pages import Pages

logger = logging.getLogger(__name__)

LARGEST_BODY_BYTES = 4096
END_SECONDS = 1.0
"""How long answers that are still being sent may take when the dashboard ends."""


@asynccontextmanager
async def serving(redis: Redis, key_prefix: str, options: DashboardOptions) -> AsyncIterator[str]:
    """Serve the dashboard while the block runs; yields its URL.

    The client must decode its replies; Redis need not be there yet. Raises DashboardRefused for options that are unsafe or
    cannot be used, such as a port that is taken.
    """
    options.check()
    tls = tls_context(options)
    hubs = Hubs(redis, key_prefix)
    runner = web.AppRunner(_application(redis, key_prefix, options, hubs), access_log=None, shutdown_timeout=END_SECONDS)
    await runner.setup()
    try:
        port = await _listen(runner, options, tls)
        if tls is None and not is_loopback(options.host):
            logger.warning("the password and the class are sent unencrypted: set CLASSMOOD_TLS_CERTIFICATE and _KEY")
        async with hubs:
            yield f"{'https' if tls else 'http'}://{_reachable(options.host)}:{port}/"
    finally:
        await runner.cleanup()


def _application(redis: Redis, key_prefix: str, options: DashboardOptions, hubs: Hubs) -> web.Application:
    access = Access(options)
    application = web.Application(middlewares=[access.guard], client_max_size=LARGEST_BODY_BYTES)
    application.add_routes(Pages(redis, key_prefix, options, access, hubs).routes())
    application.on_response_prepare.append(protect)
    return application


async def _listen(runner: web.AppRunner, options: DashboardOptions, tls: SSLContext | None) -> int:
    try:
        await web.TCPSite(runner, options.host or None, options.port, ssl_context=tls).start()
    except OSError as error:
        raise DashboardRefused(
            f"the dashboard cannot listen on {options.host or '*'}:{options.port}: {error.strerror or error}"
        ) from None
    port: int = runner.addresses[0][1]
    return port


def _reachable(host: str) -> str:
    if host in ("", "0.0.0.0"):  # nosec B104
        return "127.0.0.1"
    # asyncio takes "::" to mean IPv6 addresses alone
    return in_url("::1" if host == "::" else host)
