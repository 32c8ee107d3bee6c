"""Who may ask the local room for what, over real sockets: names, origins, tokens, floods, and the headers of every answer."""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.errors import SettingsWrong
from bot.rooms.allowance import Allowance
from bot.rooms.guard import MOST_NETWORKS, OfferRates
from bot.rooms.local import LocalRoom, host
from bot.settings import Settings, read_settings
from tests.raw_http import exchange
from tests.webrtc import OFFER, camera_offer, publisher

PROTECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
TOKEN = "a-token-that-nobody-guesses"


def chosen(**settings: object) -> Settings:
    return read_settings(**{"port": 0, **settings})


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def room() -> AsyncIterator[LocalRoom]:
    async with host("maths", chosen()) as hosted:
        yield hosted


async def post(http: aiohttp.ClientSession, room: LocalRoom, offer: str, **headers: str) -> tuple[int, str]:
    """The status of the answer to an offer, and when to try again."""
    async with http.post(room.whip_url, data=offer, headers={**OFFER, **headers}) as response:
        return response.status, response.headers.get("Retry-After", "")


# a closed door


async def test_a_room_beyond_this_machine_needs_a_token_or_a_word() -> None:
    with pytest.raises(SettingsWrong, match="CLASSMOOD_ROOM_TOKEN, or CLASSMOOD_OPEN_ROOM=true"):
        async with host("maths", chosen(host="0.0.0.0")):
            pass
    for said in ({"room_token": TOKEN}, {"open_room": True}):
        async with host("maths", chosen(host="0.0.0.0", **said)) as room:
            assert room.url


async def test_a_token_is_needed_in_any_spelling_of_its_scheme(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(room_token=TOKEN)) as room:
        for wrong in (TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer", f"Bearer {TOKEN} x"):
            assert (await post(http, room, "", Authorization=wrong))[0] == 401
        for right in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "):
            assert (await post(http, room, "", Authorization=right))[0] == 400


async def test_a_token_is_in_no_log_not_even_of_a_malformed_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with host("maths", chosen(room_token=TOKEN)) as room:
        for broken in ("POST /whip/maths HTTP/1.1\r\nAuthorization: Bearer {}\x00\r\n\r\n", "Bearer {}\r\n\r\n"):
            answer = await exchange(room, broken.format(TOKEN))
            assert answer.startswith(("HTTP/1.0 400", "HTTP/1.1 400"))
            assert TOKEN not in answer
            assert "X-Content-Type-Options: nosniff" in answer
    assert TOKEN not in caplog.text


async def test_no_log_holds_a_name_an_address_or_what_opens_a_session(
    http: aiohttp.ClientSession, room: LocalRoom, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with publisher(http, f"{room.whip_url}?name=Ada") as published:
        secret = published.session_url.rpartition("/")[2]
        async with http.delete(published.session_url) as response:
            assert response.status == 200
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("bot", "aiohttp")))
    assert "joined" in said
    assert not [each for each in ("Ada", secret, "127.0.0.1", "POST") if each in said]


