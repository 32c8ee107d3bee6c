"""Simulated students, who publish recorded video into a room as a browser would publish its camera."""

import asyncio
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urljoin, urlsplit

import aiohttp
from pydantic import SecretStr

from bot.clip_track import Sending, sending
from bot.clips import Recording, file_clip
from bot.errors import RoomRefused, SettingsWrong
from bot.janus_students import janus_entrance
from bot.rooms.janus import PORTS
from bot.rooms.opening import local_name, scheme_of
from bot.rooms.whip import TICKET
from bot.scripts import LESSON, read_script
from bot.settings import Settings
from bot.synthetic.acting import acting
from bot.tasks import background
from bot.together import Enter, showing, student_name
from bot.trust import trusting
from bot.urls import checked_url, reachable
from dashboard.options import in_url, is_loopback

logger = logging.getLogger(__name__)

DEFAULT_COUNT = 12

WEB = ("http", "https")


@dataclass(frozen=True, slots=True)
class Class:
    """The students to simulate: `count` of them, who show `videos` or else follow `script`.

    Without `count`, there are as many as the script says, or `DEFAULT_COUNT` with videos.
    """

    count: int | None = None
    videos: tuple[Path, ...] = ()
    script: Path = LESSON


async def simulate(room_url: str, who: Class, seconds: float | None, settings: Settings) -> None:
    """Publish students into a room for `seconds`, or until stopped; raises RoomRefused if the room closes before that."""
    async with simulated(room_url, who, settings) as (count, deserted):
        logger.info("%d students are in the room", count)
        try:
            async with asyncio.timeout(seconds):
                await deserted.wait()
        except TimeoutError:
            return
        raise RoomRefused(f"the room at {room_url} closed")


@asynccontextmanager
async def simulated(room_url: str, who: Class, settings: Settings) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Keep students in a room while the block runs; yields how many, and an event that is set when all of them have lost it."""
    async with AsyncExitStack() as stack:
        enter = await stack.enter_async_context(entrance(room_url, settings))
        if who.videos:
            count = who.count or DEFAULT_COUNT
            ready = [await encoded(path) for path in who.videos]
            yield count, await stack.enter_async_context(showing(enter, count, ready))
        else:
            script = read_script(who.script)
            count = who.count or script.students
            yield count, await stack.enter_async_context(acting(enter, script, count))


async def encoded(path: Path) -> Recording:
    """A video file as a recording; if this is cancelled, encoding stops early."""
    ended = threading.Event()
    try:
        return await asyncio.to_thread(file_clip, path, ended)
    finally:
        ended.set()


def entrance(room_url: str, settings: Settings) -> AbstractAsyncContextManager[Enter]:
    """The way into a room, whichever kind it is."""
    if scheme_of(room_url, *WEB) in PORTS:
        return janus_entrance(room_url, settings)
    return whip_entrance(whip_url(room_url, settings), settings)


def whip_url(room_url: str, settings: Settings) -> str:
    """The URL to publish to: an http(s) URL as it is, and local://ROOM on the host and port in the settings.

    Raises SettingsWrong for a URL that names no host.
    """
    if scheme_of(room_url, *WEB) in WEB:
        if not checked_url(room_url, "the room's URL").hostname:
            raise SettingsWrong(f"{room_url} is not a room URL: it names no host")
        return room_url
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{in_url(reachable(settings.host))}:{settings.port}/whip/{quote(local_name(room_url), safe='')}"


@asynccontextmanager
async def students(url: str, count: int, ready: Sequence[Recording], settings: Settings) -> AsyncIterator[asyncio.Event]:
    """Keep `count` students in a room by WHIP while the block runs; yields an event that is set when all of them have lost it.

    Student N sends recording N modulo the number of recordings. All students consent to being read.
    """
    async with whip_entrance(url, settings) as enter, showing(enter, count, ready) as deserted:
        yield deserted


@asynccontextmanager
async def whip_entrance(url: str, settings: Settings, ticket: SecretStr | None = None) -> AsyncIterator[Enter]:
    """The way into a room by WHIP."""
    headers = _credentials(settings, ticket)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=_trusted(url, settings))) as session:

        @asynccontextmanager
        async def enter(number: int) -> AsyncIterator[WhipStudent]:
            student = WhipStudent(session, url, student_name(number), headers)
            try:
                yield student
            finally:
                await student.leave()

        yield enter


class WhipStudent:
    """A student in a room over WHIP, where somebody is present only once they publish.

    A camera that was turned off comes back as a new publication, because WHIP cannot change one.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, name: str, headers: dict[str, str]) -> None:
        self.lost = asyncio.Event()
        self._session, self._url, self._name, self._headers = session, url, name, headers
        self._camera: Sending | None = None
        self._closing = AsyncExitStack()

    async def publish(self, recording: Recording) -> None:
        """Send a recording until `unpublish`; raises RoomRefused with the room's own reason."""
        await self.leave()
        async with AsyncExitStack() as stack:
            publication = publishing(self._session, self._url, self._name, recording, self._headers, self.lost)
            self._camera = await stack.enter_async_context(publication)
            self._closing = stack.pop_all()

    async def unpublish(self) -> None:
        """Turn the camera off, but stay in the room."""
        if self._camera is not None:
            await self._camera.stop()
            self._camera = None

    async def leave(self) -> None:
        """Leave the room."""
        self._camera = None
        await self._closing.aclose()


