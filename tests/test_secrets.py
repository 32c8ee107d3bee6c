"""Secrets stay where they were put: out of the most verbose log, errors, process lists, Redis and tracebacks."""

import asyncio
import re
import signal
import sys
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.exceptions import RedisError

from bot.errors import SettingsWrong
from bot.redis_client import connect
from bot.settings import PREFIX, Settings
from pipeline.audit import audit_trail
from pipeline.events import BasisStated, Event
from pipeline.follow import events_since
from pipeline.keys import Keys
from tests.commands import Running, ended, left_in, started, until
from tests.redis_servers import SERVER, RedisServer, free_port, needs_redis, running_redis

KEYS = Keys("classmood", "algebra")
SECRETS = {
    name: f"hush-{name.replace('_', '-')}" for name, field in Settings.model_fields.items() if field.annotation is SecretStr
}
EVERYTHING = {PREFIX + name.upper(): secret for name, secret in SECRETS.items()} | {"CLASSMOOD_LOG_LEVEL": "debug"}
PURPOSE = "early signs of seizures on a ward"


def told(text: str) -> list[str]:
    """The names of the secrets that a text contains."""
    return [name for name, secret in SECRETS.items() if secret in text]


def settings_of(server: RedisServer) -> Settings:
    return Settings(redis_url=server.url, redis_password=SecretStr(SECRETS["redis_password"]))  # type: ignore[arg-type]


@contextmanager
def joined(folder: Path, server: RedisServer, port: int) -> Iterator[Running]:
    """A bot that knows every secret there is, and has used those of its Redis and its room."""
    stated = {"CLASSMOOD_JURISDICTION": "de", "CLASSMOOD_BASIS": "medical", "CLASSMOOD_PURPOSE": PURPOSE}
    with started(
        folder, "join", "local://algebra", "--redis-url", server.url, "--port", str(port), **EVERYTHING, **stated
    ) as bot:
        until(lambda: len(asyncio.run(events_in(server))) > 1)
        assert [knock(port, token) for token in ("wrong", SECRETS["room_token"])] == [401, 415]
        yield bot


def knock(port: int, token: str) -> int:
    """The status of a request that brings a token, but nothing that could be published."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/whip/algebra", b"none", headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()
    return refused.value.code


async def events_in(server: RedisServer, *, audited: bool = False) -> list[Event]:
    """The events of the stream, or of the audit stream."""
    async with connect(settings_of(server)) as redis:
        try:
            return [event async for event in (audit_trail(redis, KEYS) if audited else events_since(redis, KEYS))]
        except RedisError:
            return []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
@needs_redis
@pytest.mark.slow
def test_a_bot_at_work_tells_what_was_stated_first_and_no_secret_anywhere(tmp_path: Path) -> None:
    port = free_port()
    with running_redis(SERVER, "--requirepass", SECRETS["redis_password"]) as server:
        with joined(tmp_path, server, port) as bot:
            command_lines = [Path(f"/proc/{number}/cmdline").read_text() for number in left_in(tmp_path)]
            bot.signal(signal.SIGTERM)
            assert bot.exit_code() == 0
        events, audited = (asyncio.run(events_in(server, audited=which)) for which in (False, True))
    assert command_lines and not told("".join(command_lines))
    assert not told(bot.out + bot.err) and PURPOSE not in bot.err
    assert re.search(r"INFO bot\.declaration: jurisdiction DE, basis medical, consent asked, ", bot.err)
    first = events[0].typed()
    assert isinstance(first, BasisStated) and (first.jurisdiction, first.basis, first.purpose) == ("DE", "medical", PURPOSE)
    assert first.version and first.model and not first.names
    assert [event.id for event in audited] == [events[0].id]
    assert not told("".join(event.to_json() for event in events))


@pytest.mark.slow
@needs_redis
def test_errors_of_what_was_asked_with_a_secret_do_not_repeat_it(tmp_path: Path) -> None:
    nobody = free_port()
    with running_redis(SERVER, "--requirepass", "another") as server:
        refused = ended(tmp_path, "join", "local://algebra", "--redis-url", server.url, "--port", "0", **EVERYTHING)
        url = f"redis://ada:{SECRETS['redis_password']}@127.0.0.1:{server.port}/x"
        wrong = ended(tmp_path, "watch", "algebra", **{"CLASSMOOD_REDIS_URL": url, **EVERYTHING})
        known = {**EVERYTHING, "CLASSMOOD_REDIS_PASSWORD": "another", "CLASSMOOD_REDIS_URL": server.url}
        unheard = ended(tmp_path, "join", f"janus://127.0.0.1:{nobody}/1", **known)
    assert [code for code, _, _ in (refused, wrong, unheard)] == [4, 4, 5]
    for _, out, err in (refused, wrong, unheard):
        assert err.splitlines()[-1].startswith("classmood: ") and not told(out + err)


def test_no_secret_stands_in_what_settings_print_or_a_traceback_with_all_its_locals() -> None:
    settings = Settings(_env_file=None, **SECRETS)  # type: ignore[call-arg, arg-type]
    assert all(getattr(settings, name).get_secret_value() == secret for name, secret in SECRETS.items())
    assert not told(f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}")
    with pytest.raises(SettingsWrong) as wrong:
        connect(settings.model_copy(update={"redis_ca_file": Path("nowhere.pem"), "redis_url": "rediss://127.0.0.1"}))
    shown = "".join(traceback.TracebackException.from_exception(wrong.value, capture_locals=True).format())
    assert "settings = " in shown and not told(shown)
