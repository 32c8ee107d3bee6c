"""Receiving from sources that change: whose packets count, and what padding does to a decoder."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from fractions import Fraction
from itertools import islice

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, rtcrtpreceiver
from aiortc.codecs import CODECS, get_encoder
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpDecodingParameters, RTCRtpReceiveParameters
from aiortc.rtp import (
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtpPacket,
)
from av import Packet, VideoFrame

from bot.clips import Clip, portrait_pictures
from bot.decoding import MOST_UNDECODED
from bot.frame_assembly import PATIENCE_SECONDS
from bot.receiver import (
    ASK_AGAIN_SECONDS,
    MAX_SOURCES,
    MOST_AT_ONCE,
    BoundReceiver,
    DirectReceiver,
    can_rebind,
    can_receive_directly,
    receiver_for,
)
from bot.tracks import watch
from pipeline.clock import now_ms
from tests.marks import mark_of, marked_clip

SSRC, OTHER = 1111, 2222
VP8 = next(codec for codec in CODECS["video"] if codec.mimeType == "video/VP8")


Kind = tuple[type[AnyRtcpPacket], int]
PLI, NACK = (RtcpPsfbPacket, RTCP_PSFB_PLI), (RtcpRtpfbPacket, RTCP_RTPFB_NACK)
"""Requests to a sender; the types are needed too, as the numbers alone are equal."""


@pytest.fixture(scope="module")
def clip() -> Clip:
    return marked_clip(5, (160, 90), seconds=1)


@pytest.fixture(params=[BoundReceiver, DirectReceiver])
async def receiver(request: pytest.FixtureRequest) -> AsyncIterator[BoundReceiver]:
    """A receiver of one source, with no network in front of it: aiortc's own way, and the cheap one."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    bound: BoundReceiver = request.param(peer.addTransceiver("video").receiver.transport)
    encodings = [RTCRtpDecodingParameters(ssrc=SSRC, payloadType=VP8.payloadType)]
    await bound.receive(RTCRtpReceiveParameters(codecs=[VP8], encodings=encodings))
    yield bound
    await bound.stop()
    await peer.close()


class Sent:
    """The packets of a source, numbered as they are sent."""

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._number = 100

    def packet(self, timestamp: int, payload: bytes, *, last: bool = False) -> RtpPacket:
        self._number += 1
        packet = RtpPacket(VP8.payloadType, int(last), self._number, timestamp, self._ssrc, payload)
        packet.padding_size = 0 if payload else 200
        return packet

    def frames(self, clip: Clip, *, padding: bool) -> Iterator[RtpPacket]:
        """A clip at 10 frames a second; with padding, packets with other timestamps come between the frames."""
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
    """How many pictures with the clip's mark result from these packets."""
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


def held_back(receiver: BoundReceiver) -> int:
    """How many frames are still waiting for the first packet of the next one."""
    return 0 if isinstance(receiver, DirectReceiver) else 1


async def test_padding_between_the_frames_costs_none_of_them(receiver: BoundReceiver, clip: Clip) -> None:
    source = Sent(SSRC)
    packets = [source.packet(0, b""), *source.frames(clip, padding=True)]
    assert await frames_of(receiver, packets) == len(clip.packets) - held_back(receiver)


async def test_packets_of_another_source_are_left_out_and_counted(receiver: BoundReceiver, clip: Clip) -> None:
    strangers = list(Sent(OTHER).frames(marked_clip(200, (160, 90), seconds=0.5), padding=False))
    packets = list(Sent(SSRC).frames(clip, padding=False))
    mixed = [packet for pair in zip(packets, strangers, strict=False) for packet in pair] + packets[len(strangers) :]
    assert await frames_of(receiver, mixed) == len(clip.packets) - held_back(receiver)
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


