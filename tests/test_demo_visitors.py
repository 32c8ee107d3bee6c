"""Until a basis is stated, a visitor of the demo is not read even if they say yes; its own students are."""

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from pipeline.coverage import Coverage
from pipeline.events import CoverageChanged, Event
from pipeline.follow import events_since
from pipeline.keys import Keys
from tests.commands import Running, started
from tests.redis_servers import SERVER, RedisServer, needs_redis, running_redis
from tests.webrtc import publisher

STATED = {"CLASSMOOD_JURISDICTION": "US", "CLASSMOOD_BASIS": "consent"}
NOT_STATED = dict.fromkeys(STATED, "")


async def coverage_of_all(server: RedisServer) -> dict[str | None, list[Coverage]]:
    """Each participant's successive values of coverage."""
    found: dict[str | None, list[Coverage]] = {}
    async with server.client() as redis:
        events: list[Event] = [event async for event in events_since(redis, Keys("classmood", "demo"))]
    for event in events:
        data = event.typed()
        if isinstance(data, CoverageChanged):
            found.setdefault(event.subject, []).append(data.after)
    return found


async def once_there_are(people: int, server: RedisServer) -> dict[str | None, list[Coverage]]:
    """The same, as soon as so many participants have one."""
    async with asyncio.timeout(30):
        while len(coverage := await coverage_of_all(server)) < people:
            await asyncio.sleep(0.1)
    return coverage


async def visit(demo: Running, server: RedisServer) -> list[Coverage]:
    """Join with a camera that shows no face, say yes, and stay until the bot has looked; returns the visitor's coverage."""
    whip_url = re.search(r"http://\S+/whip/demo", demo.err)
    assert whip_url, demo.err
    known = await once_there_are(2, server)
    async with aiohttp.ClientSession() as http, publisher(http, whip_url[0], consent="yes"):
        await once_there_are(3, server)
        await asyncio.sleep(1.5)  # three looks, if there are any
        coverage = await coverage_of_all(server)
    [visitor] = coverage.keys() - known.keys()
    return coverage[visitor]


@pytest.mark.slow
@needs_redis
@pytest.mark.parametrize(("stated", "expected"), [(NOT_STATED, Coverage.NOT_CONSENTED), (STATED, Coverage.NO_FACE)])
def test_a_visitor_is_read_only_where_a_basis_is_stated(tmp_path: Path, stated: dict[str, str], expected: Coverage) -> None:
    with running_redis(SERVER) as server:
        arguments = ("demo", "--students", "2", "--port", "0", "--redis-url", server.url)
        with started(tmp_path, *arguments, **stated) as demo:
            demo.until_it_says("students are in the room")
            assert ("only the simulated students" in demo.err) is (stated is NOT_STATED)
            visited = asyncio.run(visit(demo, server))
    assert visited and set(visited) == {expected}
