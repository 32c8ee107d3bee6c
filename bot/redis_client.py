"""The bot's connection to Redis."""

import ssl
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from bot.errors import SettingsWrong
from bot.settings import Settings

CONNECT_SECONDS = 3.0
REPLY_SECONDS = 5.0


def connect(settings: Settings) -> Redis:
    """A client of the Redis in the settings, to be used as `async with`; it connects with the first command.

    It never retries by itself: its callers decide when to try again, and redis-py's own retries take seconds.
    Raises SettingsWrong if a certificate or a key cannot be used.
    """
    client: Redis = Redis.from_url(
        str(settings.redis_url),
        username=settings.redis_username or None,
        password=settings.redis_password.get_secret_value() or None,
        decode_responses=True,
        encoding_errors="replace",
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=REPLY_SECONDS,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 0),
        # these keep redis-py from sending two commands of its own on every connection, which an ACL would refuse and log
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        **_tls(settings),
    )
    return client


def _tls(settings: Settings) -> dict[str, Any]:
    """redis-py's arguments about certificates; by default it verifies the server and its name."""
    _check_certificates(settings)  # redis-py reads them when it connects, and reports a wrong path as if Redis were away
    files = {
        "ssl_ca_certs": settings.redis_ca_file,
        "ssl_certfile": settings.redis_certificate,
        "ssl_keyfile": settings.redis_key,
    }
    return {name: str(path) for name, path in files.items() if path is not None}


def _check_certificates(settings: Settings) -> None:
    context, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "CLASSMOOD_REDIS_CA_FILE"
    try:
        if settings.redis_ca_file:
            context.load_verify_locations(settings.redis_ca_file)
        asked = "CLASSMOOD_REDIS_CERTIFICATE or CLASSMOOD_REDIS_KEY"
        if settings.redis_certificate:
            # with no password given, a key with a passphrase would ask for it on the terminal
            context.load_cert_chain(settings.redis_certificate, settings.redis_key, password="")  # nosec B106
    except OSError as error:  # includes ssl's errors: not a certificate, or another one's key
        raise SettingsWrong(f"{asked} cannot be used: {error.strerror or error}") from None
