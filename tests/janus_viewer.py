"""Watches one student of a Janus room: receives what the server sends of them, without any of the bot's code."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import VideoFrame

from tests.janus_client import janus_client
from tests.janus_servers import JanusServer

CONNECT_SECONDS = 10


class Viewer:
    """A student's newest frame, and how many there have been."""

    def __init__(self) -> None:
        self.frames = 0
        self.newest: VideoFrame | None = None

    async def read(self, track: MediaStreamTrack) -> None:
        """Take in frames as long as they come."""
        while True:
            frame = await track.recv()
            assert isinstance(frame, VideoFrame)
            self.newest = frame
            self.frames += 1

    async def next_frame(self) -> VideoFrame:
        """The next frame to come."""
        seen = self.frames
        async with asyncio.timeout(CONNECT_SECONDS):
            while self.frames == seen or self.newest is None:
                await asyncio.sleep(0.01)
        return self.newest


@asynccontextmanager
async def viewer(server: JanusServer, feed: int | str, **stream: Any) -> AsyncIterator[Viewer]:
    """Watch a student's first video line while the block runs; `stream` may ask for a `mid`, `substream` or `temporal`."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    watching = Viewer()
    tasks: list[asyncio.Task[None]] = []

    @peer.on("track")
    def came(track: MediaStreamTrack) -> None:
        tasks.append(asyncio.create_task(watching.read(track)))

    try:
        async with janus_client(server) as client:
            streams = [{"feed": feed, "mid": "0", **stream}]
            join: dict[str, Any] = {"ptype": "subscriber", "pin": server.options.pin, "streams": streams}
            offer = (await client.negotiate("join", **join))["jsep"]
            await peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
            await peer.setLocalDescription(await peer.createAnswer())
            await client.negotiate("start", {"type": "answer", "sdp": peer.localDescription.sdp})
            yield watching
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await peer.close()