def _trusted(url: str, settings: Settings) -> ssl.SSLContext:
    """A TLS context with the usual authorities and, if the settings name one, the room's own certificate."""
    context = trusting(settings.tls_certificate, "TLS_CERTIFICATE")
    # the certificate has the room's public name, which differs from the loopback address used on the same machine
    context.check_hostname = not is_loopback(urlsplit(url).hostname or "")
    return context


def _credentials(settings: Settings, ticket: SecretStr | None) -> dict[str, str]:
    token = settings.room_token.get_secret_value()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return headers if ticket is None else {**headers, TICKET: ticket.get_secret_value()}


@asynccontextmanager
async def publishing(
    session: aiohttp.ClientSession, url: str, name: str, recording: Recording, headers: dict[str, str], lost: asyncio.Event
) -> AsyncIterator[Sending]:
    """Publish to a room by WHIP (RFC 9725) while the block runs; `lost` is set if the connection is lost meanwhile.

    `headers` hold the student's credentials. Raises RoomRefused with the room's own reason, or if no media path is found.
    """
    async with sending(recording) as camera:
        answer, resource = await _offer(session, url, name, await camera.offer(), headers)
        try:
            await camera.answered(answer, url)
            await camera.until_connected(url)
            async with background(_passed_on(camera.lost, lost)):
                yield camera
        finally:
            await _leave(session, resource, headers)


async def _passed_on(heard: asyncio.Event, told: asyncio.Event) -> None:
    await heard.wait()
    told.set()


async def _offer(session: aiohttp.ClientSession, url: str, name: str, sdp: str, headers: dict[str, str]) -> tuple[str, str]:
    """POST an offer; returns the answer's SDP and the URL of the session that it created (RFC 9725, section 4.2).

    Raises RoomRefused if the room refuses or cannot be reached.
    """
    publish_url = f"{url}{'&' if '?' in url else '?'}{urlencode({'name': name, 'consent': 'yes'})}"
    headers = {**headers, "Content-Type": "application/sdp"}
    try:
        async with session.post(publish_url, data=sdp, headers=headers) as response:
            text = await response.text(errors="replace")
            if response.status != 201 or "Location" not in response.headers:
                reason = text.strip().partition("\n")[0][:200]
                raise RoomRefused(f"{url} answered {response.status}: {reason}")
            return text, urljoin(str(response.url), response.headers["Location"])
    except TimeoutError:  # before ClientError, because some errors are both
        raise RoomRefused(f"no room answers at {url} in time") from None
    except aiohttp.ClientError as error:
        raise RoomRefused(f"no room answers at {url}: {error}") from error


async def _leave(session: aiohttp.ClientSession, resource: str, headers: dict[str, str]) -> None:
    try:
        async with asyncio.timeout(2), session.delete(resource, headers=headers):
            pass
    except (aiohttp.ClientError, TimeoutError) as error:
        logger.info("the room did not hear a student leave: %s", type(error).__name__)
