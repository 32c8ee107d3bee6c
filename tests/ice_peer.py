"""A peer that connects to the room but never starts the handshake: ICE without DTLS."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aioice import Candidate, Connection

from bot.rooms.local import LocalRoom
from tests.webrtc import OFFER, camera_offer


@asynccontextmanager
async def ice_peer(http: aiohttp.ClientSession, room: LocalRoom, offer: str = "") -> AsyncIterator[Connection]:
    """An ICE connection to the room while the block runs; passing an `offer` saves making one."""
    ice = Connection(ice_controlling=True, use_ipv6=False)
    await ice.gather_candidates()
    try:
        await _publish(http, room, ice, offer or await camera_offer())
        await ice.connect()
        yield ice
    finally:
        await ice.close()


async def _publish(http: aiohttp.ClientSession, room: LocalRoom, ice: Connection, offer: str) -> None:
    ours = re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", offer)
    ours = re.sub(r"a=ice-ufrag:.*\r\n", f"a=ice-ufrag:{ice.local_username}\r\n", ours)
    ours = re.sub(r"a=ice-pwd:.*\r\n", f"a=ice-pwd:{ice.local_password}\r\n", ours)
    ours += "".join(f"a=candidate:{each.to_sdp()}\r\n" for each in ice.local_candidates)
    async with http.post(room.whip_url, data=ours, headers=OFFER) as response:
        assert response.status == 201
        await _take(ice, await response.text())


async def _take(ice: Connection, answer: str) -> None:
    ice.remote_username = re.findall(r"a=ice-ufrag:(\S+)", answer)[0]
    ice.remote_password = re.findall(r"a=ice-pwd:(\S+)", answer)[0]
    for line in re.findall(r"a=candidate:(.*?)\r\n", answer):
        await ice.add_remote_candidate(Candidate.from_sdp(line))
    await ice.add_remote_candidate(None)
