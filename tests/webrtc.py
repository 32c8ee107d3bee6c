"""Real WebRTC for tests: an aiortc publisher, the offers it makes, and what a room reports of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import urljoin

import aiohttp
from aiortc import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from av import VideoFrame

from bot.rooms import Arrival, ConsentChanged, Departure, Happening, Room, Unseen
from tests.fakes import picture

OFFER = {"Content-Type": "application/sdp"}
FRAMES_PER_SECOND = 20


class GreyTrack(MediaStreamTrack):
    """A camera that sees one grey picture."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._sent = 0

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(1 / FRAMES_PER_SECOND)
        frame = picture(160, 120, level=60 + self._sent % 100)
        frame.pts, frame.time_base = self._sent, Fraction(1, FRAMES_PER_SECOND)
        self._sent += 1
        return frame


@dataclass(frozen=True)
class Published:
    """A publisher in a room: the peer, its session's URL, and the answer to its POST."""

    peer: RTCPeerConnection
    session_url: str
    response: aiohttp.ClientResponse
    answer: str


@asynccontextmanager
async def sender(*kinds: str, codec: str = "video/VP8") -> AsyncIterator[RTCPeerConnection]:
    """A peer ready to send tracks of those kinds in that order, with video in that codec."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    try:
        for kind in kinds:
            track = GreyTrack() if kind == "video" else AudioStreamTrack()
            transceiver = peer.addTransceiver(track, direction="sendonly")
            if kind == "video":
                codecs = RTCRtpSender.getCapabilities("video").codecs
                transceiver.setCodecPreferences([each for each in codecs if each.mimeType == codec])
        yield peer
    finally:
        await peer.close()


async def offer_of(peer: RTCPeerConnection) -> str:
    """The peer's offer as SDP, candidates included."""
    await peer.setLocalDescription(await peer.createOffer())
    return str(peer.localDescription.sdp)


async def camera_offer(*kinds: str) -> str:
    """The offer of a peer that no longer exists, as SDP."""
    async with sender(*(kinds or ("video",))) as peer:
        return await offer_of(peer)


@asynccontextmanager
async def publisher(
    http: aiohttp.ClientSession, whip_url: str, *kinds: str, codec: str = "video/VP8", consent: str | None = "yes"
) -> AsyncIterator[Published]:
    """Publish real media to a WHIP endpoint while the block runs; it leaves without saying goodbye."""
    async with sender(*(kinds or ("video",)), codec=codec) as peer:
        said = {} if consent is None else {"consent": consent}
        response = await http.post(whip_url, params=said, data=await offer_of(peer), headers=OFFER)
        answer = await response.text()
        assert response.status == 201, answer
        await connect(peer, answer)
        yield Published(peer, urljoin(whip_url, response.headers["Location"]), response, answer)


async def connect(peer: RTCPeerConnection, answer: str) -> None:
    """Take the room's answer, and wait until media can flow."""
    connected = asyncio.Event()

    @peer.on("connectionstatechange")
    def changed() -> None:
        if peer.connectionState == "connected":
            connected.set()

    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    async with asyncio.timeout(15):
        await connected.wait()


async def next_arrival(happenings: AsyncIterator[Happening]) -> Arrival:
    """The next arrival or departure, which must be an arrival."""
    happening = await _next(happenings)
    assert isinstance(happening, Arrival), happening
    return happening


async def next_unseen(happenings: AsyncIterator[Happening]) -> Unseen:
    """The next arrival or departure, which must be of somebody who cannot be watched."""
    happening = await _next(happenings)
    assert isinstance(happening, Unseen), happening
    return happening


async def next_departure(happenings: AsyncIterator[Happening]) -> Departure:
    """The next arrival or departure, which must be a departure."""
    happening = await _next(happenings)
    assert isinstance(happening, Departure), happening
    return happening


async def next_consent(happenings: AsyncIterator[Happening]) -> ConsentChanged:
    """The very next happening, which must be a change of consent."""
    async with asyncio.timeout(20):
        happening = await anext(happenings)
    assert isinstance(happening, ConsentChanged), happening
    return happening


async def remaining(room: Room) -> list[Happening]:
    """Everything still to come from a room that has closed, except changes of consent."""
    async with asyncio.timeout(5):
        return [happening async for happening in room.happenings() if not isinstance(happening, ConsentChanged)]


async def first_frames(track: MediaStreamTrack, count: int = 3) -> list[VideoFrame]:
    """The first frames that come over the network."""
    async with asyncio.timeout(15):
        return [await track.recv() for _ in range(count)]  # type: ignore[misc]  # a video track gives video frames


async def _next(happenings: AsyncIterator[Happening]) -> Happening:
    """The next happening that is not a change of consent."""
    async with asyncio.timeout(20):
        while isinstance(happening := await anext(happenings), ConsentChanged):
            pass
        return happening
