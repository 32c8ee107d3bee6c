"""Receiving video at low cost, also on an m-line that changes its source; the only file that knows aiortc's internals.

aiortc learns the SSRCs of an m-line once. A server that reuses an inactive m-line for the next participant sends with a new
SSRC, which a receiver of aiortc 1.16 silently drops or, with only one m-line, takes for the old source's.

Half of a stock receiver's cost is not for decoding (docs/performance.md), so a source gets a `DirectReceiver` if this version of
aiortc allows it, and otherwise aiortc's own with a few fixes.
"""

import asyncio
import functools
import logging
import math
import secrets
import struct
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

import aiortc
import pylibsrtp
from aioice import Connection
from aiortc import (
    MediaStreamTrack,
    RTCIceGatherer,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    rtcrtpreceiver,
    rtp,
)
from aiortc.codecs import CODECS
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcpeerconnection import find_common_codecs
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from aiortc.rtp import AnyRtcpPacket, RtcpByePacket, RtcpSrPacket, RtpPacket
from aiortc.sdp import MediaDescription
from av import CodecContext, VideoFrame

from bot.decoding import Decoding
from bot.frame_assembly import (
    MOST_WAITING,
    PATIENCE_SECONDS,
    EncodedFrame,
    FrameAssembler,
    Piece,
    is_h264_keyframe,
    is_vp8_keyframe,
    vp8_payload,
)
from bot.orientation import quarter_turns, upright
from bot.rooms.waiting import in_time
from bot.rtp_header import FIXED_BYTES, RtpHeader, is_media, is_report, parse_rtp
from bot.tracks import ReceivedTrack

logger = logging.getLogger(__name__)

_chance = secrets.SystemRandom()
_parts: Any = rtcrtpreceiver
_rtp: Any = rtp

_RECEIVER = "_RTCRtpTransceiver__receiver"
_ICE = "_connection"
_BIND_SECONDS = 5.0

_INSIDES: dict[Any, tuple[str, ...]] = {
    RTCDtlsTransport: ("_register_rtp_receiver", "_unregister_rtp_receiver", "_send_rtp"),
    RTCRtpReceiver: ("_handle_disconnect", "_handle_rtcp_packet", "_handle_rtp_packet", "_send_rtcp", "_set_rtcp_ssrc"),
    _rtp: (
        "RTCP_PSFB_APP", "RTCP_PSFB_PLI", "RTCP_RTPFB_NACK", "RtcpPsfbPacket", "RtcpReceiverInfo", "RtcpRrPacket",
        "RtcpRtpfbPacket", "pack_remb_fci",
    ),
    _parts: (
        "NackGenerator", "RemoteBitrateEstimator", "StreamStatistics", "depayload", "get_decoder", "is_rtx", "unwrap_rtx",
    ),
}  # fmt: skip
"""The internals of aiortc 1.15 and 1.16 that a direct receiver uses."""

REPORT_SECONDS, STEERING_REPORT_SECONDS = 5.0, 1.0
"""Mean time between two reports to a sender: the minimum in RFC 3550, and what a browser's rate control expects."""

PLI_SECONDS = 1.0
"""Least time between two keyframe requests, because each keyframe is costly for the student's encoder."""

ASK_AGAIN_SECONDS = 0.1
"""How long after a request a packet that is still missing is requested again, while its frame is being waited for."""

MOST_MISSING = 64
"""Most missing packets of one source that are requested; if more are missing, none is."""

MOST_AT_ONCE = 16
"""Most frames of a source that are decoded in one job: half a second of a fast camera."""

MOST_PIXELS = 4096 * 2304
"""Most pixels of one picture: a keyframe of a few bytes can claim 16383x16383, and that one picture would take 400 MB.

Applies to direct receivers; aiortc's own receiver has no such limit."""

LARGEST_BYTES = 1500
"""Largest datagram: pylibsrtp refuses larger ones, and that error, which aiortc does not expect, would end its connection."""

UNREADABLE_STUN = (struct.error, KeyError)
"""What aioice raises for an attribute of a wrong length, and for a check without PRIORITY; the tests fuzz it."""

KEYFRAMES: dict[str, Callable[[bytes], bool]] = {"VP8": is_vp8_keyframe, "H264": is_h264_keyframe}
"""How to recognise keyframes, for each codec that can be decoded."""

