"""The command `forward`, which sends a room's events to an MQTT broker or a webhook."""

import argparse
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import SplitResult

from bot.errors import SettingsWrong
from bot.settings import Settings
from bot.urls import checked_url

MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}


def add_forward_command(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `forward` to the parser's commands."""
    forward = command(commands, "forward", _forward, "forward a room's events to an MQTT broker or a webhook")
    forward.add_argument("room", metavar="ROOM")
    forward.add_argument(
        "--to", required=True, metavar="URL", help="mqtt://HOST[:PORT][/TOPIC], mqtts://…, or http(s)://URL of a webhook"
    )
    forward.add_argument(
        "--from-start", action="store_true", help="on the first run, begin with everything that Redis holds, not with new events"
    )


async def _forward(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.forward import Forwarder
    from bot.redis_client import connect
    from pipeline.keys import Keys

    url = _checked(arguments.to)
    keys = Keys(settings.key_prefix, arguments.room)
    async with connect(settings) as redis, _target(url, arguments.room, settings) as target:
        forwarder = Forwarder(
            redis,
            keys,
            target,
            hashlib.sha256(arguments.to.encode()).hexdigest()[:16],
            retry_seconds=settings.redis_retry_seconds,
            from_start=arguments.from_start,
        )
        try:
            await forwarder.run()
        finally:
            _say(f"forwarded to {url.hostname}: {forwarder.told()}")


def _say(line: str) -> None:
    from bot.cli import say

    say(line)


def _checked(text: str) -> SplitResult:
    """The URL of a target; raises SettingsWrong if it cannot be used."""
    url = checked_url(text, "--to")
    if url.scheme not in (*MQTT_PORTS, "http", "https") or not url.hostname:
        raise SettingsWrong("--to must be mqtt://HOST[:PORT][/TOPIC], mqtts://…, or http(s)://URL")
    if url.username is not None:
        raise SettingsWrong("--to must not hold a password, which every process list shows: use the settings for secrets")
    if url.scheme in MQTT_PORTS and {"+", "#"} & set(text):
        raise SettingsWrong("--to: a topic to publish to has no wildcards")
    return url


@asynccontextmanager
async def _target(url: SplitResult, room: str, settings: Settings) -> AsyncIterator[Any]:
    if url.scheme in MQTT_PORTS:
        from bot.mqtt import Mqtt

        topic = url.path.strip("/") or "classmood"
        status_seconds = max(round(3 * settings.heartbeat_seconds), 1)
        async with Mqtt(_broker(url, settings), topic, room, _seconds(settings), status_seconds) as mqtt:
            yield mqtt
    else:
        import aiohttp

        from bot.webhook import Webhook, signing_key

        key = signing_key(settings.webhook_secret)
        if key is None:
            _say("without CLASSMOOD_WEBHOOK_SECRET the events are not signed")
        async with aiohttp.ClientSession() as session:
            yield Webhook(session, url.geturl(), key)


def _broker(url: SplitResult, settings: Settings) -> Any:
    from bot.mqtt import Broker

    return Broker(
        url.hostname or "",
        url.port or MQTT_PORTS[url.scheme],
        url.scheme == "mqtts",
        settings.mqtt_username or None,
        settings.mqtt_password.get_secret_value() or None,
    )


def _seconds(settings: Settings) -> int:
    return int(settings.retention_hours * 3600)
