"""The only file that knows aiortc's insides: receiving from a source that takes an m-line over from another, with padding.

aiortc learns the SSRCs of an m-line once. A server that gives an inactive m-line to the next participant sends with a
new SSRC, which a receiver of aiortc 1.16 drops without a word, or, with one m-line alone, takes for the old source's.
"""

import asyncio

from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpTransceiver
from aiortc.codecs import CODECS
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcpeerconnection import find_common_codecs
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from aiortc.rtp import RtpPacket
from aiortc.sdp import MediaDescription

from bot.rooms.waiting import in_time

_RECEIVER = "_RTCRtpTransceiver__receiver"
_BIND_SECONDS = 5.0


class BoundReceiver(RTCRtpReceiver):
    """A receiver whose decoder survives padding, and which, if `strict`, takes packets of the offered SSRCs alone."""

    def __init__(self, transport: RTCDtlsTransport, *, strict: bool = True) -> None:
        super().__init__("video", transport)
        self._strict = strict
        self._track = RemoteStreamTrack("video")
        self.bound = asyncio.Event()
        self.foreign_packets = 0
        self._ssrcs: set[int] = set()
        self._retransmissions: set[int] = set()
        self._timestamp: int | None = None

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        """Begin to receive; called again with each negotiation, of which the first counts."""
        if not self.bound.is_set():
            self._retransmissions = {encoding.rtx.ssrc for encoding in parameters.encodings if encoding.rtx}
            self._ssrcs = {encoding.ssrc for encoding in parameters.encodings} | self._retransmissions
        await super().receive(parameters)
        self.bound.set()

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        # an offer without SSRCs leaves nothing to tell them apart by
        if self._strict and self._ssrcs and packet.ssrc not in self._ssrcs:
            self.foreign_packets += 1
            return
        if packet.ssrc not in self._retransmissions and not self._stamped(packet):
            return
        await super()._handle_rtp_packet(packet, arrival_time_ms)

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


def can_rebind() -> bool:
    """Whether this aiortc can be given another receiver; if not, an m-line that changes hands needs a new connection."""
    return hasattr(RTCRtpTransceiver("video", None, None), _RECEIVER)  # type: ignore[arg-type]  # nothing is done with it


def rebind(peer: RTCPeerConnection, mid: str, *, strict: bool = True) -> tuple[BoundReceiver, RTCRtpReceiver]:
    """Give an m-line, between an offer and its answer, a fresh receiver; returns it and the one to `retire` afterwards."""
    transceiver = next(each for each in peer.getTransceivers() if each.mid == mid)
    former = transceiver.receiver
    fresh = BoundReceiver(former.transport, strict=strict)
    fresh._set_rtcp_ssrc(transceiver.sender._ssrc)
    setattr(transceiver, _RECEIVER, fresh)
    return fresh, former


async def retire(fresh: BoundReceiver, former: RTCRtpReceiver) -> bool:
    """End the former receiver of an m-line once the fresh one receives; returns whether it does.

    Not before: as long as the old SSRC has a receiver, a late packet of it cannot be taken for somebody else's.
    """
    bound = await in_time(fresh.bound, _BIND_SECONDS)
    await former.stop()
    return bound


def can_receive(section: MediaDescription) -> bool:
    """Whether aiortc has a decoder for what an m-line offers; if not, applying the offer would fail as a whole."""
    return bool(find_common_codecs(CODECS["video"], section.rtp.codecs))