MAX_SOURCES = 31
"""Most sources (SSRCs) that one receiver accepts: as many as fit into a report (RFC 3550, section 6.4.2)."""


class BoundReceiver(RTCRtpReceiver):
    """A receiver whose decoder survives padding, and which, if `strict`, takes only packets of the offered SSRCs.

    Once `shut` is set, it takes none at all. `orientations` are the ids of the header extension that gives the orientation of
    the pictures; a direct receiver turns them upright.
    """

    _AS_OF = "video"

    def __init__(self, transport: RTCDtlsTransport, *, strict: bool = True) -> None:
        super().__init__(self._AS_OF, transport)
        self._strict = strict
        self._track = RemoteStreamTrack("video")
        self.bound = asyncio.Event()
        self.parameters: RTCRtpReceiveParameters | None = None
        self.shut = False
        self.orientations: frozenset[int] = frozenset()
        self.foreign_packets = 0
        self._ssrcs: set[int] = set()
        self._retransmissions: set[int] = set()
        self._timestamp: int | None = None
        self._heard: set[int] = set()

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        """Begin to receive; called again with each negotiation, of which the first counts."""
        if not self.bound.is_set():
            self._remember(parameters)
        await super().receive(parameters)
        self.bound.set()

    def _remember(self, parameters: RTCRtpReceiveParameters) -> None:
        self.parameters = parameters
        self._retransmissions = {encoding.rtx.ssrc for encoding in parameters.encodings if encoding.rtx}
        self._ssrcs = {encoding.ssrc for encoding in parameters.encodings} | self._retransmissions

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        if not self._is_welcome(packet):
            return
        if packet.ssrc not in self._retransmissions and not self._stamped(packet):
            return
        await super()._handle_rtp_packet(packet, arrival_time_ms)

    def _is_welcome(self, packet: RtpPacket) -> bool:
        if self.shut:
            return False
        # an offer without SSRCs gives nothing to check packets against
        if self._strict and self._ssrcs and packet.ssrc not in self._ssrcs:
            self.foreign_packets += 1
            return False
        return self._has_place(packet.ssrc)

    def _has_place(self, ssrc: int) -> bool:
        # aiortc keeps every source, and fails to report on more than 255
        if ssrc not in self._heard and len(self._heard) >= MAX_SOURCES:
            self.foreign_packets += 1
            return False
        self._heard.add(ssrc)
        return True

    def _stamped(self, packet: RtpPacket) -> bool:
        """Count a packet of padding as part of the frame before it; returns False if there is no such frame.

        A browser without retransmission probes the path with packets of padding alone. aiortc takes those with a new timestamp
        for a frame of their own, and an empty frame ends the decoder.
        """
        if packet.payload:
            self._timestamp = packet.timestamp
        elif self._timestamp is not None:
            packet.timestamp = self._timestamp
        return self._timestamp is not None


