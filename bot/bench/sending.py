"""Sends a recording on behalf of many students over one connection, as an SFU does; knows the internals of aiortc's transports.

aiortc's own senders need two tasks per stream and an object per packet: a class of 400 would take more of the machine than the
bot that is measured on it. So ICE, DTLS and SRTP are aiortc's, and the packets that they carry are made here.
"""

import asyncio
import heapq
import struct
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from aiortc.rtp import RTCP_PSFB_FIR, RTCP_PSFB_PLI, RTCP_RTPFB_NACK, AnyRtcpPacket, RtcpPsfbPacket, RtcpRtpfbPacket
from aiortc.sdp import SessionDescription

from bot.bench.ivf import VIDEO_CLOCK_HZ
from bot.bench.packets import Recording, RtpStream

REPORT_SECONDS = 1.0
BURST_PACKETS = 6
BURST_SECONDS = 0.04
"""Chromium sends frames of more than BURST_PACKETS packets in bursts of about that many, BURST_SECONDS apart."""

TIMER_SECONDS = 0.001
"""What is due within this time is sent at once, because the event loop's timers are no finer."""

REMEMBERED_PACKETS = 128
NOT_AGAIN_SECONDS = 0.2
"""How long Janus does not repeat a packet again that it has just repeated."""

KEYFRAMES_APART_SECONDS = 0.3
"""How long after a keyframe Chromium makes no other, whoever requests one."""

NTP_EPOCH_SECONDS = 2_208_988_800
_SENDER_REPORT = struct.Struct("!BBHIQIII")
_DESCRIPTION = struct.Struct("!BBHI")


@dataclass(slots=True)
class Playing:
    """A stream that plays a recording: its next frame, its timing, and the last packets sent.

    `origin` is the RTP timestamp, and `started_at` the event loop's time, of the recording's beginning in this round.
    """

    stream: RtpStream
    origin: int
    started_at: float
    turns_back_at: int
    """The frame at which the first round ends early, so that different students' keyframes are spread in time; later 0."""
    number: int = 0
    paused: bool = False
    reported_at: float = 0.0
    waiting: deque[bytes] = field(default_factory=deque)
    sent: "OrderedDict[int, bytes]" = field(default_factory=OrderedDict)
    sent_again_at: dict[int, float] = field(default_factory=dict)


