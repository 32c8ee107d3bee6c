"""Servers that are not Janus, or not the Janus that is needed: each is refused in one line."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from bot.errors import RoomRefused, SettingsWrong
from bot.rooms.janus import janus_access, join_janus
from bot.settings import read_settings
from tests.redis_servers import free_port

Answer = Callable[[dict[str, Any]], str]


@asynccontextmanager
async def speaking(answer: Answer, protocol: str = "janus-protocol") -> AsyncIterator[str]:
    """The room URL of a WebSocket server that answers every message so."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(protocol,))
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(answer(json.loads(message.data)))
        return socket

    application = web.Application()
    application.router.add_get("/", serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"janus://127.0.0.1:{runner.addresses[0][1]}/1234"
    finally:
        await runner.cleanup()


async def refusal(url: str) -> str:
    """The one line with which the bot refuses to join a room."""
    with pytest.raises(RoomRefused) as refused:
        async with asyncio.timeout(15), join_janus(url, read_settings()):
            pass
    assert "\n" not in str(refused.value)
    return str(refused.value).replace(url.removeprefix("janus://").removesuffix("/1234"), "HOST")


def echo(message: dict[str, Any]) -> str:
    return json.dumps(message)


def of_version(number: object) -> Answer:
    """A gateway of that version, which can answer only the question for its version."""

    def answer(message: dict[str, Any]) -> str:
        info = {"janus": "server_info", "version": number, "version_string": "0.9.1"}
        error = {"janus": "error", "error": {"code": 453, "reason": "Unknown request"}}
        return json.dumps((info if message["janus"] == "info" else error) | {"transaction": message["transaction"]})

    return answer


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (of_version(91), "HOST is Janus 0.9.1: 1.0 or later is needed"),
        (of_version(1102), "janus refuses (453): Unknown request"),
        (of_version("new"), "HOST is not a Janus gateway: its answer cannot be read"),
        (echo, "HOST is not a Janus gateway"),
        (lambda message: "hello", "HOST is not a Janus gateway: its answer cannot be read"),
        (lambda message: "[1, 2]", "HOST is not a Janus gateway: its answer cannot be read"),
    ],
)
async def test_a_server_that_is_another_one_is_told(answer: Answer, line: str) -> None:
    async with speaking(answer) as url:
        assert await refusal(url) == line


async def test_a_websocket_of_another_protocol_and_a_web_page_are_told() -> None:
    async with speaking(echo, protocol="chat") as url:
        assert await refusal(url) == "HOST is not a Janus WebSocket: it does not speak janus-protocol"
        settings = read_settings(janus_path="/nowhere")
        with pytest.raises(RoomRefused, match=r"is not a Janus WebSocket: it answered 404$"):
            async with join_janus(url, settings):
                pass


async def test_no_server_at_all_is_told() -> None:
    assert await refusal(f"janus://127.0.0.1:{free_port()}/1234") == "no server answers at HOST: Connection refused"


@pytest.mark.parametrize(
    "url",
    [
        "janus://",
        "janus://host",
        "janus://host/",
        "janus:///1",
        "janus://u:secret@host/1",
        "janus://host/1?pin=2",
        "janus://h:x/1",
    ],
)
def test_a_url_that_names_no_room_is_told_without_its_secrets(url: str) -> None:
    with pytest.raises(SettingsWrong) as wrong:
        janus_access(url, read_settings())
    assert "secret" not in str(wrong.value).replace("its secrets go into the settings", "")


def test_what_opens_a_room_is_in_no_text() -> None:
    settings = read_settings(janus_token="sesame", janus_api_secret="hush", janus_pin="1234")
    access, room = janus_access("janus://host/4%20b", settings)
    assert (access.url, room) == ("ws://host:8188/", "4 b")
    assert not {"sesame", "hush", "1234"} & set(repr(access).replace("'", " ").split())
    assert janus_access("januss://host/1", settings)[0].url == "wss://host:8989/"
    assert janus_access("janus://[::1]:9/1", settings)[0].url == "ws://[::1]:9/"
