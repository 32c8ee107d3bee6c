"""A simulated student's camera, which plays a recording, and the connection that sends it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from av import Packet

from bot.clips import Recording
from bot.errors import RoomRefused
from bot.peers import close_peer
from bot.rooms.offer import UNUSABLE_SDP
from bot.tasks import to_the_end

CONNECT_SECONDS = 15.0
VIDEO_CLOCK = Fraction(1, 90_000)


class ClipTrack(MediaStreamTrack):
    """A video track that sends the packets of a recording at its frame rate."""

    kind = "video"

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._recording = recording
        self._sent = 0
        self._started_seconds: float | None = None

    async def recv(self) -> Packet:  # type: ignore[type-arg]  # belongs to no stream
        """The next encoded frame, when it is due."""
        loop = asyncio.get_running_loop()
        if self._started_seconds is None:
            self._started_seconds = loop.time()
        await asyncio.sleep(self._started_seconds + self._sent / self._recording.frames_per_second - loop.time())
        packet = Packet(await self._recording.packet(self._sent))
        packet.pts = round(self._sent / self._recording.frames_per_second / VIDEO_CLOCK)
        packet.time_base = VIDEO_CLOCK
        self._sent += 1
        return packet


@dataclass(frozen=True, slots=True)
class Sending:
    """The sending end of a connection, with one recording as VP8; `connected` and `lost` are set as its state changes."""

    peer: RTCPeerConnection
    connected: asyncio.Event
    lost: asyncio.Event

    async def offer(self) -> str:
        """The SDP of its offer, with candidates."""
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return str(self.peer.localDescription.sdp)

    async def answered(self, answer: str, place: str) -> None:
        """Take in the answer to its offer; raises RoomRefused if it cannot be used."""
        try:
            await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except UNUSABLE_SDP:
            raise RoomRefused(f"{place} answered with a session description that cannot be used") from None

    async def stop(self) -> None:
        """Stop sending for good and say so (RTCP BYE), but keep the connection open."""
        (sender,) = self.peer.getSenders()
        await sender.stop()

    async def until_connected(self, place: str, seconds: float = CONNECT_SECONDS) -> None:
        """Wait until media can flow; raises RoomRefused if it cannot within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self.connected.wait()
        except TimeoutError:
            raise RoomRefused(f"{place} answered, but no media path to it was found in {seconds:.0f} s") from None


@asynccontextmanager
async def sending(recording: Recording) -> AsyncIterator[Sending]:
    """The sending end of a connection, which closes with the block; it has not yet made an offer."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # by default aiortc asks a public STUN server
    try:
        transceiver = peer.addTransceiver(ClipTrack(recording), direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/VP8"])
        yield Sending(peer, *_connection(peer))
    finally:
        # not cancelled half-way, which would leave tasks of aioice behind
        await to_the_end(close_peer(peer))


def _connection(peer: RTCPeerConnection) -> tuple[asyncio.Event, asyncio.Event]:
    """Two events: the connection has been established, and it has been lost."""
    connected, lost = asyncio.Event(), asyncio.Event()

    @peer.on("connectionstatechange")
    def changed() -> None:
        if peer.connectionState == "connected":
            connected.set()
        elif peer.connectionState in ("failed", "closed"):
            lost.set()

    return connected, lost
