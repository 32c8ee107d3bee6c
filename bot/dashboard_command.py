"""The command that serves the teacher's web page, fed by Redis."""

import logging
from collections.abc import Callable

from redis.exceptions import RedisError

from bot.errors import RedisRefused, SettingsWrong
from bot.redis_client import connect
from bot.settings import Settings
from bot.tasks import stay
from dashboard.options import DashboardOptions, DashboardRefused
from dashboard.server import serving
from pipeline.publish import heals, reason

logger = logging.getLogger(__name__)


def dashboard_options(settings: Settings) -> DashboardOptions:
    """The dashboard's options, from the settings; it uses the same certificate as the local room."""
    return DashboardOptions(
        host=settings.dashboard_host,
        port=settings.dashboard_port,
        password=settings.dashboard_password,
        link_secret=settings.dashboard_link_secret,
        tls_certificate=settings.tls_certificate,
        tls_key=settings.tls_key,
        marks=settings.dashboard_marks,
        retention_ms=round(settings.retention_hours * 3_600_000),
        trusted_proxies=settings.trusted_proxies,
    )


async def dashboard(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve the dashboard until cancelled, even while Redis is away; `say` gets its address.

    Raises SettingsWrong for settings that are unsafe or cannot be used, and RedisRefused if Redis refuses us.
    """
    async with connect(settings) as redis:
        try:
            await redis.time()  # touches no key: whether we may read a room, its own page finds out
        except RedisError as error:
            if not heals(error):
                raise RedisRefused(f"redis refuses: {reason(error)}") from None
            logger.warning("redis is away: %s", reason(error))
        try:
            async with serving(redis, settings.key_prefix, dashboard_options(settings)) as url:
                say(f"the dashboard is at {url}")
                await stay(None)
        except DashboardRefused as error:
            raise SettingsWrong(str(error)) from None
