"""Connections that end at the very moment they are established leave nothing running."""

import asyncio

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from bot.clips import Clip, encode
from bot.peers import close_peer
from bot.rooms.local import host
from bot.settings import read_settings
from bot.students import students


@pytest.fixture(scope="module")
def grey() -> Clip:
    return encode(np.full((90, 160, 3), level, np.uint8) for level in range(50, 80))


async def come_and_go(grey: Clip, stay_seconds: float) -> None:
    async with host("algebra", read_settings(port=0)) as room:
        try:
            async with asyncio.timeout(stay_seconds), students(room.whip_url, 2, [grey], read_settings()):
                await asyncio.sleep(60)
        except TimeoutError:
            return


@pytest.mark.parametrize("stay_seconds", [0.04, 0.06, 0.08, 0.1, 0.12])
async def test_students_who_leave_while_they_connect_leave_no_task_behind(grey: Clip, stay_seconds: float) -> None:
    before = asyncio.all_tasks()
    async with asyncio.timeout(10):
        await come_and_go(grey, stay_seconds)
    assert asyncio.all_tasks() == before


class Stuck(RTCPeerConnection):
    """A connection that never closes, as happens in aiortc when a receiver's report failed."""

    async def close(self) -> None:
        await asyncio.Event().wait()


async def test_a_connection_that_does_not_close_is_cut() -> None:
    peer = Stuck(RTCConfiguration(iceServers=[]))
    ice = peer.addTransceiver("video").receiver.transport.transport
    await peer.setLocalDescription(await peer.createOffer())
    async with asyncio.timeout(5):
        await close_peer(peer, close_seconds=0.05)
    assert ice.state == "closed"