class Feedback:
    """Feedback to the senders of one receiver: what has arrived, what is missing, and requests for keyframes.

    `ssrc` is our own, from which it is sent; while it is None, nothing is sent.
    """

    def __init__(self, send: Callable[[AnyRtcpPacket], Awaitable[None]], report_seconds: float) -> None:
        self.ssrc: int | None = None
        self.keyframe_due = False
        self._send = send
        self._report_seconds = report_seconds
        self._arrived = _parts.NackGenerator()
        self._asked: set[int] = set()
        self._asked_at = self._keyframe_asked_at = 0.0
        self._waiting_until = 0.0
        self._to: int | None = None
        self._due = asyncio.Event()
        self._statistics: dict[int, Any] = {}
        self._sender_reports: dict[int, tuple[int, float]] = {}

    @property
    def newest(self) -> int | None:
        """The highest sequence number that has arrived; None before the first packet."""
        newest: int | None = self._arrived.max_seq
        return newest

    @property
    def missing(self) -> set[int]:
        """The sequence numbers before the newest that have not arrived."""
        missing: set[int] = self._arrived.missing
        return missing

    def count(self, packet: RtpPacket | RtpHeader, clock_rate: int) -> None:
        """Count a packet in the report on its source."""
        statistics = self._statistics.get(packet.ssrc)
        if statistics is None:
            statistics = self._statistics[packet.ssrc] = _parts.StreamStatistics(clock_rate)
        statistics.add(packet)

    def note(self, packet: RtpPacket | RtpHeader) -> None:
        """Note that a packet of the media stream has arrived, and request those before it that have not.

        A source whose sequence numbers jump has restarted, and nothing is missing from it.
        """
        if self.newest is not None and MOST_WAITING <= (packet.sequence_number - self.newest) % 0x10000 <= 0x10000 - MOST_WAITING:
            self._arrived = _parts.NackGenerator()  # the old one would count up to the new number one by one
        if self._arrived.add(packet):
            self._to = packet.ssrc
            self._waiting_until = time.monotonic() + PATIENCE_SECONDS
            self._due.set()

    def want_keyframe(self, ssrc: int) -> None:
        """Ask a source for a keyframe."""
        self._to, self.keyframe_due = ssrc, True
        self._due.set()

    def hear(self, packet: RtcpSrPacket) -> None:
        """Remember a sender's report, because our next report to it refers to it."""
        # reports refer to it by the middle 32 bits of its NTP time (RFC 3550, section 6.4.1)
        self._sender_reports[packet.ssrc] = (packet.sender_info.ntp_timestamp >> 16) & 0xFFFFFFFF, time.monotonic()

    async def give(self) -> None:
        """Tell the senders what has arrived and what is missing, forever."""
        report_at = time.monotonic() + self._until_a_report()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(report_at, self._ask_again_at()) - time.monotonic()):
                    await self._due.wait()
            now_seconds = time.monotonic()
            if self._due.is_set() or now_seconds >= self._ask_again_at():
                self._due.clear()
                await self._ask(now_seconds)
            if now_seconds >= report_at:
                report_at = now_seconds + self._until_a_report()
                if self._statistics and self.ssrc is not None:
                    await self._send(_rtp.RtcpRrPacket(ssrc=self.ssrc, reports=self.reports()))

    def _ask_again_at(self) -> float:
        """When to request missing packets again, as the request or the answer may be lost too; infinity if not at all."""
        at_seconds = self._asked_at + ASK_AGAIN_SECONDS
        worth_it = self.ssrc is not None and self.missing and at_seconds < self._waiting_until
        return at_seconds if worth_it else math.inf

    def reports(self) -> list[Any]:
        """Reception reports, one for each source, on what has arrived since the last ones (RFC 3550, section 6.4.2)."""
        return [self._reception(ssrc, each) for ssrc, each in self._statistics.items()]

    def _until_a_report(self) -> float:
        # random intervals, so that not everybody reports at once (RFC 3550, section 6.2)
        return self._report_seconds * _chance.uniform(0.5, 1.5)

    async def _ask(self, now_seconds: float) -> None:
        """Request lost packets (RFC 4585, section 6.2.1) and a keyframe (section 6.3.1), as far as either is due."""
        if self.ssrc is None:
            return
        ssrcs = {"ssrc": self.ssrc, "media_ssrc": self._to}
        if lost := self._lost(now_seconds):
            request = _rtp.RtcpRtpfbPacket(fmt=_rtp.RTCP_RTPFB_NACK, **ssrcs)
            request.lost = lost
            await self._send(request)
        if self.keyframe_due and (not self._keyframe_asked_at or now_seconds - self._keyframe_asked_at >= PLI_SECONDS):
            self._keyframe_asked_at = now_seconds
            await self._send(_rtp.RtcpPsfbPacket(fmt=_rtp.RTCP_PSFB_PLI, **ssrcs))
        self.keyframe_due = False

    def _lost(self, now_seconds: float) -> list[int]:
        """The packets to request: those newly missing, or all that are missing if ASK_AGAIN_SECONDS have passed.

        None if very many are missing: a path that lost so many would lose them again, and a keyframe makes up for all of them.
        """
        missing = self.missing
        if len(missing) > MOST_MISSING:
            missing.clear()
        all_of_them = now_seconds - self._asked_at >= ASK_AGAIN_SECONDS
        wanted = sorted(missing if all_of_them else missing - self._asked)
        self._asked = set(missing)
        if all_of_them:
            self._asked_at = now_seconds
        return wanted

    def _reception(self, ssrc: int, statistics: Any) -> Any:
        report, at_seconds = self._sender_reports.get(ssrc, (0, 0.0))
        delay = min(int((time.monotonic() - at_seconds) * 65536), 0xFFFFFFFF) if report else 0
        return _rtp.RtcpReceiverInfo(
            ssrc=ssrc,
            fraction_lost=statistics.fraction_lost,
            packets_lost=statistics.packets_lost,
            # its upper half is how often the numbers have wrapped around
            highest_sequence=(statistics.cycles + statistics.max_seq) & 0xFFFFFFFF,
            # a source whose timestamps jump has more jitter than a report can hold
            jitter=min(statistics.jitter, 0xFFFFFFFF),
            lsr=report,
            dlsr=delay,
        )


