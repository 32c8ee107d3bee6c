"""What aiortc's peer connections need beyond their own methods."""

import asyncio

from aiortc import RTCPeerConnection

from bot.rooms.waiting import in_time

SETTLE_SECONDS = 1.0
"""Longest time for which an end waits for a connection that is just coming about."""

ICE_PACE_SECONDS = 0.02
"""How often aioice looks up from its connectivity checks, and so notices that they are to end."""


async def close_peer(peer: RTCPeerConnection, settle_seconds: float = SETTLE_SECONDS) -> None:
    """Close a connection whatever its state; one that is just coming about may come about first, for that long."""
    if _connecting(peer):
        # closed in the very moment in which it comes about, it would leave a task of aioice behind for ever
        await _settled(peer, settle_seconds)
    connecting = _connecting(peer)
    await peer.close()
    if connecting:
        await asyncio.sleep(2 * ICE_PACE_SECONDS)


async def _settled(peer: RTCPeerConnection, seconds: float) -> None:
    changed = asyncio.Event()
    peer.on("connectionstatechange", changed.set)
    try:
        await in_time(changed, seconds)
    finally:
        peer.remove_listener("connectionstatechange", changed.set)


def _connecting(peer: RTCPeerConnection) -> bool:
    return peer.connectionState == "connecting"
