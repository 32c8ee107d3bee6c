"""A process that only receives and decodes a room of replayed students: in aiortc's own way, or in ours.

    python -m bot.bench.receive janus://127.0.0.1:PORT/ROOM --way ours --seconds 20

It prints one JSON object: frames, seconds, and the CPU seconds of the process according to the operating system.
"""

import argparse
import asyncio
import json
import resource
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from bot.peers import close_peer
from bot.receiver import rebind, retire, take_short_cuts
from bot.rooms.datagrams import sockets_of, widen
from bot.rooms.janus import enter, janus_access, join_request
from bot.rooms.janus_api import JanusHandle, janus_session
from bot.rooms.janus_messages import VIDEO_ROOM, Publisher
from bot.settings import read_settings
from bot.tasks import background
from bot.tracks import Looks, watch
from pipeline.clock import now_ms

Way = Literal["stock", "ours"]
LOOKS_EVERY_MS = 500
SETTLE_SECONDS, FIRST_FRAMES_SECONDS = 3.0, 60.0


async def receive(url: str, way: Way, seconds: float) -> dict[str, float]:
    """Receive everybody for `seconds`, counted once each has sent a frame; returns `frames`, `seconds` and `cpu_seconds`."""
    frames: Counter[str] = Counter()
    settings = read_settings()
    access, name = janus_access(url, settings)
    async with janus_session(access) as session:
        handle = await session.attach(VIDEO_ROOM, asyncio.Event().set)
        room, joined = await enter(handle, name, join_request("publisher", settings))
        subscriber = await session.attach(VIDEO_ROOM, asyncio.Event().set)
        async with _subscribed(subscriber, room, joined.publishers, way) as peer, background(*_watching(peer, frames)):
            async with asyncio.timeout(FIRST_FRAMES_SECONDS):
                while len(frames) < len(joined.publishers):
                    await asyncio.sleep(0.1)
            await asyncio.sleep(SETTLE_SECONDS)
            return await _measured(frames, seconds)


async def _measured(frames: Counter[str], seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    before, started, cpu_before = frames.total(), loop.time(), _cpu_seconds()
    await asyncio.sleep(seconds)
    return {
        "frames": frames.total() - before,
        "seconds": loop.time() - started,
        "cpu_seconds": _cpu_seconds() - cpu_before,
    }


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@asynccontextmanager
async def _subscribed(
    handle: JanusHandle, room: int | str, publishers: tuple[Publisher, ...], way: Way
) -> AsyncIterator[RTCPeerConnection]:
    """A connection that receives all publishers."""
    streams = [{"feed": int(each.id), "mid": each.streams[0].mid, "substream": 0, "temporal": 0} for each in publishers]
    offered = await handle.request({"request": "join", "ptype": "subscriber", "room": room, "streams": streams})
    assert offered.jsep is not None, "a subscriber is made an offer"
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        await peer.setRemoteDescription(RTCSessionDescription(offered.jsep.sdp, "offer"))
        mids = [transceiver.mid for transceiver in peer.getTransceivers()]
        changed = [rebind(peer, mid) for mid in mids if mid is not None] if way == "ours" else []
        await peer.setLocalDescription(await peer.createAnswer())
        if way == "ours":
            sockets = sockets_of(peer)
            for each in sockets:
                widen(each)
            take_short_cuts(peer, sockets)
        await handle.request({"request": "start"}, {"type": "answer", "sdp": peer.localDescription.sdp})
        for fresh, former in changed:
            await retire(fresh, former)
        yield peer
    finally:
        await close_peer(peer)


def _watching(peer: RTCPeerConnection, frames: Counter[str]) -> list[Any]:
    """A coroutine for each track that follows it and wants two looks a second, as the bot does."""
    return [_watch(each.receiver.track, each.mid or "", frames) for each in peer.getTransceivers()]


async def _watch(track: Any, mid: str, frames: Counter[str]) -> None:
    looks = Looks(LOOKS_EVERY_MS)

    def arrived(at_ms: int) -> bool:
        frames[mid] += 1
        return looks.due(at_ms)

    await watch(track, arrived, lambda picture, at_ms: None, now_ms)


def main() -> None:
    """Receive as the command line says, and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--way", choices=("stock", "ours"), required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=None if given.way == "stock" else _quick_loop) as runner:
        result = runner.run(receive(given.url, given.way, given.seconds))
    sys.stdout.write(json.dumps(result) + "\n")


def _quick_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


if __name__ == "__main__":
    main()
