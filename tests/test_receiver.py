"""Receiving from sources that change: whose packets count, and what padding does to a decoder."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.codecs import CODECS, get_encoder
from aiortc.rtcrtpparameters import RTCRtpDecodingParameters, RTCRtpReceiveParameters
from aiortc.rtp import RtpPacket
from av import Packet

from bot.clips import Clip
from bot.receiver import MAX_SOURCES, BoundReceiver, can_rebind
from tests.marks import mark_of, marked_clip

SSRC, OTHER = 1111, 2222
VP8 = next(codec for codec in CODECS["video"] if codec.mimeType == "video/VP8")


@pytest.fixture(scope="module")
def clip() -> Clip:
    return marked_clip(5, (160, 90), seconds=1)


@pytest.fixture
async def receiver() -> AsyncIterator[BoundReceiver]:
    """A receiver of one source, with no network before it."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    bound = BoundReceiver(peer.addTransceiver("video").receiver.transport)
    encodings = [RTCRtpDecodingParameters(ssrc=SSRC, payloadType=VP8.payloadType)]
    await bound.receive(RTCRtpReceiveParameters(codecs=[VP8], encodings=encodings))
    yield bound
    await bound.stop()
    await peer.close()


class Sent:
    """The packets of a source, numbered as they go out."""

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._number = 100

    def packet(self, timestamp: int, payload: bytes, *, last: bool = False) -> RtpPacket:
        self._number += 1
        packet = RtpPacket(VP8.payloadType, int(last), self._number, timestamp, self._ssrc, payload)
        packet.padding_size = 0 if payload else 200
        return packet

    def frames(self, clip: Clip, *, padding: bool) -> Iterator[RtpPacket]:
        """A clip at 10 frames a second; with padding, packets of other timestamps stand between the frames."""
        encoder = get_encoder(VP8)
        for number, data in enumerate(clip.packets):
            packet = Packet(data)
            packet.pts, packet.time_base = number, Fraction(1, 10)
            payloads, _ = encoder.pack(packet)
            for payload in payloads:
                yield self.packet(9000 * number, payload, last=payload is payloads[-1])
            for step in range(3 * padding):
                yield self.packet(9000 * number + 3000 * (step // 2), b"")


async def frames_of(receiver: BoundReceiver, packets: list[RtpPacket]) -> int:
    """How many pictures with the clip's mark come of these packets."""
    for packet in packets:
        await receiver._handle_rtp_packet(packet, 0)
    count = 0
    while True:
        try:
            async with asyncio.timeout(1):
                assert mark_of(await receiver.track.recv()) == 5  # type: ignore[arg-type]  # a video track
        except TimeoutError:
            return count
        count += 1


async def test_padding_between_the_frames_costs_none_of_them(receiver: BoundReceiver, clip: Clip) -> None:
    packets = [Sent(SSRC).packet(0, b""), *Sent(SSRC).frames(clip, padding=True)]
    # the last one waits for the first packet of a next one
    assert await frames_of(receiver, packets) == len(clip.packets) - 1


async def test_packets_of_another_source_are_left_out_and_counted(receiver: BoundReceiver, clip: Clip) -> None:
    strangers = list(Sent(OTHER).frames(marked_clip(200, (160, 90), seconds=0.5), padding=False))
    packets = list(Sent(SSRC).frames(clip, padding=False))
    mixed = [packet for pair in zip(packets, strangers, strict=False) for packet in pair] + packets[len(strangers) :]
    assert await frames_of(receiver, mixed) == len(clip.packets) - 1
    assert receiver.foreign_packets == len(strangers)


async def test_more_sources_than_a_report_has_places_for_are_left_out() -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    open_minded = BoundReceiver(peer.addTransceiver("video").receiver.transport, strict=False)
    for ssrc in range(300):
        await open_minded._handle_rtp_packet(Sent(ssrc).packet(0, b"x"), 0)
    assert open_minded.foreign_packets == 300 - MAX_SOURCES
    await peer.close()


def test_this_aiortc_can_be_given_another_receiver() -> None:
    assert can_rebind()
