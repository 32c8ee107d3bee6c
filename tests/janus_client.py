"""A Janus client for tests, independent of the bot's own: it looks at a room, and does what the room's owner may do."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.janus_servers import ADMIN_SECRET, JanusServer

ANSWER_SECONDS = 5
FINAL = {"success", "event", "error", "server_info", "pong"}


class JanusSaidNo(Exception):
    """An error from Janus or its VideoRoom; `code` is theirs."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


class JanusClient:
    """One session with one VideoRoom handle; made by `janus_client`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, server: JanusServer) -> None:
        self._socket = socket
        self._server = server
        self._numbers = itertools.count(1)
        self._ids: dict[str, int] = {}
        self.events: list[dict[str, Any]] = []
        """Every message that was not an answer to a request, in order."""

    async def ask(self, janus: str, **fields: Any) -> dict[str, Any]:
        """Send one request to the core, and return its answer, which may come after an `ack`; raises JanusSaidNo."""
        transaction = f"t{next(self._numbers)}"
        credentials = self._credentials()
        await self._socket.send_json({"janus": janus, "transaction": transaction, **credentials, **self._ids, **fields})
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                message: dict[str, Any] = await self._socket.receive_json()
                if message.get("transaction") == transaction and message["janus"] in FINAL:
                    return _accepted(message)
                if message["janus"] != "ack":
                    self.events.append(message)

    def _credentials(self) -> dict[str, str]:
        options = self._server.options
        token = {"token": options.tokens[0]} if options.tokens else {}
        return {"apisecret": options.api_secret, **token} if options.api_secret else token

    async def attach(self) -> None:
        """Create the session, and the handle that room requests go through."""
        self._ids["session_id"] = (await self.ask("create"))["data"]["id"]
        self._ids["handle_id"] = (await self.ask("attach", plugin="janus.plugin.videoroom"))["data"]["id"]

    async def room(self, request: str, **fields: Any) -> dict[str, Any]:
        """Send the VideoRoom a request about the test's room, and return the answer's data; raises JanusSaidNo."""
        data: dict[str, Any] = (await self.negotiate(request, **fields))["plugindata"]["data"]
        return data

    async def negotiate(self, request: str, jsep: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        """The same with session descriptions: returns the whole message that answers, with a `jsep` if there is one."""
        body = {"request": request, "room": self._server.room, **fields}
        answer = await self.ask("message", body=body, **({"jsep": jsep} if jsep else {}))
        data = answer["plugindata"]["data"]
        if "error_code" in data:
            raise JanusSaidNo(data["error_code"], data["error"])
        return answer

    async def everybody(self) -> list[dict[str, Any]]:
        """Who is in the room: `id`, `display`, `publisher` and the rest of what Janus lists."""
        listed: list[dict[str, Any]] = (await self._owner("listparticipants"))["participants"]
        return listed

    async def participants(self) -> dict[str, dict[str, Any]]:
        """The same, by display name."""
        return {each.get("display", ""): each for each in await self.everybody()}

    async def publishers(self) -> dict[str, int | str]:
        """The feeds that are publishing now, by display name."""
        return {name: each["id"] for name, each in (await self.participants()).items() if each["publisher"]}

    async def kick(self, display: str) -> None:
        """Remove somebody from the room."""
        await self._owner("kick", id=(await self.participants())[display]["id"])

    async def destroy(self) -> None:
        """Close the room for everybody."""
        await self._owner("destroy")

    async def create(self, **settings: Any) -> None:
        """Create a room under the test's number again after it was destroyed."""
        await self._owner("create", **{"publishers": 100, "videocodec": "vp8,h264", "notify_joining": True, **settings})

    async def _owner(self, request: str, **fields: Any) -> dict[str, Any]:
        return await self.room(request, secret=self._server.options.room_secret, **fields)


def _accepted(message: dict[str, Any]) -> dict[str, Any]:
    if message["janus"] == "error":
        raise JanusSaidNo(message["error"]["code"], message["error"]["reason"])
    return message


@asynccontextmanager
async def janus_client(server: JanusServer) -> AsyncIterator[JanusClient]:
    """A client with a session and a handle, not yet in a room, while the block runs."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(server.url, protocols=["janus-protocol"]) as socket,
    ):
        client = JanusClient(socket, server)
        await client.attach()
        yield client


async def server_info(server: JanusServer) -> dict[str, Any]:
    """What the server says about itself."""
    async with aiohttp.ClientSession() as http, http.ws_connect(server.url, protocols=["janus-protocol"]) as socket:
        return await JanusClient(socket, server).ask("info")


async def add_tokens(server: JanusServer) -> None:
    """Give the server its tokens, which it does not read from a file; needed after each start."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(server.admin_url, protocols=["janus-admin-protocol"]) as socket,
    ):
        for token in server.options.tokens:
            request = {"janus": "add_token", "token": token, "transaction": token, "admin_secret": ADMIN_SECRET}
            await socket.send_json({**request, "plugins": ["janus.plugin.videoroom"]})
            _accepted(await socket.receive_json())
