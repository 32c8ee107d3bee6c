"""A locked Redis: TLS, passwords, and users who may do what docs/redis.md says and nothing else."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from bot.cli import main
from bot.errors import RedisRefused, SettingsWrong
from bot.forget_commands import forget_participant
from bot.health import health
from bot.marker_commands import make_mark
from bot.redis_client import connect
from bot.settings import Settings, read_settings
from bot.tasks import alone
from dashboard.options import DashboardOptions
from dashboard.server import serving
from model.faces import Emotion
from pipeline.events import ConsentWithdrawn
from pipeline.follow import Change, entries_since, follow, room_state, rooms
from pipeline.publish import RedisUnusable
from tests.commands import ROOT, ended, started
from tests.dashboards import Lesson
from tests.redis_servers import PROGRAMS, SERVER, RedisServer, every_server, free_port, proxied, running_redis
from tests.test_dashboard_access import first_view
from tests.test_publish import KEYS, ONE_OF_EACH, joined, needs_redis, publisher, status
from tests.videos import portrait, write_video

# the packaged servers are built without TLS
needs_tls = pytest.mark.skipif(PROGRAMS["debian"] is None, reason="no redis-server of Debian's")

PAGE = (ROOT / "docs/redis.md").read_text()
RULES = {user: rules.split() for user, rules in re.findall(r"^ACL SETUSER (\w+) (.*)$", PAGE, re.MULTILINE)}
PASSWORD = "PASSWORD"

Life = Callable[[RedisServer, Settings], Awaitable[None]]


def commands_of(user: str) -> list[str]:
    return [rule[1:] for rule in RULES[user] if rule[0] == "+"]


def as_user(server: RedisServer, user: str, port: int | None = None, database: int = 0) -> Settings:
    url = f"redis://127.0.0.1:{port or server.port}/{database}"
    return read_settings(redis_url=url, redis_username=user, redis_password=PASSWORD)


@asynccontextmanager
async def with_users(program: str | None) -> AsyncIterator[tuple[RedisServer, Redis]]:
    """A server with the users that the page describes, and a client that may do everything."""
    with running_redis(program) as server:
        async with server.client() as admin:
            for user, rules in RULES.items():
                await admin.execute_command("ACL", "SETUSER", user, *rules)
            yield server, admin


async def the_bots(server: RedisServer, settings: Settings) -> None:
    """Start where a former run left somebody behind, publish everything, lose an answer, stop, and go back in time.

    Somebody withdraws consent, and what was read of them is erased. At the end, a moment is marked.
    """
    async with server.client() as admin:
        former = publisher(admin, epoch="1")
        former.publish(joined(9))
        await former.flush(5)
    async with connect(settings) as redis:
        await publisher(redis, epoch="2").wait_until_reachable()
    async with proxied(server, "answer") as proxy, connect(as_user(server, settings.redis_username, proxy.port)) as redis:
        sender = publisher(redis, withdrawal_erases=True)
        withdrawn = ConsentWithdrawn(participant="p1", source="page")
        for data in (*ONE_OF_EACH, withdrawn, status().model_copy(update={"state": "stopping"})):
            sender.publish(data)
            await sender.flush(5)
        async with server.client() as admin:
            await admin.delete(KEYS.last(sender.epoch))
            await admin.hset(KEYS.participant("p1"), "consent", 1)
        sender.publish(status())
        await sender.flush(5)
        assert sender.published["classmood.consent.withdrawn"] == 2
    await health(settings, KEYS.room)
    await make_mark(settings, KEYS.room, "exercise")


async def the_readers(server: RedisServer, settings: Settings) -> None:
    """Read the present, the past and what comes, in every way that is offered."""
    async with connect(settings) as redis, server.client() as admin:
        sender = publisher(admin)
        for data in ONE_OF_EACH:
            sender.publish(data)
        await sender.flush(5)
        assert (await room_state(redis, KEYS)).participants and KEYS.room in await rooms(redis, "classmood")
        await health(settings)
        await health(settings, KEYS.room)
        assert [event async for event in entries_since(redis, KEYS)]
        async with redis.pubsub() as channel:
            await channel.subscribe(KEYS.live)
            assert await channel.get_message(timeout=5)
        async with aclosing(follow(redis, KEYS.room).items()) as items:
            await anext(items)
            sender.publish(joined(2))
            await sender.flush(5)
            assert isinstance(await anext(items), Change)


async def the_dashboards(server: RedisServer, settings: Settings) -> None:
    """List the rooms, show a class and who joins it, and mark a moment."""
    async with server.client() as admin, served(settings) as (url, http):
        lesson = Lesson(admin, "history")
        await lesson.begin("ada")
        await rooms_json(url, http)
        async with http.post(f"{url}rooms/history/markers", json={"label": "exercise"}, headers={"Origin": url[:-1]}) as made:
            if made.status != 201:
                raise RedisRefused(await made.text())
        await until_shown(url, http, lambda view: "ada" in str(view["people"]))
        await until_shown(url, http, lambda view: bool(view.get("marks")))
        await lesson.tell(*lesson.seen("ben", Emotion.NEUTRAL))
        await until_shown(url, http, lambda view: "ben" in str(view["people"]))


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """A dashboard whose Redis those settings name, and a client that asks it."""
    options = DashboardOptions(port=0)
    with alone(RedisRefused):
        async with connect(settings) as redis, serving(redis, "classmood", options) as url, aiohttp.ClientSession() as http:
            yield url, http


async def rooms_json(url: str, http: aiohttp.ClientSession) -> None:
    """Ask for the list of rooms; raises RedisRefused with the page's own words."""
    async with http.get(f"{url}rooms.json") as answer:
        if answer.status != 200:
            raise RedisRefused(await answer.text())


