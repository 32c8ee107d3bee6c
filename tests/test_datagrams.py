"""What arrives at the room's UDP sockets from publishers and from strangers: garbage, floods, and half a handshake."""

import asyncio
import gc
import os
import random
import re
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import uvloop
from aioice import Connection
from aiortc import MediaStreamTrack, RTCConfiguration, RTCIceTransport, RTCPeerConnection
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtp import RtpPacket

from bot.receiver import LARGEST_BYTES
from bot.rooms import Arrival, Departure, Happening
from bot.rooms.datagrams import LONGEST_QUEUE, MOST_SOURCES, RECEIVE_BUFFER_BYTES, is_as_expected, sockets_of, widen
from bot.rooms.local import LocalRoom, host
from bot.rooms.session import WhipSession
from bot.settings import Settings, read_settings
from tests.ice_peer import ice_peer
from tests.webrtc import OFFER, Published, camera_offer, first_frames, publisher

STUN_COOKIE = 0x2112A442


def chosen(**settings: object) -> Settings:
    return read_settings(**{"port": 0, "max_connecting": 500, "offers_per_minute": 100_000, **settings})


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def room() -> AsyncIterator[LocalRoom]:
    async with host("maths", chosen()) as hosted:
        yield hosted


async def arrived(happenings: AsyncIterator[Happening]) -> Arrival:
    """The next camera that is being read."""
    async with asyncio.timeout(20):
        while True:
            if isinstance(happening := await anext(happenings), Arrival):
                return happening


async def departed(happenings: AsyncIterator[Happening]) -> Departure:
    """The next departure."""
    async with asyncio.timeout(20):
        while True:
            if isinstance(happening := await anext(happenings), Departure):
                return happening


def session_of(room: LocalRoom, arrival: Arrival) -> WhipSession:
    session = room._roster.of(arrival.participant.id)
    assert session is not None
    return session


def dtls_of(published: Published) -> RTCDtlsTransport:
    return published.peer.getSenders()[0].transport


def address_in(answer: str) -> tuple[str, int]:
    """One of the IPv4 addresses at which this publisher can reach the room."""
    host_name, port = re.findall(r"a=candidate:\S+ 1 udp \d+ (\d+\.\S+) (\d+) typ host", answer)[0]
    return host_name, int(port)


def stun(kind: int, *attributes: tuple[int, bytes]) -> bytes:
    """A STUN message of a kind, with attributes whose lengths may be wrong."""
    body = b"".join(struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4) for name, value in attributes)
    return struct.pack("!HHI12s", kind, len(body), STUN_COOKIE, random.randbytes(12)) + body


async def still_sees(track: MediaStreamTrack) -> bool:
    return len(await first_frames(track, 10)) == 10


# strangers


