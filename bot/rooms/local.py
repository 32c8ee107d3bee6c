"""A room that the bot hosts itself: students join by WHIP, or by the page served here."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from aiohttp import web

from bot.errors import RoomRefused
from bot.rooms import Happening
from bot.rooms.cors import cors
from bot.rooms.ice import peer_configuration
from bot.rooms.roster import Roster
from bot.rooms.student_page import StudentPage
from bot.rooms.whip import Whip
from bot.settings import Settings
from pipeline.mood import Mood

CONNECT_SECONDS = 15.0
"""Time that an answered publisher has until media can flow."""


class LocalRoom:
    """A hosted room; `url` is where its page is, `whip_url` where publishers post their offers."""

    inside = True

    def __init__(self, name: str, url: str, roster: Roster) -> None:
        self.name = name
        self.over = False
        self.url = url
        self.whip_url = f"{url}/whip/{quote(name, safe='')}"
        self._roster = roster

    async def happenings(self) -> AsyncIterator[Happening]:
        """Who comes and goes, in order, until the room closes."""
        async for happening in self._roster.happenings():
            yield happening
        self.over = True

    def stalled(self, participant_id: str) -> None:
        """Do nothing: the connection is the publisher's to mend."""

    def drop(self, participant_id: str, reason: str) -> None:
        """End the connection of a participant; a Departure follows. One who is gone already is ignored."""
        if session := self._roster.of(participant_id):
            session.end(reason)

    def show(self, mood: Mood) -> None:
        """Show a participant their mood on their page; one who is gone already is ignored."""
        if session := self._roster.of(mood.participant_id):
            session.mood.put(mood)

    @property
    def refused(self) -> int:
        """Publishers who were not let in for want of a place."""
        return self._roster.refused


@asynccontextmanager
async def host(name: str, settings: Settings, *, connect_seconds: float = CONNECT_SECONDS) -> AsyncIterator[LocalRoom]:
    """Host a room while the block runs; raises RoomRefused if it cannot be served."""
    configuration = peer_configuration(settings)
    tls = _tls(settings)
    listener = _listen(settings.host, settings.port)
    with listener:
        async with asyncio.TaskGroup() as tasks:
            roster = Roster(settings.max_participants, configuration, tasks, connect_seconds)
            async with _serving(_application(name, roster, settings), listener, tls):
                try:
                    yield LocalRoom(name, _url(listener, secure=tls is not None), roster)
                finally:
                    await roster.close()


def _application(name: str, roster: Roster, settings: Settings) -> web.Application:
    application = web.Application(client_max_size=settings.max_offer_bytes)
    application.on_response_prepare.append(cors(settings.allowed_origins))
    application.add_routes(Whip(name, roster, settings).routes())
    application.add_routes(StudentPage(name, roster, settings).routes())
    return application


@asynccontextmanager
async def _serving(application: web.Application, listener: socket.socket, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    # no access log: its lines would hold names and session secrets
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()


def _listen(host_name: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host_name, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise RoomRefused(f"cannot listen on {host_name} port {port}: {error.strerror or error}") from None


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # an empty password, so that an encrypted key fails instead of asking on the terminal
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        raise RoomRefused(f"cannot use {settings.tls_certificate} with {settings.tls_key}: {error}") from None
    return context


def _url(listener: socket.socket, *, secure: bool) -> str:
    address, port = listener.getsockname()[:2]
    # the address that means all addresses is none to connect to
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    place = f"[{reachable}]" if ":" in reachable else reachable
    return f"{'https' if secure else 'http'}://{place}:{port}"
