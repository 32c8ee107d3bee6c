"""The only file that knows aioice's insides: what comes to a connection's UDP sockets, bounded before it is looked at.

Needed are `Connection._protocols`, with the `transport` of each, `._remote_candidates` and `._queue`. They are looked for
at run time: with an aioice that has others, connections work unguarded, and each room says so once when it opens.

aioice 0.13 queues whatever arrives, from whomever and without a limit, until somebody reads it; takes any number of
peer-reflexive candidates; and lets unpack errors of its STUN parser out into the event loop. aiortc 1.16 ends a
connection that receives an empty datagram.
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
"""Of one datagram: an RTCP header; those of RTP, DTLS and STUN are longer."""

PUBLISHER_PER_SECOND = 2000
PUBLISHER_BURST = 2000
"""Datagrams of a publisher: about 2,000 a second are 20 Mbit/s of video, ten times what a camera in a class sends."""

STRANGERS_PER_SECOND = 50
STRANGERS_BURST = 200
"""Datagrams of addresses that are no candidate of the publisher's: their first checks, and whatever else strays in."""

RECEIVE_BUFFER_BYTES = 4 * 2**20
"""Of a socket that carries a whole class: half a second of fifty fast cameras, by the kernel's way to count."""

MOST_SOURCES = 2 * MAX_SOURCES
"""SSRCs of a publisher that are decrypted: libsrtp remembers each for ever, and looks through all of them with every packet."""

LONGEST_QUEUE = 1000
"""Datagrams that wait for a reader; there is none before the connection is up."""

Clock = Callable[[], float]


def guard_datagrams(peer: RTCPeerConnection) -> list["DatagramGuard"]:
    """Stand before each of the sockets of a connection whose candidates are gathered.

    Relayed datagrams are not guarded here: a TURN server passes on those of the publisher's candidates alone.
    """
    ice = ice_of(peer)
    return [] if ice is None else [DatagramGuard(ice, each) for each in sockets_of(peer)]


def sockets_of(peer: RTCPeerConnection) -> list[asyncio.DatagramTransport]:
    """The UDP sockets of a connection whose candidates are gathered; none where this aioice does not show them."""
    ice = ice_of(peer)
    if ice is None or not is_as_expected(ice):
        return []
    return [each for each in map(_socket_of, ice._protocols) if each is not None]


def widen(transport: asyncio.DatagramTransport) -> None:
    """Let a socket that carries many streams hold what comes while the event loop is busy.

    Linux' own choice holds a hundred datagrams, which fifty fast cameras fill in 30 ms; what is lost then is asked for
    again, which fills it more. The system may grant less (net.core.rmem_max), and a socket that is closed takes nothing.
    """
    # the sockets that event loops show do not take options: a duplicate is the same socket
    with suppress(OSError), socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


def can_guard() -> bool:
    """Whether the insides of this aiortc and this aioice are those that a guard needs."""
    return can_show_ice() and is_as_expected(Connection(ice_controlling=False))


def is_as_expected(ice: object) -> bool:
    """Whether a connection of aioice has the insides that a guard needs."""
    lists = [getattr(ice, name, None) for name in ("_protocols", "_remote_candidates")]
    return all(isinstance(each, list) for each in lists) and isinstance(getattr(ice, "_queue", None), asyncio.Queue)


def _socket_of(protocol: object) -> asyncio.DatagramTransport | None:
    """The UDP socket of one of aioice's protocols; None for a TURN allocation, which looks like one but keeps its protocol."""
    transport = getattr(protocol, "transport", None)
    return transport if hasattr(transport, "set_protocol") else None


class DatagramGuard(asyncio.DatagramProtocol):
    """Hands on what is within bounds to the protocol in whose place it is put; `dropped` counts the rest."""

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
        """Datagrams that nobody has read yet."""
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
        """Whether it is no media, or of a source for which there is a place."""
        if not is_media(data):
            return True
        # of a report and of a packet of media the sender stands at different places
        source = data[4:8] if is_report(data) else data[8:12]
        if source not in self._sources and len(self._sources) >= MOST_SOURCES:
            return False
        self._sources.add(source)
        return True

    def _is_known(self, source: tuple[str, int]) -> bool:
        """Whether it is one of the publisher's candidates, signalled or proven by a check."""
        if source not in self._known and any((each.host, each.port) == source for each in self._ice._remote_candidates):
            self._known.add(source)
        return source in self._known

    def _may_introduce_itself(self, data: bytes, addr: tuple[str, int]) -> bool:
        # from an address that is new, only STUN means anything: RFC 7983, section 7
        if data[0] > 3 or len(self._ice._remote_candidates) >= 2 * MAX_CANDIDATES:
            return False
        return not goes_nowhere(ipaddress.ip_address(addr[0]))
