"""Simulated students: they publish recorded video into a room, as a browser would its camera."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlencode, urljoin

import aiohttp
from aiortc import RTCSessionDescription

from bot.clip_track import clips, sending
from bot.clips import Clip
from bot.errors import RoomRefused
from bot.janus_students import janus_students
from bot.rooms.opening import split_room_url
from bot.settings import Settings
from bot.together import student_name, together

logger = logging.getLogger(__name__)


async def simulate(room_url: str, count: int, videos: list[Path], seconds: float | None, settings: Settings) -> None:
    """Publish students into a room for `seconds`, or until stopped; raises RoomRefused when the room closes before."""
    ready = await asyncio.to_thread(clips, videos, count)
    async with _class_in(room_url, count, ready, settings) as deserted:
        logger.info("%d students are in the room", count)
        try:
            async with asyncio.timeout(seconds):
                await deserted.wait()
        except TimeoutError:
            return
        raise RoomRefused(f"the room at {room_url} closed")


def _class_in(room_url: str, count: int, ready: list[Clip], settings: Settings) -> AbstractAsyncContextManager[asyncio.Event]:
    if room_url.startswith(("janus://", "januss://")):
        return janus_students(room_url, count, ready, settings)
    return students(whip_url(room_url, settings), count, ready, settings)


def whip_url(room_url: str, settings: Settings) -> str:
    """Where to publish: an http(s) URL as it is, local://ROOM on the host and port of the settings."""
    if room_url.startswith(("http://", "https://")):
        return room_url
    _, room = split_room_url(room_url)
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{settings.host}:{settings.port}/whip/{quote(room, safe='')}"


@asynccontextmanager
async def students(url: str, count: int, ready: list[Clip], settings: Settings) -> AsyncIterator[asyncio.Event]:
    """Have `count` students in a room while the block runs, by WHIP; yields an event that tells when all of them lost it.

    Student N sends clip N modulo their number.
    """
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=_trusted(settings))) as session:

        def join(number: int) -> AbstractAsyncContextManager[asyncio.Event]:
            token = settings.room_token.get_secret_value()
            return publishing(session, url, student_name(number), ready[number % len(ready)], token)

        async with together(count, join) as deserted:
            yield deserted


def _trusted(settings: Settings) -> ssl.SSLContext:
    """The usual authorities, and the room's own certificate where the settings name one."""
    return ssl.create_default_context(cafile=str(settings.tls_certificate) if settings.tls_certificate else None)


@asynccontextmanager
async def publishing(session: aiohttp.ClientSession, url: str, name: str, clip: Clip, token: str) -> AsyncIterator[asyncio.Event]:
    """Be a student in a room while the block runs, by WHIP (RFC 9725); yields an event that tells when the room let go.

    Raises RoomRefused with the room's own reason, or when no media path is found.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with sending(clip) as camera:
        answer, resource = await _offer(session, url, name, await camera.offer(), headers)
        try:
            await camera.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await camera.until_connected(url)
            yield camera.lost
        finally:
            await _leave(session, resource, headers)


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
