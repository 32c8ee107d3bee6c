"""Media that goes straight from the socket to its receiver, over real connections, and all else that reaches the socket."""

import asyncio
import gc
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from bot.peers import close_peer
from bot.receiver import LARGEST_BYTES, BoundReceiver, DirectReceiver, ShortCut, _short_cuts, rebind, retire, take_short_cuts
from bot.rooms.datagrams import sockets_of
from tests.fakes import picture

NOWHERE = RTCConfiguration(iceServers=[])
LEVELS = 20


class Steps(MediaStreamTrack):
    """A camera whose pictures are numbered by their brightness."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._sent = 0

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(1 / 30)
        frame = picture(160, 120, level=40 + 8 * (self._sent % LEVELS))
        frame.pts, frame.time_base = self._sent, Fraction(1, 30)
        self._sent += 1
        return frame


@dataclass
class Pair:
    """A peer that sends, and one that receives with our receiver."""

    sender: RTCPeerConnection
    peer: RTCPeerConnection
    receiver: BoundReceiver

    async def negotiate(self, *, short: bool) -> None:
        """Exchange offer and answer, with a fresh receiver, as a room does."""
        await self.sender.setLocalDescription(await self.sender.createOffer())
        await self.peer.setRemoteDescription(RTCSessionDescription(self.sender.localDescription.sdp, "offer"))
        self.receiver, former = rebind(self.peer, self.peer.getTransceivers()[0].mid or "")
        await self.peer.setLocalDescription(await self.peer.createAnswer())
        if short:
            take_short_cuts(self.peer, sockets_of(self.peer))
        await self.sender.setRemoteDescription(RTCSessionDescription(self.peer.localDescription.sdp, "answer"))
        assert await retire(self.receiver, former)

    async def numbers(self, count: int = 10) -> list[int]:
        """The numbers of consecutive pictures."""
        async with asyncio.timeout(10):
            seen = [await self.receiver.track.recv() for _ in range(count)]
        return [round((float(each.to_ndarray(format="gray").mean()) - 40) / 8) for each in seen]  # type: ignore[union-attr]

    def short_cuts(self) -> dict[int, DirectReceiver]:
        """The receivers that media reaches by the short cut, by source."""
        gc.collect()
        return dict(_short_cuts(self.receiver.transport))

    def throw(self, *datagrams: bytes) -> None:
        """Send datagrams to each of the receiver's sockets, as a stranger."""
        for each in sockets_of(self.peer):
            address = each.get_extra_info("sockname")
            with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for datagram in datagrams:
                    stranger.sendto(datagram, address)


@asynccontextmanager
async def connected(*, short: bool = True) -> AsyncIterator[Pair]:
    sender, peer = RTCPeerConnection(NOWHERE), RTCPeerConnection(NOWHERE)
    sender.addTransceiver(Steps(), direction="sendonly")
    pair = Pair(sender, peer, None)  # type: ignore[arg-type]  # comes with the first negotiation
    try:
        await pair.negotiate(short=short)
        yield pair
    finally:
        await close_peer(peer)
        await close_peer(sender)


def follow_each_other(numbers: list[int]) -> bool:
    return all((after - before) % LEVELS == 1 for before, after in pairwise(numbers))


@pytest.mark.parametrize("short", [True, False], ids=["short cut", "aiortc's way"])
async def test_every_picture_arrives_in_its_order(short: bool) -> None:
    async with connected(short=short) as pair:
        assert all(isinstance(each.get_protocol(), ShortCut) == short for each in sockets_of(pair.peer))
        assert follow_each_other(await pair.numbers(12))


def garbage(ssrc: int) -> list[bytes]:
    """What an attacker who knows the source may send: unsigned packets, too long, too short, and things that are not packets."""
    chance = random.Random(1)
    rtp = struct.pack("!BBHLL", 0x80, 97, 7, 9, ssrc)
    lengths = (0, 1, 20, 1000, LARGEST_BYTES - 12, LARGEST_BYTES - 11, 3000)
    signed_by_nobody = [start + chance.randbytes(length) for start in (rtp, rtp[:8] + b"else") for length in lengths]
    reports = [bytes([0x80, kind]) + chance.randbytes(length) for kind in range(192, 209) for length in (0, 5, 40)]
    stun = [
        struct.pack("!HHI12sHH", 1, 4 + length, 0x2112A442, bytes(12), attribute, length) + bytes(length)
        for attribute in (0x06, 0x08, 0x20, 0x24, 0x802A)
        for length in (0, 1, 3, 5)
    ]
    anything = [chance.randbytes(chance.randrange(1400)) for _ in range(200)]
    return [b"", b"\x80", *signed_by_nobody, *reports, *stun, *anything]


async def test_garbage_with_a_known_source_is_ignored_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as pair:
        await pair.numbers(3)
        (ssrc,) = pair.short_cuts()
        pair.throw(*garbage(ssrc))
        assert follow_each_other(await pair.numbers(15))
        assert pair.peer.connectionState == "connected"
        assert pair.receiver.foreign_packets == 0
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_an_m_line_that_changes_hands_leaves_nothing_of_the_former_receiver() -> None:
    async with connected() as pair:
        await pair.numbers(3)
        former = pair.receiver
        await pair.negotiate(short=True)
        assert set(pair.short_cuts().values()) == {pair.receiver} != {former}
        assert former.shut and former.track.readyState == "ended"
        assert follow_each_other(await pair.numbers())
        await pair.receiver.stop()
        assert pair.short_cuts() == {}
        assert pair.receiver not in pair.receiver.transport._rtp_router.receivers


async def test_reports_still_come_through() -> None:
    async with connected() as pair:
        assert isinstance(pair.receiver, DirectReceiver)
        async with asyncio.timeout(10):
            while not pair.receiver.feedback._sender_reports:
                await asyncio.sleep(0.05)
        assert set(pair.receiver.feedback._sender_reports) == set(pair.short_cuts())


async def closed(peer: RTCPeerConnection) -> None:
    async with asyncio.timeout(10):
        while peer.connectionState != "closed":
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("who", [lambda pair: pair.sender, lambda pair: pair.peer], ids=["the sender", "the receiver"])
async def test_a_connection_closes_in_order_whoever_closes_it(who: Callable[[Pair], RTCPeerConnection]) -> None:
    async with connected() as pair:
        await pair.numbers(3)
        sockets = sockets_of(pair.peer)
        await close_peer(who(pair))
        await closed(pair.peer)
        with pytest.raises(MediaStreamError):
            await pair.numbers(100)
    assert pair.short_cuts() == {}
    assert all(each.is_closing() for each in sockets)


async def test_a_receiver_that_nobody_stopped_is_not_held_by_its_transport() -> None:
    peer = RTCPeerConnection(NOWHERE)
    transport = peer.addTransceiver("video").receiver.transport
    _short_cuts(transport)[1] = DirectReceiver(transport)
    gc.collect()
    assert dict(_short_cuts(transport)) == {}
    await peer.close()