async def test_a_stranger_can_neither_end_a_connection_nor_fill_its_queue(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    happenings = room.happenings()
    async with publisher(http, f"{room.whip_url}?consent=yes") as published:
        arrival = await arrived(happenings)
        await first_frames(arrival.track)
        room_side = address_in(published.answer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for datagram in (b"", b"\x80", bytes(20), b"\x16\xfe\xfd" + bytes(40), b"\x80\x60" + bytes(1000)):
                stranger.sendto(datagram, room_side)
            for attribute in (0x0006, 0x0008, 0x0009, 0x0020, 0x0024, 0x802A):
                for length in (0, 1, 3, 5, 21):
                    stranger.sendto(stun(0x0001, (attribute, random.randbytes(length))), room_side)
            for _ in range(500):
                stranger.sendto(random.randbytes(random.randrange(1400)), room_side)
                await asyncio.sleep(0)
        assert await still_sees(arrival.track)
        assert session_of(room, arrival).datagrams_dropped >= 400


async def test_what_comes_before_the_connection_is_up_is_bounded(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    async with http.post(room.whip_url, data=await camera_offer(), headers=OFFER) as response:
        room_side = address_in(await response.text())
    session = next(iter(room._roster._sessions.values()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(2 * LONGEST_QUEUE):
            stranger.sendto(b"\x16\xfe\xfd" + bytes(1000), room_side)
            await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert session.datagrams_dropped > LONGEST_QUEUE
    assert sum(guard.waiting for guard in session._datagrams) == 0


def test_this_aioice_can_be_guarded() -> None:
    assert is_as_expected(Connection(ice_controlling=False))


@pytest.mark.parametrize("renamed", ["_protocols", "_remote_candidates", "_queue"])
def test_an_aioice_with_other_insides_is_noticed(renamed: str) -> None:
    ice = Connection(ice_controlling=False)
    setattr(ice, f"{renamed}_of_a_later_version", ice.__dict__.pop(renamed))
    assert not is_as_expected(ice)


async def test_with_an_aiortc_that_hides_its_insides_a_room_says_so_once_and_students_join(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(RTCIceTransport, "__getattribute__", _without_ice)
    async with host("maths", chosen()) as room:
        happenings = room.happenings()
        for _ in range(2):
            async with publisher(http, f"{room.whip_url}?consent=yes"):
                arrival = await arrived(happenings)
                assert session_of(room, arrival)._datagrams == []
                assert await still_sees(arrival.track)
    assert [each.name for each in caplog.records if each.levelname == "WARNING"] == ["bot.rooms.local"]


def _without_ice(transport: RTCIceTransport, name: str) -> object:
    """An attribute of a transport, except that nobody but aiortc itself finds the connection."""
    if name == "_connection" and "aiortc" not in sys._getframe(1).f_globals["__name__"]:
        raise AttributeError(name)
    return object.__getattribute__(transport, name)


# publishers


async def test_garbage_of_a_publisher_costs_nobody_their_connection(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    happenings = room.happenings()
    async with publisher(http, f"{room.whip_url}?consent=yes") as published:
        arrival = await arrived(happenings)
        await first_frames(arrival.track)
        dtls = dtls_of(published)
        script = random.Random(1)
        for first_byte in range(256):
            await dtls.transport._send(bytes([first_byte]) + script.randbytes(script.randrange(200)))
        await dtls.transport._send(b"")
        await dtls.transport._send(b"\x80\x60" + bytes(LARGEST_BYTES))
        for kind in (200, 201, 202, 205, 206, 207):
            for length in (0, 1, 2, 5):
                await dtls._send_rtp(struct.pack("!BBHI", 0x80 | length, kind, length, 1) + script.randbytes(4 * length))
        for number in range(200):
            packet = RtpPacket(payload_type=97, sequence_number=number, timestamp=number * 90, ssrc=script.randrange(1 << 32))
            packet.payload = script.randbytes(script.randrange(60))
            await dtls._send_rtp(packet.serialize())
        assert await still_sees(arrival.track)


@pytest.mark.slow
async def test_a_flood_of_one_publisher_leaves_the_others_their_pictures(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    happenings = room.happenings()
    async with publisher(http, f"{room.whip_url}?consent=yes") as flooding:
        flooder = await arrived(happenings)
        async with publisher(http, f"{room.whip_url}?consent=yes"):
            watched = await arrived(happenings)
            await first_frames(watched.track)
            padding = RtpPacket(payload_type=97, sequence_number=1, timestamp=0, ssrc=1)
            padding.padding_size = 255
            await asyncio.to_thread(flood, flooding, padding.serialize())
            assert await still_sees(watched.track)
            assert session_of(room, flooder).datagrams_dropped > 0
            assert session_of(room, watched).datagrams_dropped == 0


@pytest.mark.slow
async def test_a_publisher_with_ever_new_sources_is_heard_with_those_there_are_places_for(
    http: aiohttp.ClientSession, room: LocalRoom
) -> None:
    happenings = room.happenings()
    async with publisher(http, f"{room.whip_url}?consent=yes") as published:
        arrival = await arrived(happenings)
        assert await first_frames(arrival.track)
        session, dtls = session_of(room, arrival), dtls_of(published)
        for ssrc in range(1, 501):
            packet = RtpPacket(payload_type=96, ssrc=ssrc, sequence_number=1, timestamp=1, payload=b"\x10\x01")
            await dtls._send_rtp(packet.serialize())
        async with asyncio.timeout(5):
            while session.datagrams_dropped < 500 - MOST_SOURCES:
                await asyncio.sleep(0.01)
        assert await still_sees(arrival.track)


def flood(publisher: Published, datagram: bytes, per_second: int = 10_000, seconds: float = 2.0) -> None:
    """Send the same datagram again and again from the publisher's own socket, blocking."""
    pair = dtls_of(publisher).transport._connection._nominated[1]
    theirs = pair.protocol.transport.get_extra_info("socket")
    with socket.socket(fileno=os.dup(theirs.fileno())) as sending:
        for _ in range(int(seconds * 100)):
            for _ in range(per_second // 100):
                sending.sendto(datagram, pair.remote_addr)
            time.sleep(0.01)


# handshakes that stop halfway


async def test_who_stops_halfway_through_the_handshake_is_let_go(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(), connect_seconds=0.5) as room, ice_peer(http, room) as ice:
        await ice.send(b"\x16\xfe\xfd" + bytes(60))
        assert (await departed(room.happenings())).reason == "never connected"
        assert await gone(room)


async def gone(room: LocalRoom) -> bool:
    async with asyncio.timeout(20):
        while len(room._roster):
            await asyncio.sleep(0.01)
    return True


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


@pytest.mark.slow
async def test_two_hundred_who_never_finish_leave_nothing_behind(http: aiohttp.ClientSession) -> None:
    offer = await camera_offer()
    async with host("maths", chosen(max_participants=300), connect_seconds=0.5) as room:
        listening = asyncio.create_task(until_closed(room))
        await never_finish(http, room, offer, 40)
        before = descriptors(), len(asyncio.all_tasks()), resident_mb()
        await never_finish(http, room, offer, 200)
        after = descriptors(), len(asyncio.all_tasks()), resident_mb()
    await listening
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 20


async def until_closed(room: LocalRoom) -> None:
    async for _ in room.happenings():
        pass


async def never_finish(http: aiohttp.ClientSession, room: LocalRoom, offer: str, count: int) -> None:
    """Make so many offers, every tenth of which gets as far as the handshake; returns once all of them are dropped."""
    async with AsyncExitStack() as stack:
        for number in range(count):
            if number % 10 == 0:
                await stack.enter_async_context(ice_peer(http, room, offer))
            else:
                async with http.post(room.whip_url, data=offer, headers=OFFER) as response:
                    assert response.status == 201
    assert await gone(room)
    gc.collect()


@pytest.mark.slow
async def test_fifty_cameras_behind_one_address_connect_at_once(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    """With the default limits."""
    async with host("physics", read_settings(port=0)) as usual, AsyncExitStack() as stack:
        peers = [stack.enter_async_context(publisher(http, usual.whip_url)) for _ in range(50)]
        await asyncio.gather(*peers)
        assert usual.refusals == {"publisher_place": 0, "connection_place": 0}


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_socket_of_a_whole_class_holds_as_much_as_the_system_grants(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def sizes() -> tuple[list[int], list[int]]:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.addTransceiver("video", "recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        before = receive_buffers(peer)
        for transport in sockets_of(peer):
            widen(transport)
        after = receive_buffers(peer)
        await peer.close()
        return before, after

    with asyncio.Runner(loop_factory=new_loop) as runner:
        before, after = runner.run(sizes())
    granted = min(RECEIVE_BUFFER_BYTES, int(Path("/proc/sys/net/core/rmem_max").read_text()))
    assert before and after == [2 * granted] * len(before)  # Linux includes its own bookkeeping


def receive_buffers(peer: RTCPeerConnection) -> list[int]:
    """The sizes of a connection's receive buffers, in bytes."""
    found = []
    for transport in sockets_of(peer):
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as same:
            found.append(same.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
    return found