class Replay:
    """One connection to a subscriber and the streams sent over it; `counts` is what happened on it."""

    _ssrc = 0
    """aiortc expects a sender to have one SSRC; this one stands for many."""

    def __init__(self, recording: Recording, counts: Counter[str]) -> None:
        self.counts = counts
        self.gone = asyncio.Event()
        self._recording = recording
        self._ice = RTCIceTransport(RTCIceGatherer([]))
        self._ice._connection.ice_controlling = True  # the offerer is, unless it is ICE-lite; so DTLS waits for the other's hello
        self._dtls = RTCDtlsTransport(self._ice, [RTCCertificate.generateCertificate()])
        self._dtls.on("statechange", self._note_end)
        self._playing: dict[int, Playing] = {}
        self._due: list[tuple[float, int, bool]] = []
        """A heap of when to send something of which stream: its next frame (True), or more of the last one (False)."""
        self._woken: asyncio.Future[None] | None = None
        self._random = np.random.default_rng(1)
        self.connected = False

    async def gather(self) -> None:
        """Gather our candidates."""
        await self._ice.iceGatherer.gather()

    @property
    def transport_lines(self) -> list[str]:
        """The attributes about ICE and DTLS in each section of an offer."""
        ice = self._ice.iceGatherer.getLocalParameters()
        fingerprint = next(each for each in self._dtls.getLocalParameters().fingerprints if each.algorithm == "sha-256")
        candidates = [
            f"candidate:{each.foundation} {each.component} {each.protocol} {each.priority} {each.ip} {each.port} typ {each.type}"
            for each in self._ice.iceGatherer.getLocalCandidates()
        ]
        return [
            f"ice-ufrag:{ice.usernameFragment}",
            f"ice-pwd:{ice.password}",
            "ice-options:trickle",
            f"fingerprint:{fingerprint.algorithm} {fingerprint.value}",
            "setup:actpass",
            *candidates,
            "end-of-candidates",
        ]

    async def connect(self, answer: str) -> bool:
        """Take the subscriber's answer and connect; returns whether the connection was established."""
        media = SessionDescription.parse(answer).media[0]
        if media.ice is None or media.dtls is None:
            return False
        for candidate in media.ice_candidates:
            await self._ice.addRemoteCandidate(candidate)
        await self._ice.addRemoteCandidate(None)
        await self._ice.start(media.ice)
        if self._ice.state == "completed":
            await self._dtls.start(media.dtls)
        self.connected = self._dtls.state == "connected"
        return self.connected

    def play(self, streams: Iterable[RtpStream]) -> None:
        """Send these streams from now on, each beginning with the keyframe, and no two of them in step."""
        now, interval_seconds = _now(), 1 / self._recording.frames_per_second
        for stream in streams:
            self._dtls._rtp_router.register_sender(self, stream.ssrc)
            playing = Playing(
                stream,
                origin=int(self._random.integers(2**32)),
                started_at=now + float(self._random.random()) * interval_seconds,
                turns_back_at=int(self._random.integers(len(self._recording.frames))),
            )
            self._playing[stream.ssrc] = playing
            heapq.heappush(self._due, (playing.started_at, stream.ssrc, True))
        self._wake()

    def stop(self, ssrc: int) -> None:
        """Send nothing more of this stream."""
        self._playing.pop(ssrc, None)
        self._dtls._rtp_router.senders.pop(ssrc, None)

    def pause(self, ssrc: int, paused: bool) -> None:
        """Pause a stream, or let it go on with a keyframe."""
        if playing := self._playing.get(ssrc):
            if playing.paused and not paused:
                self._turn_back(playing)
            playing.paused = paused

    async def run(self) -> None:
        """Send what is due, until the subscriber is gone."""
        while not self.gone.is_set():
            if not self._due or self._due[0][0] > _now() + TIMER_SECONDS:
                await self._wait()
                continue
            due_at, ssrc, is_frame = heapq.heappop(self._due)
            if playing := self._playing.get(ssrc):
                if is_frame:
                    self._next_frame(playing, due_at)
                await self._send_burst(playing)

    async def close(self) -> None:
        """End the connection."""
        self.gone.set()
        self._wake()
        await self._dtls.stop()
        await self._ice.stop()

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        """Called by aiortc with feedback on one of our streams."""
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
            self.counts["keyframes_asked"] += 1
            playing = self._playing.get(packet.media_ssrc)
            if playing and _now() - playing.started_at > KEYFRAMES_APART_SECONDS:
                self._turn_back(playing)
        elif isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            self.counts["packets_asked_again"] += len(packet.lost)
            if playing := self._playing.get(packet.media_ssrc):
                await self._send_again(playing, packet.lost)

    async def _send_again(self, playing: Playing, lost: Iterable[int]) -> None:
        now = _now()
        for number in lost:
            if number in playing.sent and now - playing.sent_again_at.get(number, 0.0) > NOT_AGAIN_SECONDS:
                playing.sent_again_at[number] = now
                await self._send([playing.stream.again(playing.sent[number])])
                self.counts["packets_sent_again"] += 1

    def _turn_back(self, playing: Playing) -> None:
        """Send the keyframe next, when the next frame would have been due, with RTP timestamps that go on."""
        if playing.number == 0:
            return
        due_at = self._due_at(playing)
        playing.origin = playing.origin + round((due_at - playing.started_at) * VIDEO_CLOCK_HZ) & 0xFFFFFFFF
        playing.started_at, playing.number = due_at, 0

    def _due_at(self, playing: Playing) -> float:
        return playing.started_at + self._recording.timestamps[playing.number] / VIDEO_CLOCK_HZ

    async def _wait(self) -> None:
        """Wait until something is due or changes; cheaper than asyncio.timeout, which matters a thousand times a second."""
        loop = asyncio.get_running_loop()
        self._woken = loop.create_future()
        timer = loop.call_at(self._due[0][0], self._wake) if self._due else None
        try:
            await self._woken
        finally:
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _next_frame(self, playing: Playing, due_at: float) -> None:
        now = _now()
        self._note_lateness(now - due_at)
        frame, stream = self._recording.frames[playing.number], playing.stream
        timestamp = playing.origin + self._recording.timestamps[playing.number] & 0xFFFFFFFF
        if not playing.paused:
            packets = stream.packets(frame, timestamp, int(time.time() * 2**18))
            self._remember(playing, packets)
            playing.waiting += packets
            self.counts["frames_sent"] += 1
        if now - playing.reported_at >= REPORT_SECONDS:
            playing.reported_at = now
            playing.waiting.append(sender_report(stream, timestamp))
        self._advance(playing)
        heapq.heappush(self._due, (self._due_at(playing), stream.ssrc, True))

    async def _send_burst(self, playing: Playing) -> None:
        waiting = playing.waiting
        await self._send([waiting.popleft() for _ in range(min(BURST_PACKETS, len(waiting)))])
        if waiting:
            heapq.heappush(self._due, (_now() + BURST_SECONDS, playing.stream.ssrc, False))

    def _advance(self, playing: Playing) -> None:
        playing.number += 1
        if playing.number == len(self._recording.frames):
            playing.started_at += self._recording.ticks / VIDEO_CLOCK_HZ
            playing.origin = playing.origin + self._recording.ticks & 0xFFFFFFFF
            playing.number = 0
        elif playing.number == playing.turns_back_at:
            playing.turns_back_at = 0
            self._turn_back(playing)

    def _remember(self, playing: Playing, packets: list[bytes]) -> None:
        first = playing.stream.sequence_number - len(packets)
        for place, packet in enumerate(packets):
            playing.sent[first + place & 0xFFFF] = packet
        while len(playing.sent) > REMEMBERED_PACKETS:
            oldest, _ = playing.sent.popitem(last=False)
            playing.sent_again_at.pop(oldest, None)

    async def _send(self, packets: list[bytes]) -> None:
        try:
            for packet in packets:
                await self._dtls._send_rtp(packet)
        except ConnectionError:
            self.gone.set()
        self.counts["packets_sent"] += len(packets)

    def _note_lateness(self, late_seconds: float) -> None:
        self.counts["latest_ms"] = max(self.counts["latest_ms"], round(late_seconds * 1000))
        self.counts["frames_late"] += late_seconds > 0.1

    def _note_end(self) -> None:
        if self._dtls.state in ("closed", "failed"):
            self.gone.set()
            self._wake()


def sender_report(stream: RtpStream, timestamp: int) -> bytes:
    """A compound RTCP packet: a sender report with the time of the last frame and the amount sent, and a CNAME.

    Source: RFC 3550, sections 6.4.1 and 6.5.
    """
    ntp = int((time.time() + NTP_EPOCH_SECONDS) * 2**32) & 0xFFFFFFFFFFFFFFFF
    octets = stream.octets_sent & 0xFFFFFFFF
    report = _SENDER_REPORT.pack(0x80, 200, 6, stream.ssrc, ntp, timestamp, stream.packets_sent & 0xFFFFFFFF, octets)
    item = b"\x01\x05janus\x00"
    return report + _DESCRIPTION.pack(0x81, 202, (4 + len(item)) // 4, stream.ssrc) + item


def _now() -> float:
    return asyncio.get_running_loop().time()