class DirectReceiver(BoundReceiver):
    """A receiver without a decoder thread or queue of its own, which decodes on shared threads.

    It leaves out what a stock receiver does but nobody here uses: statistics, contributing sources and, behind a server that
    forwards to many (`steering` false), the bandwidth estimate. A frame is decoded when its last packet arrives, not with the
    first packet of the next frame; after a loss that cannot be repaired, a keyframe is requested and waited for.
    """

    # as "video", aiortc would build a bandwidth estimator with a thousand parts and a jitter buffer, which would take most of
    # the time in which a large class joins
    _AS_OF = "audio"

    def __init__(self, transport: RTCDtlsTransport, *, strict: bool = True, steering: bool = False) -> None:
        super().__init__(transport, strict=strict)
        self._track: ReceivedTrack = ReceivedTrack()  # type: ignore[assignment]  # aiortc expects its own kind of track
        self._estimator = _parts.RemoteBitrateEstimator() if steering else None
        self.feedback = Feedback(lambda packet: self._send_rtcp(packet), STEERING_REPORT_SECONDS if steering else REPORT_SECONDS)
        self._codecs: dict[int, RTCRtpCodecParameters] = {}
        self._source_of_retransmission: dict[int, int] = {}
        self._assembler = FrameAssembler(is_vp8_keyframe)
        self._decoding: Decoding | None = None
        self._decoder: Any = None
        self._undecoded: list[EncodedFrame] = []
        self._codec_name = ""
        self._source: int | None = None
        self._turns = 0
        self._reporting: asyncio.Task[None] | None = None

    def _set_rtcp_ssrc(self, ssrc: int) -> None:
        super()._set_rtcp_ssrc(ssrc)
        self.feedback.ssrc = ssrc

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        """Begin to receive; called again with each negotiation, of which the first counts."""
        if self.bound.is_set() or self._track.readyState == "ended":  # ended: stopped while connecting
            return
        self._remember(parameters)
        self._codecs = {codec.payloadType: codec for codec in parameters.codecs if codec.payloadType is not None}
        self._source_of_retransmission = {each.rtx.ssrc: each.ssrc for each in parameters.encodings if each.rtx}
        self._decoding = Decoding(self._track.show)
        self.transport._register_rtp_receiver(self, parameters)
        if self._estimator is None:  # an estimator must see every packet's extensions
            _short_cuts(self.transport).update(dict.fromkeys(self._ssrcs - self._retransmissions, self))
        self._reporting = asyncio.create_task(self.feedback.give())
        self._reporting.add_done_callback(self._reported)
        self.bound.set()

    def _reported(self, reporting: asyncio.Task[None]) -> None:
        """End a track if feedback to its sender has failed, because without it no loss could be repaired."""
        if not reporting.cancelled() and (error := reporting.exception()) is not None:
            logger.warning("a track ends because no reports reach its sender: %r", error)
            self._track.stop()

    async def stop(self) -> None:
        """Receive nothing more; returns once the decoder has ended."""
        self.shut = True
        if self._reporting is not None and self._decoding is not None:
            self.transport._unregister_rtp_receiver(self)
            short_cuts = _short_cuts(self.transport)
            for ssrc in [ssrc for ssrc, receiver in short_cuts.items() if receiver is self]:
                del short_cuts[ssrc]
            self._reporting.cancel()
            await asyncio.wait([self._reporting])
            await self._decoding.close()
            self._undecoded = []
        self._track.stop()

    def _handle_disconnect(self) -> None:
        if self._reporting is not None:  # aiortc raises nothing for a report to nobody, so this would go on forever
            self._reporting.cancel()
        self._track.stop()

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket) and packet.ssrc in self._heard:
            self.feedback.hear(packet)
        elif isinstance(packet, RtcpByePacket) and (self._source is None or self._source in packet.sources):
            self.shut = True  # even if the source goes on, nothing more is decoded, as nobody looks at it
            self._track.stop()

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        if not self._is_welcome(packet):
            return
        if self._estimator is not None:
            await self._estimate(packet)
        codec = self._codecs.get(packet.payload_type)
        if codec is None or self._decoding is None:
            return
        self.feedback.count(packet, codec.clockRate)
        if _parts.is_rtx(codec):
            original = self._retransmitted(packet, codec)
            if original is None:
                return
            packet, codec = original
        self._take(packet, codec)

    def take(self, data: bytes) -> None:
        """Take a decrypted packet of the source, past aiortc's own handling."""
        try:
            packet = parse_rtp(data)
        except ValueError:
            return
        codec = self._codecs.get(packet.payload_type)
        if codec is None or self.shut or not self._has_place(packet.ssrc):
            return
        self.feedback.count(packet, codec.clockRate)
        if self.orientations and packet.extension and (turns := quarter_turns(packet.extension, self.orientations)) is not None:
            self._turns = turns
        self._take(packet, codec)

    def _retransmitted(self, packet: RtpPacket, codec: RTCRtpCodecParameters) -> tuple[RtpPacket, RTCRtpCodecParameters] | None:
        """The packet that this one retransmits, and its codec (RFC 4588); None if it is not one of ours."""
        payload_type = codec.parameters.get("apt")
        ssrc = self._source_of_retransmission.get(packet.ssrc)
        if ssrc is None or len(packet.payload) < 2 or payload_type not in self._codecs:
            return None
        return _parts.unwrap_rtx(packet, payload_type=payload_type, ssrc=ssrc), self._codecs[payload_type]

    def _take(self, packet: RtpPacket | RtpHeader, codec: RTCRtpCodecParameters) -> None:
        """Take a packet of the source's media stream: assemble and decode frames, and request what is missing."""
        if codec.name not in KEYFRAMES:  # such as a retransmission that claims to contain another one
            return
        self.feedback.note(packet)
        self._source = packet.ssrc
        try:
            begins, data = _depayloaded(codec, packet.payload) if packet.payload else (False, b"")
        except ValueError:  # not a packet of this codec: it leaves a gap in the frame
            return
        assert self._decoding is not None
        if data and codec.name != self._codec_name:
            self._switch_to(codec)
        behind = self._decoding.behind
        self._track.left_out += behind
        if self._decoding.failed or behind:
            self._track.undecodable |= self._decoding.failed
            self._decoding.failed = False
            self._assembler.lose()
            self._undecoded = []
        lost = self._assembler.lost
        piece = Piece(packet.sequence_number, packet.timestamp, begins, bool(packet.marker), data)
        for frame in self._assembler.add(piece, time.monotonic()):
            self._decode(frame, codec)
        # while decoding does not keep up, a keyframe would only be one more frame to decode, and a large one
        if self._assembler.broken and self._assembler.lost > lost and not behind:
            self.feedback.want_keyframe(packet.ssrc)

    def _switch_to(self, codec: RTCRtpCodecParameters) -> None:
        """Start over with a new codec and its rule for keyframes; nothing is decoded before its first keyframe."""
        self._decoder, self._codec_name, self._undecoded = None, codec.name, []
        self._assembler.use(KEYFRAMES[codec.name])

    def _decode(self, frame: EncodedFrame, codec: RTCRtpCodecParameters) -> None:
        assert self._decoding is not None
        if self._decoder is None:
            self._decoder = _decoder(codec)
        self._undecoded.append(frame)
        wanted_ms = self._track.arrived()
        # together, once a picture is wanted: a decoder that decodes several frames in a row finds its data still in the cache
        if wanted_ms is not None or len(self._undecoded) >= MOST_AT_ONCE:
            self._decoding.submit(partial(_decoded, self._decoder, self._undecoded, self._turns), wanted_ms)
            self._undecoded = []

    async def _estimate(self, packet: RtpPacket) -> None:
        """Tell the sender how much bandwidth the path has (draft-alvestrand-rmcat-remb): no server in between does."""
        ssrc = self.feedback.ssrc
        if self._estimator is None or packet.extensions.abs_send_time is None or ssrc is None:
            return
        estimate = self._estimator.add(
            abs_send_time=packet.extensions.abs_send_time,
            # not aiortc's, which is from the wall clock: if that is set ahead, the path would seem to have stalled
            arrival_time_ms=time.monotonic_ns() // 1_000_000,
            payload_size=len(packet.payload) + packet.padding_size,
            ssrc=packet.ssrc,
        )
        if estimate is not None:
            fci = _rtp.pack_remb_fci(*estimate)
            await self._send_rtcp(_rtp.RtcpPsfbPacket(fmt=_rtp.RTCP_PSFB_APP, ssrc=ssrc, media_ssrc=0, fci=fci))


