"""Simulated students: they publish recorded video into a room, as a browser would its camera."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from fractions import Fraction
from pathlib import Path
from urllib.parse import quote, urlencode, urljoin

import aiohttp
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from av import Packet

from bot.clips import Clip, file_clip, portrait_clip
from bot.errors import RoomRefused
from bot.peers import close_peer
from bot.rooms.opening import split_room_url
from bot.settings import Settings
from bot.tasks import background

logger = logging.getLogger(__name__)

PORTRAIT_VARIANTS = 4
CONNECT_SECONDS = 15.0
JOINING_AT_A_TIME = 8
VIDEO_CLOCK = Fraction(1, 90_000)


class ClipTrack(MediaStreamTrack):
    """A video track that sends a clip's packets at its frame rate, again and again."""

    kind = "video"

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self._clip = clip
        self._sent = 0
        self._started_seconds: float | None = None

    async def recv(self) -> Packet:  # type: ignore[type-arg]  # of no stream
        """The next encoded frame, when it is due."""
        loop = asyncio.get_running_loop()
        if self._started_seconds is None:
            self._started_seconds = loop.time()
        await asyncio.sleep(self._started_seconds + self._sent / self._clip.frames_per_second - loop.time())
        packet = Packet(self._clip.packets[self._sent % len(self._clip.packets)])
        packet.pts = round(self._sent / self._clip.frames_per_second / VIDEO_CLOCK)
        packet.time_base = VIDEO_CLOCK
        self._sent += 1
        return packet


def clips(videos: list[Path], count: int) -> list[Clip]:
    """The clips that `count` students send in turn: those files, or the portrait in a few variants. Blocking: it encodes."""
    if videos:
        return [file_clip(path) for path in videos]
    return [portrait_clip(variant) for variant in range(min(count, PORTRAIT_VARIANTS))]


def whip_url(room_url: str, settings: Settings) -> str:
    """Where to publish: an http(s) URL as it is, local://ROOM on the host and port of the settings."""
    if room_url.startswith(("http://", "https://")):
        return room_url
    _, room = split_room_url(room_url)
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{settings.host}:{settings.port}/whip/{quote(room, safe='')}"


@asynccontextmanager
async def publishing(session: aiohttp.ClientSession, url: str, name: str, clip: Clip, token: str) -> AsyncIterator[asyncio.Event]:
    """Be a student in a room while the block runs, by WHIP (RFC 9725); yields an event that tells when the room let go.

    Raises RoomRefused with the room's own reason, or when no media path is found.
    """
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # aiortc's default asks a STUN server far away
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        transceiver = peer.addTransceiver(ClipTrack(clip), direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/VP8"])
        connected, lost = _connection(peer)
        await peer.setLocalDescription(await peer.createOffer())
        answer, resource = await _offer(session, url, name, peer.localDescription.sdp, headers)
        try:
            await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await _within(CONNECT_SECONDS, connected, url)
            yield lost
        finally:
            await _leave(session, resource, headers)
    finally:
        await close_peer(peer)


def _connection(peer: RTCPeerConnection) -> tuple[asyncio.Event, asyncio.Event]:
    """Two events: the connection stands, and the connection is gone."""
    connected, lost = asyncio.Event(), asyncio.Event()

    @peer.on("connectionstatechange")
    def changed() -> None:
        if peer.connectionState == "connected":
            connected.set()
        elif peer.connectionState in ("failed", "closed"):
            lost.set()

    return connected, lost


async def _within(seconds: float, connected: asyncio.Event, url: str) -> None:
    try:
        async with asyncio.timeout(seconds):
            await connected.wait()
    except TimeoutError:
        raise RoomRefused(f"{url} answered, but no media path to it was found in {seconds:.0f} s") from None


async def _offer(session: aiohttp.ClientSession, url: str, name: str, sdp: str, headers: dict[str, str]) -> tuple[str, str]:
    """POST an offer; the answer's SDP and the URL of the resource it made (RFC 9725, section 4.2)."""
    separator = "&" if "?" in url else "?"
    headers = {**headers, "Content-Type": "application/sdp"}
    try:
        async with session.post(f"{url}{separator}{urlencode({'name': name})}", data=sdp, headers=headers) as response:
            text = await response.text()
            if response.status != 201 or "Location" not in response.headers:
                reason = text.strip().partition("\n")[0][:200]
                raise RoomRefused(f"{url} answered {response.status}: {reason}")
            return text, urljoin(str(response.url), response.headers["Location"])
    except aiohttp.ClientError as error:
        raise RoomRefused(f"no room answers at {url}: {error}") from error


async def _leave(session: aiohttp.ClientSession, resource: str, headers: dict[str, str]) -> None:
    try:
        async with asyncio.timeout(2), session.delete(resource, headers=headers):
            pass
    except (aiohttp.ClientError, TimeoutError) as error:
        logger.info("the room did not hear a student leave: %s", type(error).__name__)


@asynccontextmanager
async def students(url: str, count: int, ready: list[Clip], settings: Settings) -> AsyncIterator[asyncio.Event]:
    """Have `count` students in the room while the block runs; yields an event that tells when all of them lost it.

    Student N sends clip N modulo their number.
    """
    deserted = asyncio.Event()
    joining = asyncio.Semaphore(JOINING_AT_A_TIME)
    joined = [asyncio.Event() for _ in range(count)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=_trusted(settings))) as session:

        async def student(number: int) -> None:
            name, clip = f"Student {number + 1}", ready[number % len(ready)]
            async with AsyncExitStack() as stack:
                async with joining:
                    there = publishing(session, url, name, clip, settings.room_token.get_secret_value())
                    lost = await stack.enter_async_context(there)
                joined[number].set()
                await lost.wait()
            joined[number].clear()
            if not any(event.is_set() for event in joined):
                deserted.set()

        async with background(*(student(number) for number in range(count))):
            for event in joined:
                await event.wait()
            yield deserted


def _trusted(settings: Settings) -> ssl.SSLContext:
    """The usual authorities, and the room's own certificate where the settings name one."""
    return ssl.create_default_context(cafile=str(settings.tls_certificate) if settings.tls_certificate else None)


async def simulate(room_url: str, count: int, videos: list[Path], seconds: float | None, settings: Settings) -> None:
    """Publish students into a room for `seconds`, or until stopped; raises RoomRefused when the room closes before."""
    ready = await asyncio.to_thread(clips, videos, count)
    url = whip_url(room_url, settings)
    async with students(url, count, ready, settings) as deserted:
        logger.info("%d students are in the room", count)
        try:
            async with asyncio.timeout(seconds):
                await deserted.wait()
        except TimeoutError:
            return
        raise RoomRefused(f"the room at {url} closed")