async def pictures_of(kind: type[BoundReceiver], packets: list[RtpPacket], count: int) -> list[bytes]:
    """The pixels of the first `count` pictures that such a receiver makes of the packets."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    receiver = kind(peer.addTransceiver("video").receiver.transport)
    await receiver.receive(
        RTCRtpReceiveParameters(codecs=CODECS["video"], encodings=[RTCRtpDecodingParameters(ssrc=SSRC, payloadType=0)])
    )
    for packet in packets:
        await receiver._handle_rtp_packet(replicated(packet), 0)
    async with asyncio.timeout(10):
        frames = [await receiver.track.recv() for _ in range(count)]
    await receiver.stop()
    await peer.close()
    return [frame.to_ndarray(format="rgb24").tobytes() for frame in frames]  # type: ignore[union-attr]  # video frames


def replicated(packet: RtpPacket) -> RtpPacket:
    """An equal packet, as a receiver may change the one that it is given."""
    return RtpPacket.parse(packet.serialize())


@pytest.mark.parametrize("codec_name", ["VP8", "H264"])
@pytest.mark.parametrize("disorder", [False, True])
async def test_both_ways_give_the_same_pictures(codec_name: str, disorder: bool) -> None:
    codec = next(codec for codec in CODECS["video"] if codec.name == codec_name)
    packets = encoded_packets(codec, 12)
    if disorder:
        packets[3:] = sorted(packets[3:], key=lambda packet: packet.sequence_number ^ 1)
    stock = await pictures_of(BoundReceiver, packets, 11)
    assert await pictures_of(DirectReceiver, packets, 11) == stock


def encoded_packets(codec: RTCRtpCodecParameters, count: int) -> list[RtpPacket]:
    """The packets of the moving portrait, as aiortc sends it in that codec."""
    encoder, sent, packets = get_encoder(codec), Sent(SSRC), list[RtpPacket]()
    for number, image in enumerate(islice(portrait_pictures(1), count)):
        frame = VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 10)
        payloads, _ = encoder.encode(frame, force_keyframe=number == 0)
        for payload in payloads:
            packet = sent.packet(9000 * number, payload, last=payload is payloads[-1])
            packet.payload_type = codec.payloadType
            packets.append(packet)
    return packets


@pytest.mark.slow
async def test_a_loss_is_answered_by_one_request_for_a_keyframe_and_no_broken_picture(clip: Clip) -> None:
    sent = Sent(SSRC)
    packets = list(sent.frames(clip, padding=False))
    keyframe = list(sent.frames(clip, padding=False))
    async with asked_of() as (receiver, asked):
        hole = next(place for place, packet in enumerate(packets) if packet.timestamp == 9000 * 3)
        shown = await frames_of(receiver, packets[:hole] + packets[hole + 1 : hole + 2])
        await asyncio.sleep(PATIENCE_SECONDS)
        for packet in packets[hole + 2 :]:
            await receiver._handle_rtp_packet(packet, 0)
            await asyncio.sleep(0.01)
        assert asked.count(PLI) == 1
        assert shown == 3 and await frames_of(receiver, keyframe) == len(clip.packets)


async def test_a_request_for_a_lost_packet_is_made_again_while_its_frame_is_waited_for_and_no_longer(clip: Clip) -> None:
    packets = list(Sent(SSRC).frames(clip, padding=False))
    async with asked_of() as (receiver, asked):
        take_all(receiver, [*packets[:3], *packets[4:6]])
        await asyncio.sleep(PATIENCE_SECONDS + 2 * ASK_AGAIN_SECONDS)
        requests = asked.count(NACK)
        assert 3 <= requests <= PATIENCE_SECONDS / ASK_AGAIN_SECONDS
        await asyncio.sleep(2 * ASK_AGAIN_SECONDS)
        assert asked.count(NACK) == requests


async def test_a_packet_that_came_after_all_is_asked_for_no_more(clip: Clip) -> None:
    packets = list(Sent(SSRC).frames(clip, padding=False))
    async with asked_of() as (receiver, asked):
        take_all(receiver, [*packets[:3], *packets[4:6], packets[3]])
        await asyncio.sleep(3 * ASK_AGAIN_SECONDS)
        assert asked.count(NACK) <= 1


async def test_a_sender_that_cannot_be_told_anything_any_more_ends_its_track(
    clip: Clip, caplog: pytest.LogCaptureFixture
) -> None:
    packets = list(Sent(SSRC).frames(clip, padding=False))
    async with asked_of(fails=True) as (receiver, _):
        take_all(receiver, [*packets[:3], *packets[4:6]])
        await asyncio.sleep(0.05)
        assert receiver.track.readyState == "ended"
    assert "no reports reach its sender: RuntimeError('closed')" in caplog.text


async def test_a_goodbye_of_another_source_ends_nothing_and_that_of_its_own_ends_the_track(clip: Clip) -> None:
    packets = list(Sent(SSRC).frames(clip, padding=False))
    async with direct() as receiver:
        take_all(receiver, packets[:5])
        await receiver._handle_rtcp_packet(RtcpByePacket(sources=[OTHER]))
        assert receiver.track.readyState == "live"
        await receiver._handle_rtcp_packet(RtcpByePacket(sources=[OTHER, SSRC]))
        assert receiver.track.readyState == "ended"
        take_all(receiver, packets[5:])
        assert receiver._undecoded == [], "nothing is decoded for nobody"


async def test_a_receiver_whose_connection_is_cut_reports_to_nobody_any_more() -> None:
    async with direct() as receiver:
        reporting = receiver._reporting
        assert reporting is not None
        receiver._handle_disconnect()
        await asyncio.wait([reporting], timeout=1)
        assert reporting.cancelled()


@pytest.mark.slow
async def test_that_a_frame_could_not_be_decoded_is_told_until_a_picture_is_shown(clip: Clip) -> None:
    sent = Sent(SSRC)
    async with direct() as receiver:
        broken = [sent.packet(9000 * number, b"\x10\x00\x00\x00", last=True) for number in range(3)]
        await frames_of(receiver, broken)
        take_all(receiver, [sent.packet(27_000, b"\x10\x01", last=True)])
        assert receiver.track.undecodable
        assert await frames_of(receiver, list(sent.frames(clip, padding=False))) == len(clip.packets)
        assert not receiver.track.undecodable


async def test_while_decoding_does_not_keep_up_no_keyframe_is_asked_for_and_afterwards_one(clip: Clip) -> None:
    packets, go_on = list(Sent(SSRC).frames(clip, padding=False)), threading.Event()
    async with asked_of() as (receiver, asked), asyncio.timeout(10), AsyncExitStack() as at_the_end:
        at_the_end.callback(go_on.set)
        decoding = receiver._decoding
        assert decoding is not None

        def held() -> list[VideoFrame]:
            go_on.wait(5)
            return []

        for _ in range(MOST_UNDECODED):
            decoding.submit(held, None)
        take_all(receiver, packets)
        await asyncio.sleep(0.05)
        assert decoding.behind and receiver._assembler.lost and asked == []
        left_out = receiver._track.left_out
        assert left_out == len(packets)
        go_on.set()
        while decoding.behind:
            await asyncio.sleep(0.01)
        differences = [packet for packet in packets if packet.timestamp != packets[0].timestamp]
        take_all(receiver, renumbered(differences, 1000))
        await asyncio.sleep(0.05)
        assert asked == [PLI] and receiver._track.left_out == left_out


@asynccontextmanager
async def asked_of(*, fails: bool = False) -> AsyncIterator[tuple[DirectReceiver, list[Kind]]]:
    """A direct receiver, and the kinds of feedback that it sends, or fails to send if `fails`."""
    asked: list[Kind] = []

    class Noting(DirectReceiver):
        async def _send_rtcp(self, packet: AnyRtcpPacket) -> None:
            if fails:
                raise RuntimeError("closed")
            if isinstance(packet, (RtcpPsfbPacket, RtcpRtpfbPacket)):
                asked.append((type(packet), packet.fmt))

    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    receiver = Noting(peer.addTransceiver("video").receiver.transport)
    receiver._set_rtcp_ssrc(1)
    encodings = [RTCRtpDecodingParameters(ssrc=SSRC, payloadType=VP8.payloadType)]
    await receiver.receive(RTCRtpReceiveParameters(codecs=[VP8], encodings=encodings))
    try:
        yield receiver, asked
    finally:
        await receiver.stop()
        await peer.close()


@pytest.mark.parametrize("owner", [RTCDtlsTransport, rtcrtpreceiver], ids=["transport", "module"])
async def test_another_aiortc_is_received_from_in_its_own_way_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, owner: object
) -> None:
    name = "_unregister_rtp_receiver" if owner is RTCDtlsTransport else "unwrap_rtx"
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transport = peer.addTransceiver("video").receiver.transport
    assert isinstance(receiver_for(transport), DirectReceiver)
    can_receive_directly.cache_clear()
    with monkeypatch.context() as changed:
        changed.delattr(owner, name)
        kinds = [type(receiver_for(transport)) for _ in range(3)]
    can_receive_directly.cache_clear()
    await peer.close()
    assert kinds == [BoundReceiver] * 3
    assert [record.levelname for record in caplog.records if record.name == "bot.receiver"] == ["WARNING"]


@asynccontextmanager
async def direct(codecs: list[RTCRtpCodecParameters] | None = None) -> AsyncIterator[DirectReceiver]:
    """A direct receiver of one source, with no network in front of it."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    receiver = DirectReceiver(peer.addTransceiver("video").receiver.transport)
    encodings = [RTCRtpDecodingParameters(ssrc=SSRC, payloadType=VP8.payloadType)]
    await receiver.receive(RTCRtpReceiveParameters(codecs=codecs or CODECS["video"], encodings=encodings))
    try:
        yield receiver
    finally:
        await receiver.stop()
        await peer.close()


