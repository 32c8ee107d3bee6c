"""Who may see the dashboard: passwords, cookies, links, and what another site's page cannot do."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from pydantic import SecretStr
from redis.asyncio import Redis

from bot.dashboard_command import dashboard as dashboard_of
from bot.settings import read_settings
from bot.tasks import background
from dashboard.access import own_path
from dashboard.live import FOR_TEACHERS, MOST_WATCHERS
from dashboard.options import DashboardOptions, DashboardRefused, is_loopback
from dashboard.sessions import MOST_SESSIONS, SESSION_SECONDS, Secrets, Sessions
from pipeline.clock import now_ms
from pipeline.keys import Keys
from pipeline.markers import markers
from tests.commands import ROOT
from tests.dashboards import Lesson, dashboard
from tests.fakes import Clock
from tests.redis_servers import RedisServer, free_port, needs_redis

pytestmark = needs_redis

PASSWORD = SecretStr("open sesame")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def log_in(http: aiohttp.ClientSession, url: str, password: str = "open sesame", **form: str) -> aiohttp.ClientResponse:
    data = {"password": password, **form}
    async with http.post(f"{url}/login", data=data, headers={"Origin": url}, allow_redirects=False) as response:
        await response.read()
        return response


async def status_of(http: aiohttp.ClientSession, url: str, **headers: str) -> int:
    async with http.get(url, headers=headers, allow_redirects=False) as response:
        return response.status


async def first_view(http: aiohttp.ClientSession, url: str, wanted: Callable[[Any], bool] = lambda view: True) -> Any:
    async with http.get(url) as stream:
        assert stream.status == 200 and stream.content_type == "text/event-stream"
        async for line in stream.content:
            if line.startswith(b"data: ") and wanted(view := json.loads(line.removeprefix(b"data: "))):
                return view
    raise AssertionError("nothing was told")


# where it listens


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "class.example"])
def test_a_dashboard_that_others_can_reach_needs_a_password(host: str) -> None:
    with pytest.raises(DashboardRefused, match=r"^[^\n]*CLASSMOOD_DASHBOARD_PASSWORD[^\n]*$"):
        DashboardOptions(host=host).check()
    DashboardOptions(host=host, password=PASSWORD).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST."])
def test_on_this_machine_alone_it_needs_none(host: str) -> None:
    assert is_loopback(host)
    DashboardOptions(host=host).check()


def test_a_password_that_is_soon_guessed_is_refused() -> None:
    with pytest.raises(DashboardRefused, match="7 characters are too few"):
        DashboardOptions(password=SecretStr("sesame!")).check()


def test_a_link_secret_that_is_soon_guessed_is_refused() -> None:
    with pytest.raises(DashboardRefused, match=r"^CLASSMOOD_DASHBOARD_LINK_SECRET: 15 characters are too few, use 16 or more$"):
        DashboardOptions(link_secret=SecretStr("x" * 15)).check()
    DashboardOptions(link_secret=SecretStr("x" * 16)).check()


@pytest.mark.parametrize("label", ["", "x" * 61, "a\nb", "\u202eeve"])
def test_a_mark_that_could_not_be_made_in_class_is_refused_at_the_start(label: str) -> None:
    with pytest.raises(DashboardRefused, match=r"^CLASSMOOD_DASHBOARD_MARKS, [ -~]+: label: a label (has|must not) [^\n]+$"):
        DashboardOptions(marks=("exercise", label)).check()
    DashboardOptions(marks=("exercise", "x" * 60)).check()


async def test_a_redis_user_of_one_room_alone_will_do(server: RedisServer, redis: Redis, http: aiohttp.ClientSession) -> None:
    rules = re.findall(r"^ACL SETUSER dashboard (.*)$", (ROOT / "docs/redis.md").read_text(), re.MULTILINE)[0]
    one_room = rules.replace("classmood:", "classmood:{maths}:").split()
    await redis.execute_command("ACL", "SETUSER", "one", *one_room)  # type: ignore[no-untyped-call]
    await Lesson(redis, "maths").begin("ada")
    settings = read_settings(
        redis_url=f"redis://127.0.0.1:{server.port}/0", redis_username="one", redis_password="PASSWORD", dashboard_port=0
    )
    said: asyncio.Queue[str] = asyncio.Queue()
    async with background(dashboard_of(settings, said.put_nowait)), asyncio.timeout(10):
        url = (await said.get()).rpartition(" ")[2]
        view = await first_view(http, f"{url}rooms/maths/live", lambda view: bool(view["people"]["changed"]))
        assert [person["name"] for person in view["people"]["changed"]] == ["ada"]
        await first_view(http, f"{url}rooms/physics/live", lambda view: bool(view["state"]["refused"]))


async def test_a_taken_port_and_a_wrong_certificate_are_one_line(server: RedisServer, tmp_path: Path) -> None:
    async with dashboard(server) as url:
        with pytest.raises(DashboardRefused, match=r"^the dashboard cannot listen on 127\.0\.0\.1:\d+: [^\n]+$"):
            async with dashboard(server, port=int(url.rpartition(":")[2])):
                pass
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(DashboardRefused, match=r"^CLASSMOOD_TLS_CERTIFICATE or CLASSMOOD_TLS_KEY [^\n]+$"):
        async with dashboard(server, tls_certificate=tmp_path / "no.pem", tls_key=tmp_path / "no.pem"):
            pass


# without a password


async def test_another_sites_name_that_leads_here_is_not_answered(server: RedisServer, http: aiohttp.ClientSession) -> None:
    async with dashboard(server) as url:
        assert await status_of(http, f"{url}/", Host="localhost:1") == 200
        assert await status_of(http, f"{url}/", Host="[::1]:1") == 200
        for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "192.0.2.1"):
            assert await status_of(http, f"{url}/rooms.json", Host=name) == 421, name


async def test_every_answer_keeps_other_sites_and_inline_scripts_out(server: RedisServer, http: aiohttp.ClientSession) -> None:
    async with dashboard(server) as url:
        for path in ("/", "/rooms/x", "/login", "/static/room.js", "/rooms.json", "/nothing", "/rooms/x/live"):
            async with http.get(url + path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy and "unsafe" not in policy, path
                assert "frame-ancestors 'none'" in policy and response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "same-origin"
                if not path.startswith("/static/"):
                    assert response.headers["Cache-Control"] == "no-store", path


async def test_a_file_is_sent_again_only_if_it_changed(server: RedisServer, http: aiohttp.ClientSession) -> None:
    async with dashboard(server) as url, http.get(f"{url}/static/page.css") as response:
        assert await status_of(http, f"{url}/static/page.css", **{"If-None-Match": response.headers["ETag"]}) == 304
        for path in ("/static/nothing.js", "/static/..%2Fserver.py", "/static/%2e%2e/server.py", "/static/room.html"):
            assert await status_of(http, url + path) == 404, path


# with a password


async def test_without_the_password_nothing_of_a_class_is_told(server: RedisServer, http: aiohttp.ClientSession) -> None:
    async with dashboard(server, password=PASSWORD) as url:
        hidden = (
            "/rooms.json",
            "/rooms/x",
            "/rooms/x/live",
            "/rooms/x/link",
            "/",
            "/static/..%2Frooms.json",
            "/look%2F..%2Frooms/x",
        )
        for path in hidden:
            assert await status_of(http, url + path) in (401, 404), path
        async with http.get(f"{url}/rooms/x", headers={"Accept": "text/html"}, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/login?next=/rooms/x")
        async with http.post(f"{url}/rooms/x/markers", json={"label": "exercise"}, headers={"Origin": url}) as response:
            assert response.status == 401
        assert await status_of(http, f"{url}/login") == 200


async def test_the_password_opens_a_session_until_logout(server: RedisServer, http: aiohttp.ClientSession) -> None:
    async with dashboard(server, password=PASSWORD) as url:
        wrong = await log_in(http, url, "open sesam")
        assert wrong.status == 403 and "Set-Cookie" not in wrong.headers
        right = await log_in(http, url, next="/rooms/x")
        assert (right.status, right.headers["Location"]) == (303, "/rooms/x")
        cookie = right.headers["Set-Cookie"]
        assert (
            "HttpOnly" in cookie
            and "SameSite=Strict" in cookie
            and "Path=/" in cookie
            and PASSWORD.get_secret_value() not in cookie
        )
        assert await status_of(http, f"{url}/rooms.json") == 200
        old = {"Cookie": cookie.partition(";")[0]}
        async with http.post(f"{url}/logout", headers={"Origin": url}, allow_redirects=False) as response:
            assert response.status == 303
        async with aiohttp.ClientSession() as thief:
            assert await status_of(thief, f"{url}/rooms.json", **old) == 401, "the cookie alone must not do"


async def test_a_stream_ends_with_the_session(server: RedisServer, http: aiohttp.ClientSession) -> None:
    async with server.client() as redis, dashboard(server, password=PASSWORD) as url:
        await redis.flushall()  # of other tests' classes
        await log_in(http, url)
        async with http.get(f"{url}/rooms/maths/live") as stream:
            assert (await stream.content.readline()).startswith(b"retry")
            async with http.post(f"{url}/logout", headers={"Origin": url}, allow_redirects=False):
                pass
            await Lesson(redis, "maths").begin("ada")
            rest = await stream.content.read()
        assert b'"ada"' not in rest


async def test_guessing_is_slowed_down(server: RedisServer, http: aiohttp.ClientSession) -> None:
    async with dashboard(server, password=PASSWORD) as url:
        for _ in range(5):
            assert (await log_in(http, url, "guess guess")).status == 403
        refused = await log_in(http, url)
        assert refused.status == 429 and 0 < int(refused.headers["Retry-After"]) <= 60


async def guess(http: aiohttp.ClientSession, url: str, forwarded_for: str) -> int:
    headers = {"Origin": url, "X-Forwarded-For": forwarded_for}
    async with http.post(f"{url}/login", data={"password": "guess guess"}, headers=headers) as response:
        return response.status


async def test_behind_a_trusted_proxy_only_who_guesses_is_slowed_down(server: RedisServer, http: aiohttp.ClientSession) -> None:
    proxies = (IPv4Network("127.0.0.1/32"), IPv4Network("10.0.0.0/8"))
    async with dashboard(server, password=PASSWORD, trusted_proxies=proxies) as url:
        for number in range(5):
            assert await guess(http, url, f"192.0.2.{number}, 198.51.100.1, 10.0.0.{number}") == 403
        assert await guess(http, url, "198.51.100.1") == 429, "what stands before it, the client has made up"
        assert await guess(http, url, "198.51.100.2") == 403
        for number in range(5):
            assert await guess(http, url, f"nobody {number}") == 403
        assert await guess(http, url, "nobody") == 429, "it is the proxy's own try then"


async def test_a_proxy_that_nobody_trusts_cannot_make_up_addresses(server: RedisServer, http: aiohttp.ClientSession) -> None:
    async with dashboard(server, password=PASSWORD) as url:
        assert [await guess(http, url, f"192.0.2.{number}") for number in range(6)] == [403] * 5 + [429]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"password=\xff"),
        ("application/x-www-form-urlencoded; charset=none", b"password=x"),
        ("multipart/form-data; boundary=x", b"password=x"),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused_in_one_line(
    server: RedisServer, http: aiohttp.ClientSession, kind: str, body: bytes
) -> None:
    async with (
        dashboard(server, password=PASSWORD) as url,
        http.post(f"{url}/login", data=body, headers={"Origin": url, "Content-Type": kind}) as response,
    ):
        assert (response.status, await response.text()) == (400, "the form cannot be read")


async def test_over_tls_the_cookie_travels_only_over_tls(server: RedisServer, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    files = {"tls_certificate": tmp_path / "certificate.pem", "tls_key": tmp_path / "key.pem"}
    async with (
        dashboard(server, password=PASSWORD, **files) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http,
    ):
        assert url.startswith("https://")
        cookie = (await log_in(http, url)).headers["Set-Cookie"]
        assert cookie.startswith("__Host-") and "Secure" in cookie


def test_sessions_end_by_age_and_by_number() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    first = sessions.open()
    assert sessions.is_open(first) and not sessions.is_open("") and not sessions.is_open("\ud800")
    clock.pass_seconds(SESSION_SECONDS + 1)
    assert not sessions.is_open(first)
    oldest = sessions.open()
    for _ in range(MOST_SESSIONS):
        newest = sessions.open()
    assert not sessions.is_open(oldest) and sessions.is_open(newest)


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "/rooms/\\x", "/login", "", "/rooms/a\nb"]
)
def test_a_login_leads_only_to_our_own_pages(path: str) -> None:
    assert own_path(path) == "/"


# what another site's page may try


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {},
        {"Origin": "SAME", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "SAME", "Sec-Fetch-Site": "same-site"},
    ],
)
async def test_no_other_site_can_mark_or_log_in_or_out(
    server: RedisServer, redis: Redis, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    async with dashboard(server) as url:
        named = {name: value.replace("SAME", url) for name, value in headers.items()}
        for path in ("/rooms/maths/markers", "/login", "/logout"):
            async with http.post(url + path, json={"label": "exercise"}, headers=named) as response:
                assert response.status == 403, path
        assert await markers(redis, Keys("classmood", "maths")) == []


# marks and links


async def test_a_mark_is_made_and_a_bad_one_is_refused_in_one_line(
    server: RedisServer, redis: Redis, http: aiohttp.ClientSession
) -> None:
    async with dashboard(server) as url:
        own = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
        target = f"{url}/rooms/maths%20%7B7b%7D%2F2/markers"
        async with http.post(target, json={"label": "exercise"}, headers=own) as response:
            assert response.status == 201
        [made] = await markers(redis, Keys("classmood", "maths {7b}/2"))
        assert made.label == "exercise"
        for body, status in [
            ({"label": ""}, 422),
            ({"label": "x" * 61}, 422),
            ({"label": 3}, 400),
            ({"label": "x", "id": "x"}, 400),
            ({"label": "x", "at_ms": "now"}, 400),
            ([], 400),
            ({}, 400),
        ]:
            async with http.post(target, json=body, headers=own) as response:
                assert response.status == status and "\n" not in await response.text(), body
        for data, kind, status in [
            (b"{", "application/json", 400),
            (b"label=x", "text/plain", 415),
            (b"x" * 5000, "application/json", 413),
        ]:
            async with http.post(target, data=data, headers={**own, "Content-Type": kind}) as response:
                assert response.status == status, kind
        assert len(await markers(redis, Keys("classmood", "maths {7b}/2"))) == 1


async def press(http: aiohttp.ClientSession, url: str, press_id: str, at_ms: int) -> int:
    """Send a press, and return the time of its mark."""
    body = {"label": "exercise", "id": press_id, "at_ms": at_ms}
    async with http.post(f"{url}/rooms/maths/markers", json=body, headers={"Origin": url}) as response:
        assert response.status == 201
        return int((await response.json())["at_ms"])


async def test_a_press_is_marked_once_however_often_it_arrives(
    server: RedisServer, redis: Redis, http: aiohttp.ClientSession
) -> None:
    first, second, pressed_ms = "1" * 32, "2" * 32, now_ms() - 15_000
    async with dashboard(server) as url:
        assert await asyncio.gather(*(press(http, url, first, pressed_ms) for _ in range(5))) == [pressed_ms] * 5
    async with dashboard(server) as url:
        assert await press(http, url, first, pressed_ms) == pressed_ms, "one that was restarted knows it too"
        await press(http, url, second, pressed_ms + 1)
    assert [each.id for each in await markers(redis, Keys("classmood", "maths"))] == [first, second]


@pytest.mark.parametrize("off_seconds", [-600, 0, 600])
async def test_a_mark_stands_where_it_was_pressed_by_the_clock_of_the_bot(
    server: RedisServer, redis: Redis, http: aiohttp.ClientSession, off_seconds: int
) -> None:
    lesson = Lesson(redis, "maths", clock=lambda: now_ms() + off_seconds * 1000)
    await lesson.begin("ada")
    pressed_ms = lesson.clock() - 30_000
    async with dashboard(server) as url:
        assert await press(http, url, "1" * 32, pressed_ms) == pressed_ms
        for number, wrong_ms in enumerate([0, -1, lesson.clock() - 100_000, lesson.clock() + 60_000, 10**18]):
            assert abs(await press(http, url, f"{number:032}", wrong_ms) - lesson.clock()) < 5_000, "taken for one of now"


async def test_a_read_only_link_shows_one_room_and_nothing_else(
    server: RedisServer, redis: Redis, http: aiohttp.ClientSession
) -> None:
    await Lesson(redis, "maths").begin("ada")
    async with dashboard(server, password=PASSWORD) as url:
        await log_in(http, url)
        async with http.get(f"{url}/rooms/maths/link") as response:
            path = (await response.json())["path"]
        async with aiohttp.ClientSession() as guest:
            assert await status_of(guest, url + path) == 200
            view = await first_view(guest, f"{url}{path}/live")
            assert view["about"] == {"room": "maths", "marks": None, "password": False}
            for forbidden in (path.replace("maths", "physics"), path[:-1] + ("A" if path[-1] != "A" else "B"), "/look/maths/x"):
                assert await status_of(guest, url + forbidden) == 404
                assert await status_of(guest, f"{url}{forbidden}/live") == 404
            async with guest.post(f"{url}{path}/markers", json={"label": "x"}, headers={"Origin": url}) as response:
                assert response.status == 401
            assert await status_of(guest, f"{url}/rooms/maths") == 401


async def test_however_often_a_link_is_opened_there_is_room_for_the_teacher(
    server: RedisServer, redis: Redis, http: aiohttp.ClientSession
) -> None:
    await Lesson(redis, "maths").begin("ada")
    async with dashboard(server, password=PASSWORD) as url, AsyncExitStack() as guests:
        await log_in(http, url)
        async with http.get(f"{url}/rooms/maths/link") as response:
            path = (await response.json())["path"]
        guest = await guests.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        opened = [await guests.enter_async_context(guest.get(f"{url}{path}/live")) for _ in range(MOST_WATCHERS)]
        assert Counter(each.status for each in opened) == {200: MOST_WATCHERS - FOR_TEACHERS, 503: FOR_TEACHERS}
        assert (await first_view(http, f"{url}/rooms/maths/live"))["about"]["marks"]


def test_links_hold_as_long_as_their_secret() -> None:
    kept = DashboardOptions(link_secret=SecretStr("kept"))
    assert Secrets(kept).link_token("maths") == Secrets(kept).link_token("maths")
    assert Secrets(DashboardOptions()).link_token("maths") != Secrets(DashboardOptions()).link_token("maths")
    assert not Secrets(DashboardOptions(link_secret=SecretStr("other"))).is_link("maths", Secrets(kept).link_token("maths"))


def test_nothing_prints_a_secret() -> None:
    assert "sesame" not in repr(DashboardOptions(password=PASSWORD, link_secret=PASSWORD))


# errors


async def test_a_room_name_that_no_key_can_be_made_of_is_not_found(server: RedisServer, http: aiohttp.ClientSession) -> None:
    async with dashboard(server) as url:
        assert await status_of(http, f"{url}/rooms/{'x' * 300}") == 404
        assert await status_of(http, f"{url}/rooms/{'x' * 300}/live") == 404


async def test_without_redis_the_list_of_rooms_says_so(http: aiohttp.ClientSession) -> None:
    nowhere = RedisServer("redis-server", Path(), "--port", "0")
    nowhere.port = free_port()
    async with dashboard(nowhere) as url, http.get(f"{url}/rooms.json") as response:
        assert response.status == 503 and (await response.text()).startswith("Redis is away: ")
