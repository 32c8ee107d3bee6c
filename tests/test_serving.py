"""The local room's HTTP connections: how many there may be, and how long each may take to say something."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
import trustme
from aiohttp import web

from bot.rooms.local import LocalRoom, host
from bot.rooms.serving import Front, Patience, serving
from bot.settings import read_settings
from tests.raw_http import connected, port_of, until_cut
from tests.webrtc import publisher

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


@asynccontextmanager
async def served(tls: ssl.SSLContext | None = None, limit: int = 30, seconds: float = 1.0) -> AsyncIterator[tuple[Front, int]]:
    """Serve a page that says hello, and pages of any size that is asked for; yields the server and its port."""

    async def hello(request: web.Request) -> web.Response:
        request.protocol.request_came()  # type: ignore[attr-defined]  # as the guard does
        return web.Response(text=f"hello {await request.text()}")

    async def long(request: web.Request) -> web.Response:
        request.protocol.request_came()  # type: ignore[attr-defined]
        return web.Response(body=bytes(int(request.match_info["size"])))

    application = web.Application()
    application.router.add_route("*", "/", hello)
    application.router.add_get("/{size}", long)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # connections inherit this, so that unread data waits in the transport rather than in the kernel
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        async with serving(application, listener, tls, limit=limit, patience=Patience(seconds, seconds)) as front:
            yield front, listener.getsockname()[1]


@pytest.fixture
async def room() -> AsyncIterator[LocalRoom]:
    async with host("maths", read_settings(port=0)) as hosted:
        yield hosted


async def until_nobody_is_left(front: Front) -> None:
    async with asyncio.timeout(20):
        while len(front):
            await asyncio.sleep(0.01)


async def test_who_says_nothing_or_a_header_now_and_then_is_cut() -> None:
    async with served() as (front, port), connected(port) as (silent, _), connected(port) as (slow, writer):
        writer.write(GET)
        for _ in range(8):
            writer.write(b"X: y\r\n")
            await asyncio.sleep(0.15)
        assert await until_cut(silent) == ""
        assert await until_cut(slow) == ""
        await until_nobody_is_left(front)


@pytest.mark.parametrize("size", [50_000, 1_000_000], ids=["less than a transport buffers", "more"])
async def test_who_does_not_read_an_answer_is_cut(size: int) -> None:
    async with served(seconds=0.5) as (front, port):
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", port))
            deaf.sendall(f"GET /{size} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            await asyncio.sleep(0.2)
            assert len(front) == 1
            await until_nobody_is_left(front)


async def test_who_says_a_whole_request_is_answered_and_may_say_another() -> None:
    async with served() as (front, port), connected(port) as (reader, writer):
        for _ in range(3):
            writer.write(GET + b"Content-Length: 2\r\n\r\nyo")
            assert b"200 OK" in await reader.readline()
            assert b"hello yo" in await reader.read(4096)
            await asyncio.sleep(0.2)
        assert len(front) == 1
        writer.close()
        await until_nobody_is_left(front)


async def test_a_tls_handshake_that_does_not_go_on_is_cut() -> None:
    authority = trustme.CA()
    tls, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(trusting)
    async with served(tls) as (front, port), connected(port) as (reader, writer), connected(port) as (plain, plain_writer):
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        plain_writer.write(GET + b"\r\n")
        assert "hello" not in await until_cut(plain)
        assert await until_cut(reader) == ""
        connector = aiohttp.TCPConnector(ssl=trusting)
        async with aiohttp.ClientSession(connector=connector) as http, http.get(f"https://127.0.0.1:{port}") as response:
            assert await response.text() == "hello "
        await until_nobody_is_left(front)


async def test_one_network_may_not_take_all_places_nor_everybody_more_than_there_are() -> None:
    async with served(limit=6, seconds=30) as (front, port), AsyncExitStack() as stack:
        theirs = [await stack.enter_async_context(connected(port)) for _ in range(6)]
        others = [await stack.enter_async_context(connected(port, "127.0.0.2")) for _ in range(4)]
        async with asyncio.timeout(20):
            while front.refused < 4:
                await asyncio.sleep(0.01)
        assert len(front) == 6
        for refused, _ in (*theirs[4:], *others[2:]):
            assert await until_cut(refused) == ""


async def test_a_body_that_does_not_come_in_time_is_given_up() -> None:
    async with (
        host("maths", read_settings(port=0), answer_seconds=0.2) as room,
        connected(port_of(room)) as (reader, writer),
    ):
        writer.write(
            b"POST /whip/maths HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 9\r\n\r\nv=0"
        )
        assert b" 408 " in await reader.readline()
        assert room.refusals["slow"] == 1


async def test_a_student_may_watch_their_mood_in_a_few_windows_and_not_in_a_hundred(room: LocalRoom) -> None:
    async with aiohttp.ClientSession() as http, publisher(http, room.whip_url) as published, AsyncExitStack() as streams:
        statuses = []
        for _ in range(5):
            stream = await streams.enter_async_context(http.get(f"{published.session_url}/mood"))
            statuses.append(stream.status)
        assert statuses == [200, 200, 200, 429, 429]
        await streams.aclose()
        async with asyncio.timeout(20):
            while True:
                async with http.get(f"{published.session_url}/mood") as stream:
                    if stream.status == 200:
                        break
                await asyncio.sleep(0.05)


async def test_a_room_closes_though_connections_are_open(room: LocalRoom) -> None:
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(20), host("physics", read_settings(port=0)) as other:
            reader, writer = await stack.enter_async_context(connected(port_of(other)))
            writer.write(GET)
            await asyncio.sleep(0.05)
        assert await until_cut(reader) == ""