def take_all(receiver: DirectReceiver, packets: list[RtpPacket]) -> None:
    for packet in packets:
        receiver.take(packet.serialize())


def renumbered(packets: list[RtpPacket], first: int) -> list[RtpPacket]:
    """The same packets, numbered from `first` on."""
    copies = [replicated(packet) for packet in packets]
    for place, packet in enumerate(copies):
        packet.sequence_number = (first + place) % 65_536
    return copies


def pixels(picture: object) -> bytes:
    assert isinstance(picture, VideoFrame)
    return picture.to_ndarray(format="rgb24").tobytes()


async def test_the_short_way_gives_the_same_pictures_as_aiortcs_own() -> None:
    packets = encoded_packets(VP8, 12)
    stock = await pictures_of(BoundReceiver, packets, 11)
    async with direct() as receiver, asyncio.timeout(10):
        take_all(receiver, packets)
        assert [pixels(await receiver.track.recv()) for _ in range(11)] == stock


@pytest.mark.parametrize("wanted", [7, MOST_AT_ONCE - 1, MOST_AT_ONCE, 2 * MOST_AT_ONCE + 8])
async def test_of_frames_that_are_decoded_together_the_last_ones_picture_is_shown(wanted: int) -> None:
    count = 2 * MOST_AT_ONCE + 10
    packets = encoded_packets(VP8, count)
    stock = await pictures_of(BoundReceiver, packets, count - 1)
    arrived, shown = list[int](), asyncio.Queue[VideoFrame]()

    def is_wanted(at_ms: int) -> bool:
        arrived.append(at_ms)
        return len(arrived) == wanted + 1

    async with direct() as receiver, asyncio.timeout(10):
        watching = asyncio.create_task(watch(receiver.track, is_wanted, lambda picture, at_ms: shown.put_nowait(picture), now_ms))
        await asyncio.sleep(0)
        for packet in packets:
            receiver.take(packet.serialize())
            assert len(receiver._undecoded) < MOST_AT_ONCE
        assert pixels(await shown.get()) == stock[wanted]
        assert len(arrived) == count
        await receiver.stop()
        await watching
    assert shown.empty()


