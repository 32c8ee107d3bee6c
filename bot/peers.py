"""Closing aiortc's peer connections reliably, whatever their state."""

import asyncio
import logging

from aiortc import RTCPeerConnection

from bot.receiver import DirectReceiver
from bot.rooms.waiting import in_time

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0
"""How long closing waits for a connection that is being established."""

ICE_PACE_SECONDS = 0.02
"""Time between aioice's connectivity checks, and so until it notices that they should end."""

CLOSE_SECONDS = 3.0
"""How long aiortc may take to close a connection; normally it takes some hundredths of a second."""


async def close_peer(
    peer: RTCPeerConnection, settle_seconds: float = SETTLE_SECONDS, close_seconds: float = CLOSE_SECONDS
) -> None:
    """Close a connection whatever its state; waits up to `settle_seconds` for one that is being established."""
    if _connecting(peer):
        # closed at the very moment in which it is established, it would leave a task of aioice behind forever
        await _settled(peer, settle_seconds)
    connecting = _connecting(peer)
    await _close_in_time(peer, close_seconds)
    if connecting:
        await asyncio.sleep(2 * ICE_PACE_SECONDS)


async def _close_in_time(peer: RTCPeerConnection, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await peer.close()
    except TimeoutError:
        # aiortc waits forever for a receiver's task that has failed, for instance at a report on more sources than one can hold;
        # it would close its sockets only after that, so they are closed here
        logger.warning("a connection did not close in %g s, and was cut", seconds)
        for dtls in {each.receiver.transport for each in peer.getTransceivers()}:
            await dtls.stop()
            await dtls.transport.stop()
        # aiortc stops receivers one after another, and each waits for its decoder's thread, which is busy with others too
        ours = [each.receiver for each in peer.getTransceivers() if isinstance(each.receiver, DirectReceiver)]
        await asyncio.gather(*(receiver.stop() for receiver in ours))


async def _settled(peer: RTCPeerConnection, seconds: float) -> None:
    changed = asyncio.Event()
    peer.on("connectionstatechange", changed.set)
    try:
        await in_time(changed, seconds)
    finally:
        peer.remove_listener("connectionstatechange", changed.set)


def _connecting(peer: RTCPeerConnection) -> bool:
    return peer.connectionState == "connecting"
