"""The Janus that other tests rely on: it starts, has the room, refuses what it should, and comes back."""

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.janus_client import JanusClient, JanusSaidNo, add_tokens, janus_client, server_info
from tests.janus_servers import needs_janus, running_janus, stopped_janus
from tests.test_whip import write_certificate

pytestmark = needs_janus


async def test_it_answers_has_its_room_and_comes_back_after_a_kill() -> None:
    with running_janus() as server:
        for _ in range(2):
            info = await server_info(server)
            assert info["name"] == "Janus WebRTC Server" and info["version"] >= 1000
            async with janus_client(server) as client:
                rooms = (await client.room("list"))["list"]
                assert [(room["room"], room["max_publishers"], room["fir_freq"]) for room in rooms] == [(4711, 100, 0)]
                assert await client.participants() == {}
            server.restart()
        server.kill()
        with pytest.raises(aiohttp.ClientConnectionError):
            await server_info(server)


async def test_its_room_asks_for_the_pin_and_the_server_for_its_secret() -> None:
    with running_janus(room="class-4b", pin="1234", api_secret="hush") as server:
        async with janus_client(server) as client:
            with pytest.raises(JanusSaidNo, match="433"):
                await client.room("join", ptype="publisher", pin="4321")
            joined = await client.room("join", ptype="publisher", pin="1234", display="Ada")
            assert joined["room"] == "class-4b" and isinstance(joined["id"], str)
            assert (await client.participants())["Ada"]["publisher"] is False
        server.options = replace(server.options, api_secret="guessed")
        with pytest.raises(JanusSaidNo, match="403"):
            async with janus_client(server):
                pass


async def test_a_token_is_needed_where_the_server_knows_some() -> None:
    with running_janus(tokens=("sesame",)) as server:
        with pytest.raises(JanusSaidNo, match="403"):
            async with janus_client(server):
                pass
        await add_tokens(server)
        async with janus_client(server) as client:
            assert await client.participants() == {}


async def test_the_owner_kicks_destroys_and_makes_the_room_again() -> None:
    with running_janus() as server:
        async with janus_client(server) as owner, janus_client(server) as ada, janus_client(server) as grace:
            for student, name in ((ada, "Ada"), (grace, "Grace")):
                await student.room("join", ptype="publisher", display=name)
            await owner.kick("Ada")
            assert list(await owner.participants()) == ["Grace"]
            await owner.destroy()
            with pytest.raises(JanusSaidNo, match="426"):
                await owner.participants()
            await owner.create(description="the next hour")
            assert await owner.participants() == {}
            # the events that came meanwhile are read before the answer to a request
            for student in (ada, grace):
                await student.room("list")
    assert any(data.get("reason") == "kicked" for data in told(ada)), told(ada)
    assert any(data["videoroom"] == "destroyed" for data in told(grace)), told(grace)


def told(client: JanusClient) -> list[dict[str, Any]]:
    """What the room said of its own accord."""
    return [event["plugindata"]["data"] for event in client.events if "plugindata" in event]


async def test_it_speaks_tls_and_http_where_asked(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with running_janus(certificate=(certificate, key), http=True) as server, stopped_janus() as other:
        assert other.port != server.port
        trusting = ssl.create_default_context(cafile=certificate)
        async with aiohttp.ClientSession() as http:
            url = f"wss://127.0.0.1:{server.tls_port}"
            async with http.ws_connect(url, protocols=["janus-protocol"], ssl=trusting) as socket:
                assert socket.protocol == "janus-protocol"
            async with http.get(f"http://127.0.0.1:{server.http_port}/janus/info") as response:
                assert (await response.json())["janus"] == "server_info"


async def test_a_stall_leaves_connections_open_and_answers_come_afterwards() -> None:
    with running_janus() as server:
        async with janus_client(server) as client:
            server.stall()
            question = asyncio.create_task(client.participants())
            done, _ = await asyncio.wait([question], timeout=0.2)
            assert not done
            server.go_on()
            assert await question == {}