async def until_shown(url: str, http: aiohttp.ClientSession, wanted: Callable[[Any], bool]) -> None:
    """Watch the room until it is as wanted; raises RedisRefused if the page reports a missing permission."""
    view = await first_view(http, f"{url}rooms/history/live", lambda view: view["state"]["refused"] or wanted(view))
    if view["state"]["refused"]:
        raise RedisRefused("the page says that permission is missing")


async def the_keepers(server: RedisServer, settings: Settings) -> None:
    """Forget somebody."""
    async with server.client() as admin:
        sender = publisher(admin)
        for data in ONE_OF_EACH:
            sender.publish(data)
        await sender.flush(5)
    assert (await forget_participant(settings, KEYS.room, "p1")).entries


LIVES: dict[str, Life] = {"bot": the_bots, "reader": the_readers, "dashboard": the_dashboards, "keeper": the_keepers}


def test_the_readme_gives_the_same_rights() -> None:
    in_readme = re.findall(r"^ACL SETUSER .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [line.split()[2] for line in in_readme] == ["bot", "reader"] and all(line in PAGE for line in in_readme)


@every_server
async def test_everybody_can_live_by_the_rights_on_the_page(program: str) -> None:
    async with with_users(program) as (server, admin):
        await admin.execute_command("ACL", "LOG", "RESET")
        for user, life in LIVES.items():
            await life(server, as_user(server, user))
        assert await admin.execute_command("ACL", "LOG") == [], "refused, and went on without"


@needs_redis
@pytest.mark.slow
@pytest.mark.parametrize("user", LIVES)
async def test_nobody_can_live_with_one_right_less(user: str) -> None:
    async with with_users(PROGRAMS["debian"] or PROGRAMS["packaged"]) as (server, admin):
        for command in commands_of(user):
            await admin.execute_command("ACL", "SETUSER", user, "reset", *RULES[user], f"-{command}")
            # redis-py sends MULTI and EXEC together, and reports the error of the second only
            with pytest.raises((RedisUnusable, RedisRefused, ResponseError), match=r"permission|EXEC without MULTI"):
                await LIVES[user](server, as_user(server, user))
                pytest.fail(f"{user} lives without {command}")


@needs_redis
@pytest.mark.parametrize(
    ("user", "elsewhere"),
    [("bot", "~other:*"), ("bot", "&other:*"), ("reader", "~other:*"), ("dashboard", "~other:*"), ("keeper", "~other:*")],
)
async def test_rights_end_at_the_prefix(user: str, elsewhere: str) -> None:
    async with with_users(PROGRAMS["debian"] or PROGRAMS["packaged"]) as (server, admin):
        rules = [elsewhere if rule[0] == elsewhere[0] else rule for rule in RULES[user]]
        await admin.execute_command("ACL", "SETUSER", user, "reset", *rules)
        with pytest.raises((RedisUnusable, RedisRefused, NoPermissionError), match="permission"):
            await LIVES[user](server, as_user(server, user))


@every_server
async def test_another_database_than_the_first_needs_one_right_more(program: str) -> None:
    async with with_users(program) as (server, admin):
        elsewhere = as_user(server, "bot", database=2)
        with pytest.raises(RedisUnusable, match="'select'"):
            await published(elsewhere)
        await admin.execute_command("ACL", "SETUSER", "bot", "+select")
        assert "`+select`" in PAGE and await published(elsewhere) == 0


@every_server
async def test_a_reader_cannot_write_and_nobody_reaches_keys_of_others(program: str) -> None:
    async with (
        with_users(program) as (server, _),
        connect(as_user(server, "reader")) as reader,
        connect(as_user(server, "bot")) as bot,
    ):
        for refused in (
            reader.set(KEYS.bot, "{}"),
            reader.xadd(KEYS.events, {"event": "{}"}),
            reader.publish(KEYS.live, "{}"),
            reader.delete(KEYS.events),
            reader.get("other"),
            bot.set("other", "1"),
            bot.delete("other:{algebra}:events"),
            bot.publish("other", "{}"),
            bot.config_get("requirepass"),
            bot.flushall(),
        ):
            with pytest.raises(NoPermissionError):
                await refused


@needs_redis
async def test_the_list_of_rooms_says_that_redis_refuses_it_and_not_that_it_is_away() -> None:
    async with with_users(SERVER) as (server, _):
        with pytest.raises(RedisRefused, match=r"^Redis refuses the dashboard: [^\n]+'scan'[^\n]+$"):
            async with served(as_user(server, "bot")) as (url, http):
                await rooms_json(url, http)


@pytest.mark.slow
@needs_redis
async def test_the_bot_hosts_a_class_with_the_rights_on_the_page(tmp_path: Path) -> None:
    clip, port = write_video(tmp_path / "ada.mkv", (320, 180), 10, 2, portrait(320, 180)), str(free_port())
    async with with_users(PROGRAMS["debian"] or PROGRAMS["packaged"]) as (server, admin):
        access = {"CLASSMOOD_REDIS_USERNAME": "bot", "CLASSMOOD_REDIS_PASSWORD": PASSWORD, "CLASSMOOD_REDIS_URL": server.url}
        with started(tmp_path, "join", "local://algebra", "--port", port, **access) as bot:
            async with asyncio.timeout(30):
                while not await admin.exists("classmood:{algebra}:bot"):
                    await asyncio.sleep(0.05)
            publish = ("simulate", "local://algebra", "--students", "1", "--video", str(clip), "--port", port, "--seconds", "3")
            assert (await asyncio.to_thread(ended, tmp_path, *publish))[0] == 0
            bot.signal(signal.SIGTERM)
            assert await asyncio.to_thread(bot.exit_code) == 0
        events = [fields["event"] for _, fields in await admin.xrange("classmood:{algebra}:events")]
    assert any("emotion.sample" in event for event in events) and "stopping" in events[-1]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, its certificate for 127.0.0.1, and another authority."""
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    trustme.CA().cert_pem.write_to_path(folder / "another-ca.pem")
    return folder


@pytest.fixture(scope="module")
def tls_server(certificates: Path) -> Iterator[RedisServer]:
    with running_redis(
        PROGRAMS["debian"], "--tls-auth-clients", "no", "--requirepass", "right", certificates=certificates
    ) as server:
        yield server


def tls_settings(server: RedisServer, **changed: object) -> Settings:
    return read_settings(**{"redis_url": server.url, "redis_password": "right", **changed})


async def published(settings: Settings) -> int:
    before = open_files()
    try:
        async with connect(settings) as redis:
            sender = publisher(redis)
            await sender.wait_until_reachable()
            sender.publish(joined())
            return await sender.flush(5)
    finally:
        # redis-py does not wait for the server's TLS goodbye, and a loop that ends first leaves the socket to the collector
        async with asyncio.timeout(5):
            while open_files() > before:
                await asyncio.sleep(0.001)


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


@needs_tls
async def test_events_go_through_tls_with_a_private_authority_and_a_password(tls_server: RedisServer, certificates: Path) -> None:
    assert await published(tls_settings(tls_server, redis_ca_file=certificates / "ca.pem")) == 0


@needs_tls
@pytest.mark.parametrize(
    ("host", "authority", "access", "says"),
    [
        ("127.0.0.1", "another-ca.pem", {}, "certificate verify failed"),
        ("127.0.0.1", None, {}, "certificate verify failed"),
        ("localhost", "ca.pem", {}, "Hostname mismatch"),
        ("127.0.0.1", "ca.pem", {"redis_password": "wrong"}, "invalid username-password pair"),
        ("127.0.0.1", "ca.pem", {"redis_username": "nobody"}, "invalid username-password pair"),
    ],
)
async def test_what_waiting_does_not_mend_is_one_line(
    tls_server: RedisServer, certificates: Path, host: str, authority: str | None, access: dict[str, str], says: str
) -> None:
    url, trusted = tls_server.url.replace("127.0.0.1", host), authority and certificates / authority
    with pytest.raises(RedisUnusable, match=rf"^redis refuses: [^\n]*{says}[^\n]*$") as refusal:
        await asyncio.wait_for(published(tls_settings(tls_server, redis_url=url, redis_ca_file=trusted, **access)), 10)
    assert "right" not in str(refusal.value) and "wrong" not in str(refusal.value)


@needs_tls
def test_a_command_ends_with_the_exit_code_for_a_redis_that_refuses(
    tls_server: RedisServer, certificates: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLASSMOOD_REDIS_PASSWORD", "right")
    for arguments in (["--redis-ca-file", str(certificates / "another-ca.pem")], []):
        for command in ("watch", "forget"):
            words = ["algebra", "ada"] if command == "forget" else ["algebra"]
            assert main([command, *words, "--redis-url", tls_server.url, *arguments]) == 4
            [line] = capsys.readouterr().err.splitlines()
            assert line.startswith("classmood: ") and "certificate verify failed" in line


@needs_tls
async def test_a_server_may_ask_for_a_certificate(certificates: Path) -> None:
    ours = {"redis_certificate": certificates / "certificate.pem", "redis_key": certificates / "key.pem"}
    with running_redis(PROGRAMS["debian"], "--tls-auth-clients", "yes", certificates=certificates) as server:
        settings = {"redis_password": "", "redis_ca_file": certificates / "ca.pem"}
        assert await published(tls_settings(server, **settings, **ours)) == 0
        with pytest.raises(RedisUnusable, match=r"^redis refuses: [^\n]*certificate"):
            await asyncio.wait_for(published(tls_settings(server, **settings)), 10)


@pytest.mark.parametrize("name", ["redis_ca_file", "redis_certificate"])
def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "key.pem").write_text("no key")
    key = {"redis_key": tmp_path / "key.pem"} if name == "redis_certificate" else {}
    for path in (tmp_path / "missing.pem", tmp_path / "key.pem"):
        with pytest.raises(SettingsWrong, match=f"^CLASSMOOD_{name.upper()}[^\\n]* cannot be used: "):
            connect(read_settings(redis_url="rediss://127.0.0.1:1/0", **{name: path}, **key))


def test_certificates_without_tls_and_halves_of_a_pair_are_refused() -> None:
    with pytest.raises(SettingsWrong, match="need a redis_url that begins with rediss://"):
        read_settings(redis_ca_file="ca.pem")
    with pytest.raises(SettingsWrong, match="redis_certificate and redis_key go together"):
        read_settings(redis_url="rediss://127.0.0.1/0", redis_key="key.pem")
