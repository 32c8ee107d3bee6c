"""What aiortc's peer connections need beyond their own methods."""

import asyncio
import logging

from aiortc import RTCPeerConnection

from bot.receiver import DirectReceiver
from bot.rooms.waiting import in_time

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0
"""Longest time for which an end waits for a connection that is just coming about."""

ICE_PACE_SECONDS = 0.02
"""How often aioice looks up from its connectivity checks, and so notices that they are to end."""

CLOSE_SECONDS = 3.0
"""Time that aiortc has to close a connection, which takes it some hundredths of a second."""


async def close_peer(
    peer: RTCPeerConnection, settle_seconds: float = SETTLE_SECONDS, close_seconds: float = CLOSE_SECONDS
) -> None:
    """Close a connection whatever its state; one that is just coming about may come about first, for that long."""
    if _connecting(peer):
        # closed in the very moment in which it comes about, it would leave a task of aioice behind for ever
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
        # it waits for ever for a task of a receiver that failed, for instance at a report on more sources than one holds;
        # its sockets are behind that, so they are closed from here
        logger.warning("a connection did not close in %g s, and was cut", seconds)
        for dtls in {each.receiver.transport for each in peer.getTransceivers()}:
            await dtls.stop()
            await dtls.transport.stop()
        # aiortc stops one receiver after the other, and each waits for its decoder's thread, which others keep busy too
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