# weak, because a receiver refers to its transport: with strong references here, neither would ever be freed
_sources: WeakKeyDictionary[RTCDtlsTransport, WeakValueDictionary[int, DirectReceiver]] = WeakKeyDictionary()


def _short_cuts(transport: RTCDtlsTransport) -> WeakValueDictionary[int, DirectReceiver]:
    """The direct receivers of a transport, by the SSRC whose packets they take past aiortc."""
    return _sources.setdefault(transport, WeakValueDictionary())


class ShortCut(asyncio.DatagramProtocol):
    """Hands media straight to its receiver, past two queues and two tasks, and everything else to the usual protocol.

    The usual path costs more per packet than decrypting and decoding together. Datagrams that would end the connection, whoever
    sent them, are dropped.
    """

    def __init__(self, dtls: RTCDtlsTransport, socket: asyncio.DatagramTransport) -> None:
        self._dtls: Any = dtls
        self._receivers = _short_cuts(dtls)
        self._usual = cast(asyncio.DatagramProtocol, socket.get_protocol())
        socket.set_protocol(self)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Called by the event loop."""
        if not 0 < len(data) <= LARGEST_BYTES:
            return
        if len(data) > FIXED_BYTES and is_media(data) and not is_report(data):
            receiver = self._receivers.get(int.from_bytes(data[8:12]))
            if receiver is not None and self._dtls._rx_srtp is not None:
                try:
                    packet = self._dtls._rx_srtp.unprotect(data)
                except pylibsrtp.Error:  # forged, or a duplicate
                    return
                receiver.take(packet)
                return
        with suppress(*UNREADABLE_STUN):
            self._usual.datagram_received(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Called by the event loop."""
        self._usual.error_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._usual.connection_lost(exc)