async def test_guessing_a_token_is_slowed_down_wherever_it_is_asked_for(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(room_token=TOKEN, max_participants=2)) as room:
        places = [("POST", ""), ("PATCH", "/x"), ("DELETE", "/x")]
        statuses = []
        for number in range(130):
            method, path = places[number % len(places)]
            async with http.request(method, room.whip_url + path, headers={"Authorization": f"Bearer {number}"}) as response:
                statuses.append(response.status)
        assert statuses[:50] == [401] * 50
        assert statuses[-1] == 429
        # the right token is no exception: otherwise guessing could go on
        assert (await post(http, room, "", Authorization=f"Bearer {TOKEN}"))[0] == 429
        async with http.get(f"{room.url}/configuration.json", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
            assert response.status == 429
        async with http.get(room.url) as response:
            assert response.status == 200
        assert room.refusals["rate"] >= 3


# floods


async def test_a_class_of_fifty_behind_one_address_comes_in_at_once(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    offer = await camera_offer()
    answers = await asyncio.gather(*(post(http, room, offer) for _ in range(50)))
    assert [status for status, _ in answers] == [201] * 50


async def test_a_flood_of_offers_is_told_when_to_come_again_and_those_inside_may_leave(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(max_participants=2)) as room, publisher(http, room.whip_url) as published:
        answers = [await post(http, room, "no SDP") for _ in range(110)]
        assert [status for status, _ in answers[:90]] == [400] * 90
        status, retry_after = answers[-1]
        assert (status, retry_after) == (429, "1")
        async with http.delete(published.session_url) as response:
            assert response.status == 200
        assert room.refusals["rate"] > 0


@pytest.mark.slow
async def test_who_never_connects_leaves_places_for_others(http: aiohttp.ClientSession) -> None:
    settings = chosen(max_connecting=6, trusted_proxies="127.0.0.1")
    offer = await camera_offer()
    async with host("maths", settings, connect_seconds=4.0) as room:
        theirs = [await post(http, room, offer, **{"X-Forwarded-For": "192.0.2.77"}) for _ in range(5)]
        assert theirs == [(201, "")] * 4 + [(429, "5")]
        others = [await post(http, room, offer, **{"X-Forwarded-For": f"192.0.2.{i}"}) for i in range(3)]
        assert others == [(201, "")] * 2 + [(503, "5")]
        async with asyncio.timeout(30):
            while (await post(http, room, offer))[0] != 201:
                await asyncio.sleep(0.1)


def test_an_allowance_is_an_amount_at_once_and_so_much_a_second_after_that() -> None:
    allowance = Allowance(per_second=2, burst=3, now=0)
    assert [allowance.spend(0) for _ in range(4)] == [True, True, True, False]
    assert allowance.wait_seconds(0) == 0.5
    assert [allowance.spend(0.5) for _ in range(2)] == [True, False]
    assert [allowance.spend(100) for _ in range(4)] == [True, True, True, False]


def test_networks_have_allowances_of_their_own_and_share_one() -> None:
    rates = OfferRates(chosen(offers_per_minute=60, max_participants=200), clock=lambda: 0.0)
    for _ in range(200):
        rates.spend("192.0.2.1")
    assert rates.wait_seconds("192.0.2.1") == 1.0
    assert rates.wait_seconds("192.0.2.2") == 0.0
    for number in range(MOST_NETWORKS + 50):
        rates.spend(str(number), of_all=False)
    assert rates.wait_seconds("192.0.2.2") == 0.0
    for number in range(MOST_NETWORKS + 50):
        rates.spend(str(number))
    assert len(rates) == MOST_NETWORKS
    assert 0 < rates.wait_seconds("192.0.2.2") < 1.0


@pytest.mark.slow
async def test_those_without_the_token_cannot_use_up_what_those_with_it_need(http: aiohttp.ClientSession) -> None:
    settings = chosen(room_token=TOKEN, trusted_proxies="127.0.0.1", offers_per_minute=1, max_participants=2)
    async with host("maths", settings) as room:
        for network in range(11):
            for _ in range(100):
                assert (await post(http, room, "", **{"X-Forwarded-For": f"192.0.2.{network}"}))[0] == 401
        newcomer = {"X-Forwarded-For": "192.0.2.99", "Authorization": f"Bearer {TOKEN}"}
        assert await post(http, room, await camera_offer(), **newcomer) == (201, "")


# names and origins


@pytest.mark.parametrize("name", ["127.0.0.1:80", "localhost", "LOCALHOST:8080", "demo.localhost", "[::1]:8080", "192.0.2.9"])
async def test_names_that_lead_nowhere_else_are_served(room: LocalRoom, name: str) -> None:
    assert " 200 " in (await exchange(room, f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")).splitlines()[0]


@pytest.mark.parametrize(
    "header", ["Host: evil.example", "Host: evil.example:8080", "Host: localhost.evil.example", "Host: [", "X: y"]
)
async def test_a_name_that_a_stranger_leads_here_is_not_served(room: LocalRoom, header: str) -> None:
    answer = await exchange(room, f"GET /configuration.json HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n")
    assert " 421 " in answer.splitlines()[0] or " 400 " in answer.splitlines()[0]
    assert "ice_servers" not in answer


async def test_a_name_can_be_given_to_the_room(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(public_names="class.example, b.example")) as room:
        for name, status in (("Class.example", 200), ("b.example:443", 200), ("c.example", 421)):
            async with http.get(room.url, headers={"Host": name}) as response:
                assert response.status == status
        # its page belongs there, even though a proxy calls the room by another name
        async with http.post(room.whip_url, headers={"Origin": "https://class.example"}) as response:
            assert response.status == 415


async def test_pages_of_strangers_may_not_use_a_room_that_their_reader_can_reach(
    http: aiohttp.ClientSession, room: LocalRoom
) -> None:
    offer = await camera_offer()
    for origin in ("https://evil.example", "null", f"{room.url}.evil.example", "http://10.0.0.7", "http://["):
        async with http.post(room.whip_url, data=offer, headers={**OFFER, "Origin": origin}) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers
        async with http.get(f"{room.url}/configuration.json", headers={"Origin": origin}) as response:
            assert response.status == 403
    assert await post(http, room, offer, Origin=room.url) == (201, "")


async def test_pages_of_this_machine_and_those_that_know_the_token_may(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    async def granted(url: str, origin: str) -> str | None:
        async with http.options(url, headers={"Origin": origin}) as response:
            return response.headers.get("Access-Control-Allow-Origin")

    for origin in ("http://localhost:5173", "http://127.0.0.1:1", "http://[::1]:8000"):
        assert await granted(room.whip_url, origin) == origin
    async with host("maths", chosen(room_token=TOKEN, allowed_origins="")) as locked:
        assert await granted(locked.whip_url, "https://school.example") == "https://school.example"
    async with host("maths", chosen(room_token=TOKEN, allowed_origins="https://school.example")) as locked:
        assert await granted(locked.whip_url, "https://other.example") is None


# answers


async def test_every_answer_protects_who_looks_at_it(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    asked = [
        ("GET", "/", 200),
        ("GET", "/page.js", 200),
        ("GET", "/configuration.json", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/whip/maths", 405),
        ("POST", "/whip/maths", 415),
        ("OPTIONS", "/whip/maths", 200),
        ("DELETE", "/whip/maths/x", 404),
        ("GET", "/whip/maths/x/mood", 404),
    ]
    for method, path, status in asked:
        async with http.request(method, room.url + path) as response:
            assert response.status == status
            assert {name: response.headers[name] for name in PROTECTED} == PROTECTED
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
            assert response.headers["Permissions-Policy"].startswith("camera=(self), microphone=()")
            assert response.headers["Server"] == "classmood"
            assert "Set-Cookie" not in response.headers


async def test_what_is_too_large_or_too_long_is_refused_before_it_is_read(room: LocalRoom) -> None:
    head = "POST /whip/maths HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nConnection: close\r\n"
    assert " 413 " in await exchange(room, f"{head}Content-Length: 99999999999\r\n\r\n")
    assert " 400 " in await exchange(room, f"{head}Content-Length: -1\r\n\r\n")
    assert " 400 " in await exchange(room, f"{head}X: {'y' * 20_000}\r\n\r\n")
    assert " 400 " in await exchange(room, head + "".join(f"X{i}: y\r\n" for i in range(500)) + "\r\n")
    assert " 400 " in await exchange(room, f"GET /{'a' * 20_000} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    endless = f"{head}Transfer-Encoding: chunked\r\n\r\n" + f"{4096:x}\r\n{'v' * 4096}\r\n" * 20
    assert " 413 " in await exchange(room, endless)
    bomb = f"{head}Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"
    assert " 400 " in await exchange(room, bomb)
