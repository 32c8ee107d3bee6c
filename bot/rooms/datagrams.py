"""Guards a connection's UDP sockets: limits what comes in before anything parses it. The only file that knows aioice's internals.

It needs `Connection._protocols`, with the `transport` of each, `._remote_candidates` and `._queue`, and looks for them at run
time: with an aioice whose internals differ, connections work unguarded, and each room says so once when it opens.

aioice 0.13 queues whatever arrives, from anybody and without limit, until it is read; accepts any number of peer-reflexive
candidates; and lets unpacking errors of its STUN parser escape into the event loop. aiortc 1.16 ends a connection that receives
an empty datagram.
"""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from aioice import Connection
from aiortc import RTCPeerConnection

from bot.receiver import LARGEST_BYTES, MAX_SOURCES, UNREADABLE_STUN, can_show_ice, ice_of
from bot.rooms.allowance import Allowance
from bot.rooms.reach import MAX_CANDIDATES, goes_nowhere
from bot.rtp_header import is_media, is_report

SMALLEST_BYTES = 8
"""Smallest datagram: an RTCP header; the headers of RTP, DTLS and STUN are longer."""

PUBLISHER_PER_SECOND = 2000
PUBLISHER_BURST = 2000
"""Datagrams from a publisher: about 2,000 a second are 20 Mbit/s of video, ten times what a camera in a class sends."""

STRANGERS_PER_SECOND = 50
STRANGERS_BURST = 200
"""Datagrams from addresses that are not candidates of the publisher: first connectivity checks, and anything that strays in."""

RECEIVE_BUFFER_BYTES = 4 * 2**20
"""Buffer of a socket that carries a whole class: half a second of fifty fast cameras, as the kernel counts it."""

MOST_SOURCES = 2 * MAX_SOURCES
"""Most SSRCs of a publisher that are decrypted: libsrtp keeps each one forever, and searches all of them for every packet."""

LONGEST_QUEUE = 1000
"""Most datagrams that may wait to be read; before the connection is up, nobody reads them."""

Clock = Callable[[], float]


def guard_datagrams(peer: RTCPeerConnection) -> list["DatagramGuard"]:
    """Put a guard on each socket of a connection whose candidates are gathered.

    Relayed datagrams are not guarded here, because a TURN server only passes on those from the publisher's candidates.
    """
    ice = ice_of(peer)
    return [] if ice is None else [DatagramGuard(ice, each) for each in sockets_of(peer)]


def sockets_of(peer: RTCPeerConnection) -> list[asyncio.DatagramTransport]:
    """The UDP sockets of a connection whose candidates are gathered; none if this aioice does not give access to them."""
    ice = ice_of(peer)
    if ice is None or not is_as_expected(ice):
        return []
    return [each for each in map(_socket_of, ice._protocols) if each is not None]


def widen(transport: asyncio.DatagramTransport) -> None:
    """Enlarge the receive buffer of a socket with many streams, to hold what arrives while the event loop is busy.

    Linux's default holds a hundred datagrams, which fifty fast cameras fill in 30 ms; lost ones are then requested again, which
    fills it even more. The system may grant less (net.core.rmem_max), and a closed socket is left as it is.
    """
    # event loops give out sockets on which no options can be set; a duplicate of the descriptor is the same socket
    with suppress(OSError), socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


def can_guard() -> bool:
    """Whether this aiortc and this aioice have the internals that a guard needs."""
    return can_show_ice() and is_as_expected(Connection(ice_controlling=False))


def is_as_expected(ice: object) -> bool:
    """Whether an aioice connection has the internals that a guard needs."""
    lists = [getattr(ice, name, None) for name in ("_protocols", "_remote_candidates")]
    return all(isinstance(each, list) for each in lists) and isinstance(getattr(ice, "_queue", None), asyncio.Queue)


def _socket_of(protocol: object) -> asyncio.DatagramTransport | None:
    """The UDP socket of one of aioice's protocols; None for a TURN allocation, whose protocol cannot be replaced."""
    transport = getattr(protocol, "transport", None)
    return transport if hasattr(transport, "set_protocol") else None


class DatagramGuard(asyncio.DatagramProtocol):
    """Takes the place of a socket's protocol, to which it hands on what is within bounds; `dropped` counts the rest."""

    def __init__(self, ice: Connection, transport: asyncio.DatagramTransport, clock: Clock | None = None) -> None:
        self.dropped = 0
        self._ice = ice
        self._clock = clock or asyncio.get_running_loop().time
        self._publisher = Allowance(PUBLISHER_PER_SECOND, PUBLISHER_BURST, self._clock())
        self._strangers = Allowance(STRANGERS_PER_SECOND, STRANGERS_BURST, self._clock())
        self._known: set[tuple[str, int]] = set()
        self._sources: set[bytes] = set()
        self._guarded = cast(asyncio.DatagramProtocol, transport.get_protocol())
        transport.set_protocol(self)

    @property
    def waiting(self) -> int:
        """How many datagrams have not been read yet."""
        return self._ice._queue.qsize()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Called by the event loop."""
        if not self._within_bounds(data, addr):
            self.dropped += 1
            return
        try:
            self._guarded.datagram_received(data, addr)
        except UNREADABLE_STUN:
            self.dropped += 1

    def error_received(self, exc: Exception) -> None:
        """Called by the event loop."""
        self._guarded.error_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._guarded.connection_lost(exc)

    def _within_bounds(self, data: bytes, addr: tuple[str, int]) -> bool:
        if not SMALLEST_BYTES <= len(data) <= LARGEST_BYTES or self.waiting >= LONGEST_QUEUE:
            return False
        if self._is_known(addr[:2]):
            return self._has_place(data) and self._publisher.spend(self._clock())
        return self._may_introduce_itself(data, addr) and self._strangers.spend(self._clock())

    def _has_place(self, data: bytes) -> bool:
        """Whether the datagram is not media, or comes from a source within the limit of `MOST_SOURCES`."""
        if not is_media(data):
            return True
        # RTCP and RTP have the sender's SSRC at different offsets
        source = data[4:8] if is_report(data) else data[8:12]
        if source not in self._sources and len(self._sources) >= MOST_SOURCES:
            return False
        self._sources.add(source)
        return True

    def _is_known(self, source: tuple[str, int]) -> bool:
        """Whether the address is one of the publisher's candidates, either signalled or found by a connectivity check."""
        if source not in self._known and any((each.host, each.port) == source for each in self._ice._remote_candidates):
            self._known.add(source)
        return source in self._known

    def _may_introduce_itself(self, data: bytes, addr: tuple[str, int]) -> bool:
        # from a new address, only STUN is meaningful (RFC 7983, section 7)
        if data[0] > 3 or len(self._ice._remote_candidates) >= 2 * MAX_CANDIDATES:
            return False
        return not goes_nowhere(ipaddress.ip_address(addr[0]))