def take_short_cuts(peer: RTCPeerConnection, sockets: Iterable[asyncio.DatagramTransport]) -> None:
    """Put a ShortCut on each socket of a connection whose sections share one transport, if this aiortc allows it."""
    dtls = peer.getTransceivers()[0].receiver.transport
    if can_receive_directly() and hasattr(dtls, "_rx_srtp"):
        for each in sockets:
            if not isinstance(each.get_protocol(), ShortCut):
                ShortCut(dtls, each)


def _depayloaded(codec: RTCRtpCodecParameters, payload: bytes) -> tuple[bool, bytes]:
    """Whether a packet begins a part that can be decoded, and its data; raises ValueError if it is not of this codec."""
    if codec.name == "VP8":
        return vp8_payload(payload)
    data = _parts.depayload(codec, payload)
    # only the first packet of a fragmented unit has the start code
    return data.startswith(b"\0\0\0\1"), data


def _decoded(decoder: Any, frames: list[EncodedFrame], turns: int) -> list[VideoFrame]:
    """The last picture that the frames decode to, as a list of one or none, turned clockwise by `turns` quarters."""
    pictures: list[VideoFrame] = []
    for frame in frames:
        pictures = decoder.decode(frame) or pictures  # not every frame gives a picture
    return [upright(picture, turns) for picture in pictures[-1:]]


def _decoder(codec: RTCRtpCodecParameters) -> Any:
    decoder = _parts.get_decoder(codec)
    if hasattr(decoder, "codec"):
        if codec.name == "VP8":
            # FFmpeg's own decoder gives the same pictures as libvpx at a tenth less cost
            decoder.codec = CodecContext.create("vp8", "r")
        decoder.codec.options = {"max_pixels": str(MOST_PIXELS)}
        decoder.codec.thread_count = 1  # sources share our threads; a decoder's own would spin while they wait for each other
    return decoder


class HeldReceiver(RTCRtpReceiver):
    """A receiver that receives nothing: no packet is routed to it, and it has no decoder. It keeps the negotiated parameters."""

    def __init__(self, transport: RTCDtlsTransport, parameters: RTCRtpReceiveParameters | None = None) -> None:
        super().__init__("audio", transport)  # for audio, aiortc builds fewer parts, none of which are used here
        self._track = RemoteStreamTrack("video")
        self.parameters = parameters

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        """Keep the parameters for the receiver that takes its place."""
        self.parameters = parameters


