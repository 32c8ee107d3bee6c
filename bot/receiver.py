"""The only file that knows aiortc's insides: receiving from a source that takes an m-line over from another, with padding.

aiortc learns the SSRCs of an m-line once. A server that gives an inactive m-line to the next participant sends with a
new SSRC, which a receiver of aiortc 1.16 drops without a word, or, with one m-line alone, takes for the old source's.
"""

import asyncio

from aioice import Connection
from aiortc import (
    MediaStreamTrack,
    RTCIceGatherer,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
)
from aiortc.codecs import CODECS
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcpeerconnection import find_common_codecs
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from aiortc.rtp import RtpPacket
from aiortc.sdp import MediaDescription

from bot.rooms.waiting import in_time

_RECEIVER = "_RTCRtpTransceiver__receiver"
_ICE = "_connection"
_BIND_SECONDS = 5.0

MAX_SOURCES = 31
"""Sources (SSRCs) that one receiver hears: as many as a report has places for (RFC 3550, section 6.4.2)."""


class BoundReceiver(RTCRtpReceiver):
    """A receiver whose decoder survives padding, and which, if `strict`, takes packets of the offered SSRCs alone.

    Once `shut` is set, it takes none at all.
    """

    def __init__(self, transport: RTCDtlsTransport, *, strict: bool = True) -> None:
        super().__init__("video", transport)
        self._strict = strict
        self._track = RemoteStreamTrack("video")
        self.bound = asyncio.Event()
        self.parameters: RTCRtpReceiveParameters | None = None
        self.shut = False
        self.foreign_packets = 0
        self._ssrcs: set[int] = set()
        self._retransmissions: set[int] = set()
        self._timestamp: int | None = None
        self._heard: set[int] = set()

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        """Begin to receive; called again with each negotiation, of which the first counts."""
        if not self.bound.is_set():
            self.parameters = parameters
            self._retransmissions = {encoding.rtx.ssrc for encoding in parameters.encodings if encoding.rtx}
            self._ssrcs = {encoding.ssrc for encoding in parameters.encodings} | self._retransmissions
        await super().receive(parameters)
        self.bound.set()

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        if self.shut:
            return
        # an offer without SSRCs leaves nothing to tell them apart by
        if self._strict and self._ssrcs and packet.ssrc not in self._ssrcs:
            self.foreign_packets += 1
            return
        if not self._has_place(packet.ssrc):
            return
        if packet.ssrc not in self._retransmissions and not self._stamped(packet):
            return
        await super()._handle_rtp_packet(packet, arrival_time_ms)

    def _has_place(self, ssrc: int) -> bool:
        # aiortc remembers every source, and its reports on more than 255 fail
        if ssrc not in self._heard and len(self._heard) >= MAX_SOURCES:
            self.foreign_packets += 1
            return False
        self._heard.add(ssrc)
        return True

    def _stamped(self, packet: RtpPacket) -> bool:
        """Make padding a part of the frame before it; returns whether there is one.

        A browser without retransmission probes the path with packets of padding alone. aiortc takes those of another
        timestamp for a frame of their own, and an empty frame is what ends a decoder.
        """
        if packet.payload:
            self._timestamp = packet.timestamp
        elif self._timestamp is not None:
            packet.timestamp = self._timestamp
        return self._timestamp is not None


class HeldReceiver(RTCRtpReceiver):
    """A receiver that takes nothing: no packet is routed to it, and it has no decoder. It keeps what was negotiated."""

    def __init__(self, transport: RTCDtlsTransport, parameters: RTCRtpReceiveParameters | None = None) -> None:
        super().__init__("video", transport)
        self._track = RemoteStreamTrack("video")
        self.parameters = parameters

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        """Keep the parameters for whoever begins to receive in its place."""
        self.parameters = parameters


class Gate:
    """An m-line of video that is received while the gate is open; while it is closed, nothing of it is even buffered.

    Made between an offer and its answer, and closed at first. Each opening begins with a decoder of its own, so that
    nothing from before a closing comes out after it.
    """

    def __init__(self, peer: RTCPeerConnection, mid: str) -> None:
        self._transceiver = _transceiver(peer, mid)
        self._receiver: BoundReceiver | HeldReceiver = HeldReceiver(self._transceiver.receiver.transport)
        self._install(self._receiver)

    @property
    def is_open(self) -> bool:
        """Whether packets are taken."""
        return isinstance(self._receiver, BoundReceiver)

    async def open(self) -> MediaStreamTrack:
        """Begin to receive; returns the track. Raises InvalidStateError if the connection is at its end."""
        if isinstance(held := self._receiver, HeldReceiver):
            # not strict: some publishers send with another SSRC than they offered, and nobody else is on this connection
            fresh = BoundReceiver(held.transport, strict=False)
            self._install(fresh)
            if held.parameters is not None:  # if not, the negotiation is still to bring them
                await fresh.receive(held.parameters)
        return self._receiver.track

    async def close(self) -> None:
        """Take no packet any more, from this moment on; returns once the decoder has ended."""
        if isinstance(former := self._receiver, BoundReceiver):
            if former.transport.state != "closed":  # of which no receiver can be made any more
                self._install(HeldReceiver(former.transport, former.parameters))
            await former.stop()

    def _install(self, receiver: BoundReceiver | HeldReceiver) -> None:
        self._receiver = receiver
        _install(self._transceiver, receiver)


def can_rebind() -> bool:
    """Whether this aiortc can be given another receiver; if not, an m-line that changes hands needs a new connection."""
    return hasattr(RTCRtpTransceiver("video", None, None), _RECEIVER)  # type: ignore[arg-type]  # nothing is done with it


def rebind(peer: RTCPeerConnection, mid: str, *, strict: bool = True) -> tuple[BoundReceiver, RTCRtpReceiver]:
    """Give an m-line, between an offer and its answer, a fresh receiver; returns it and the one to `retire` afterwards."""
    transceiver = _transceiver(peer, mid)
    former = transceiver.receiver
    fresh = BoundReceiver(former.transport, strict=strict)
    _install(transceiver, fresh)
    return fresh, former


def _transceiver(peer: RTCPeerConnection, mid: str) -> RTCRtpTransceiver:
    return next(each for each in peer.getTransceivers() if each.mid == mid)


def _install(transceiver: RTCRtpTransceiver, receiver: RTCRtpReceiver) -> None:
    receiver._set_rtcp_ssrc(transceiver.sender._ssrc)
    setattr(transceiver, _RECEIVER, receiver)


async def retire(fresh: BoundReceiver, former: RTCRtpReceiver) -> bool:
    """End the former receiver of an m-line once the fresh one receives; returns whether it does.

    Not before: as long as the old SSRC has a receiver, a late packet of it cannot be taken for somebody else's.
    """
    bound = await in_time(fresh.bound, _BIND_SECONDS)
    await former.stop()
    return bound


def can_show_ice() -> bool:
    """Whether this aiortc shows the aioice connections that its peers use."""
    return hasattr(RTCIceTransport(RTCIceGatherer([])), _ICE)


def ice_of(peer: RTCPeerConnection) -> Connection | None:
    """The aioice connection under a peer whose sections share one transport; None where this aiortc has none to show."""
    ice = getattr(peer.getTransceivers()[0].receiver.transport.transport, _ICE, None)
    return ice if isinstance(ice, Connection) else None


def can_receive(section: MediaDescription) -> bool:
    """Whether aiortc has a decoder for what an m-line offers; if not, applying the offer would fail as a whole."""
    return bool(find_common_codecs(CODECS["video"], section.rtp.codecs))