async def test_a_receiver_that_is_stopped_with_frames_undecoded_leaves_nothing_and_does_not_begin_again() -> None:
    before = threading.active_count()
    async with direct() as receiver:
        watching = asyncio.create_task(watch(receiver.track, lambda at_ms: False, lambda picture, at_ms: None, now_ms))
        await asyncio.sleep(0)
        take_all(receiver, encoded_packets(VP8, 5))
        assert receiver._undecoded
        await receiver.stop()
        await watching
        take_all(receiver, encoded_packets(VP8, 5))
        assert receiver._undecoded == []
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    early = DirectReceiver(peer.addTransceiver("video").receiver.transport)
    await early.stop()
    await early.receive(RTCRtpReceiveParameters(codecs=[VP8]))
    await peer.close()
    async with asyncio.timeout(5):
        while threading.active_count() > before:
            await asyncio.sleep(0.01)


async def test_a_source_that_takes_another_codec_and_back_is_seen_in_each() -> None:
    h264 = next(codec for codec in CODECS["video"] if codec.name == "H264")
    async with direct() as receiver, asyncio.timeout(10):
        for codec, first in ((VP8, 65_530), (h264, 20_000), (VP8, 50_000)):
            take_all(receiver, renumbered(encoded_packets(codec, 3), first))
            pictures = [await receiver.track.recv() for _ in range(3)]
            assert {(each.width, each.height) for each in pictures if isinstance(each, VideoFrame)} == {(480, 270)}