class Gate:
    """A video m-line that is received while the gate is open; while it is closed, nothing of it is even buffered.

    It must be made between an offer and its answer, and is closed at first. Each opening has a decoder of its own, so that no
    picture from before a closing comes out afterwards.
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
        """Begin to receive, and return the track; raises InvalidStateError if the connection is closed."""
        if isinstance(held := self._receiver, HeldReceiver):
            # not strict: some publishers send with another SSRC than they offered, and nobody else uses this connection
            fresh = receiver_for(held.transport, strict=False, steering=True)
            self._install(fresh)
            if held.parameters is not None:  # if they are, the negotiation will still bring them
                await fresh.receive(held.parameters)
        return self._receiver.track

    async def close(self) -> None:
        """Take no more packets from this moment on; returns once the decoder has ended."""
        if isinstance(former := self._receiver, BoundReceiver):
            if former.transport.state != "closed":  # no receiver can be made on a closed one
                self._install(HeldReceiver(former.transport, former.parameters))
            await former.stop()

    def _install(self, receiver: BoundReceiver | HeldReceiver) -> None:
        self._receiver = receiver
        _install(self._transceiver, receiver)


def can_rebind() -> bool:
    """Whether aiortc's receivers can be replaced; if not, an m-line that changes its source needs a new connection."""
    return hasattr(RTCRtpTransceiver("video", None, None), _RECEIVER)  # type: ignore[arg-type]  # it is only looked at


def rebind(peer: RTCPeerConnection, mid: str, *, strict: bool = True) -> tuple[BoundReceiver, RTCRtpReceiver]:
    """Give an m-line a fresh receiver, between an offer and its answer; returns it and the old one, to `retire` afterwards."""
    transceiver = _transceiver(peer, mid)
    former = transceiver.receiver
    fresh = receiver_for(former.transport, strict=strict)
    _install(transceiver, fresh)
    return fresh, former


def receiver_for(transport: RTCDtlsTransport, *, strict: bool = True, steering: bool = False) -> BoundReceiver:
    """The cheapest receiver that this aiortc allows; with `steering`, a direct one tells the sender the path's bandwidth."""
    if can_receive_directly():
        return DirectReceiver(transport, strict=strict, steering=steering)
    return BoundReceiver(transport, strict=strict)


@functools.cache
def can_receive_directly() -> bool:
    """Whether this aiortc has all the internals that a direct receiver uses; if not, one warning says so."""
    known = all(hasattr(owner, name) for owner, names in _INSIDES.items() for name in names)
    if not known:
        logger.warning("with this version of aiortc (%s), receiving costs more", aiortc.__version__)
    return known


def _transceiver(peer: RTCPeerConnection, mid: str) -> RTCRtpTransceiver:
    return next(each for each in peer.getTransceivers() if each.mid == mid)


def _install(transceiver: RTCRtpTransceiver, receiver: RTCRtpReceiver) -> None:
    receiver._set_rtcp_ssrc(transceiver.sender._ssrc)
    setattr(transceiver, _RECEIVER, receiver)


async def retire(fresh: BoundReceiver, former: RTCRtpReceiver) -> bool:
    """Stop the former receiver of an m-line once the fresh one receives; returns whether that one did within 5 s.

    It is not stopped earlier, because while the old SSRC has a receiver, its late packets cannot be taken for somebody else's.
    """
    bound = await in_time(fresh.bound, _BIND_SECONDS)
    await former.stop()
    return bound


def can_show_ice() -> bool:
    """Whether this aiortc gives access to the aioice connections that its peers use."""
    return hasattr(RTCIceTransport(RTCIceGatherer([])), _ICE)


def ice_of(peer: RTCPeerConnection) -> Connection | None:
    """The aioice connection of a peer whose sections share one transport; None if this aiortc does not give access to it."""
    ice = getattr(peer.getTransceivers()[0].receiver.transport.transport, _ICE, None)
    return ice if isinstance(ice, Connection) else None


def can_receive(section: MediaDescription) -> bool:
    """Whether aiortc has a decoder for a codec that an m-line offers; if not, applying the offer would fail as a whole."""
    return bool(find_common_codecs(CODECS["video"], section.rtp.codecs))
