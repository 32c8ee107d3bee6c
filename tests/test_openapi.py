"""docs/openapi.json names every route of the local room, and the room answers as it says, whatever it is asked."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.consent import consent_policy
from bot.rooms.guard import Guard
from bot.rooms.ice import peer_configuration
from bot.rooms.local import host, room_application
from bot.rooms.roster import Roster
from bot.settings import read_settings
from tests.webrtc import camera_offer, publisher

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "openapi.json"
METHODS = {"get", "put", "post", "patch", "delete", "options"}


def document() -> Any:
    return json.loads(DOCUMENT.read_text())


async def test_every_route_is_documented_and_nothing_else() -> None:
    documented = {(method.upper(), path) for path, item in document()["paths"].items() for method in item if method in METHODS}
    settings = read_settings()
    async with asyncio.TaskGroup() as tasks:
        roster = Roster(1, peer_configuration(settings), tasks, 1.0, 1)
        application = room_application("maths", roster, settings, consent_policy(settings), Guard(roster, settings))
    routes = application.router.routes()
    served = {(route.method, route.resource.canonical) for route in routes if route.resource is not None}
    assert {each for each in served if each[0] != "HEAD"} == documented


async def test_every_refusal_that_is_documented_is_described_once() -> None:
    responses = document()["components"]["responses"]
    used = {
        answer["$ref"].rpartition("/")[2]
        for item in document()["paths"].values()
        for method, operation in item.items()
        if method in METHODS
        for answer in operation["responses"].values()
        if "$ref" in answer
    }
    assert used == set(responses)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_whatever_is_asked_is_answered_as_documented(tmp_path: Path) -> None:
    settings = read_settings(port=0, room_token="sesame", offers_per_minute=100_000, max_connecting=2000, max_participants=2000)
    headers = {"Authorization": "Bearer sesame"}
    async with host("maths", settings, connect_seconds=1.0) as room, aiohttp.ClientSession(headers=headers) as http:
        listening = asyncio.create_task(until_closed(room))
        async with publisher(http, room.whip_url) as published:
            known = document()
            parameters = known["components"]["parameters"]
            parameters["room"]["schema"] = {"enum": ["maths", "physics", "a b", "%00"]}
            parameters["secret"]["schema"] = {"enum": [published.session_url.rpartition("/")[2], "x", "../x", "💧"]}
            offers = known["paths"]["/whip/{room}"]["post"]["requestBody"]["content"]["application/sdp"]
            offers["schema"] = {"anyOf": [{"const": await camera_offer()}, {"type": "string"}]}
            # the stream of moods never ends, so that a client would wait forever
            del known["paths"]["/whip/{room}/{secret}/mood"]
            (tmp_path / "openapi.json").write_text(json.dumps(known))
            code, said = await schemathesis(tmp_path, room.url)
        assert code == 0, said
    await listening


async def until_closed(room: Any) -> None:
    async for _ in room.happenings():
        pass


async def schemathesis(folder: Path, url: str) -> tuple[int, str]:
    """Exit code and report of Schemathesis for the document in that folder and the server at that URL."""
    command = [Path(sys.executable).with_name("st"), "--no-color", "run", "openapi.json", "--url", url]
    options = ["--header", "Authorization: Bearer sesame", "--checks", "all", "--max-examples", "15"]
    options += ["--mode", "all", "--request-timeout", "20", "--warnings", "off", "--generation-deterministic"]
    # a text to the document is SDP to the room, which refuses most of them; and OPTIONS, which a browser sends first,
    # is answered for any room and session
    options += ["--exclude-checks", "positive_data_acceptance,negative_data_rejection"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *options,
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.schemathesis_hooks", "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()