async def test_a_frame_of_h264_before_its_first_keyframe_is_not_decoded() -> None:
    h264 = next(codec for codec in CODECS["video"] if codec.name == "H264")
    packets = encoded_packets(h264, 4)
    async with direct() as receiver:
        take_all(receiver, [packet for packet in packets if packet.timestamp])
        assert receiver._decoder is None and receiver.feedback.keyframe_due


async def test_a_retransmission_with_the_number_of_the_source_itself_is_left_out(clip: Clip) -> None:
    rtx = RTCRtpCodecParameters(mimeType="video/rtx", clockRate=90_000, payloadType=120, parameters={"apt": VP8.payloadType})
    packets = list(Sent(SSRC).frames(clip, padding=False))
    for packet in packets:
        packet.payload_type = 120
        packet.payload = b"\0\0\0\1" + packet.payload
    async with direct([VP8, rtx]) as receiver:
        take_all(receiver, packets)
        assert receiver._decoder is None and receiver._undecoded == []


@pytest.mark.slow
@pytest.mark.parametrize(("width", "seen"), [(4096, 10), (4112, 0)])
async def test_a_picture_beyond_what_a_camera_gives_is_not_decoded_and_ends_nothing(clip: Clip, width: int, seen: int) -> None:
    large = marked_clip(5, (width, 2304), seconds=1)
    sent = Sent(SSRC)
    async with direct() as receiver:
        for each, count in ((large, seen), (clip, len(clip.packets))):
            assert await frames_of(receiver, list(sent.frames(each, padding=False))) == count


async def test_a_source_that_jumps_misses_nothing_and_costs_nothing(clip: Clip) -> None:
    packets = list(Sent(SSRC).frames(clip, padding=False))
    async with direct() as receiver:
        for first in (100, 30_000, 60_000, 20_000):
            take_all(receiver, renumbered(packets, first))
            assert receiver.feedback.missing == set()
            assert receiver.feedback.newest == first + len(packets) - 1
        take_all(receiver, renumbered(packets, first + len(packets) + 3))
        assert len(receiver.feedback.missing) == 3


async def test_a_report_tells_how_often_the_sequence_numbers_began_anew(clip: Clip) -> None:
    packets = list(Sent(SSRC).frames(clip, padding=False))
    async with direct() as receiver:
        for first in (0xFFFF - 1, len(packets) - 2, 0x7000, 0xE000, 0x10000 - len(packets) // 2):
            take_all(receiver, renumbered(packets, first))
        (report,) = receiver.feedback.reports()
        assert report.highest_sequence == 2 * 0x10000 + len(packets) - len(packets) // 2 - 1


async def test_of_a_source_whose_times_leap_a_report_can_be_written() -> None:
    source = Sent(SSRC)
    async with direct() as receiver:
        for number in range(500):
            receiver.take(source.packet(0xFFFFFFFF * (number % 2), b"\x10\x01").serialize())
        receiver.feedback._statistics[SSRC]._jitter_q4 = 1 << 40
        assert bytes(RtcpRrPacket(ssrc=1, reports=receiver.feedback.reports()))
