"""A room that the bot hosts itself: students join by WHIP, or through the page that it serves."""

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from aiohttp import web

from bot.consent import ConsentPolicy, consent_policy
from bot.errors import RoomRefused, SettingsWrong
from bot.receiver import can_rebind
from bot.rooms import Happening
from bot.rooms.cors import cors, origins_of
from bot.rooms.datagrams import can_guard
from bot.rooms.guard import ANSWER_SECONDS, Guard
from bot.rooms.headers import protection
from bot.rooms.ice import peer_configuration
from bot.rooms.roster import Roster
from bot.rooms.serving import Front, serving
from bot.rooms.student_page import StudentPage
from bot.rooms.whip import Whip
from bot.settings import PREFIX, Settings
from bot.urls import reachable
from dashboard.options import in_url
from pipeline.mood import Mood

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 15.0
"""How long it may take, after a publisher's offer is answered, until media can flow."""


class LocalRoom:
    """A hosted room; its page is at `url`, and publishers post their offers to `whip_url`."""

    inside = True

    def __init__(self, name: str, url: str, roster: Roster, guard: Guard, front: Front) -> None:
        self.name = name
        self.over = False
        self.url = url
        self.whip_url = f"{url}/whip/{quote(name, safe='')}"
        self._roster = roster
        self._guard = guard
        self._front = front

    async def happenings(self) -> AsyncIterator[Happening]:
        """What happens in the room, in order, until it closes."""
        async for happening in self._roster.happenings():
            yield happening
        self.over = True

    def stalled(self, participant_id: str) -> None:
        """Do nothing: only the publisher can mend the connection."""

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
        """How many publishers were not let in because there was no place."""
        return self._roster.refused

    @property
    def refusals(self) -> dict[str, int]:
        """How often something was refused, by reason: `*_place` is for publishers and HTTP connections without a place."""
        places = {"publisher_place": self._roster.refused, "connection_place": self._front.refused}
        return places | self._guard.refused


@asynccontextmanager
async def host(
    name: str,
    settings: Settings,
    policy: ConsentPolicy | None = None,
    *,
    connect_seconds: float = CONNECT_SECONDS,
    answer_seconds: float = ANSWER_SECONDS,
) -> AsyncIterator[LocalRoom]:
    """Host a room while the block runs, with this consent policy or else that of the settings.

    Raises RoomRefused if it cannot be served, and SettingsWrong if the settings do not allow it or cannot be used.
    """
    if not can_rebind():
        raise RoomRefused("this version of aiortc cannot be kept from decoding; pyproject.toml names the versions to use")
    if not can_guard():
        logger.warning(
            "with this version of aioice the room cannot limit what arrives over UDP; pyproject.toml names the versions to use"
        )
    configuration = peer_configuration(settings)
    tls = _tls(settings)
    listener = _listen(settings)
    with listener:
        async with asyncio.TaskGroup() as tasks:
            roster = Roster(settings.max_participants, configuration, tasks, connect_seconds, settings.max_connecting)
            guard = Guard(roster, settings, answer_seconds)
            application = room_application(name, roster, settings, policy or consent_policy(settings), guard)
            async with serving(
                application, listener, tls, limit=settings.max_connections, proxies=settings.trusted_proxies
            ) as front:
                try:
                    yield LocalRoom(name, _url(listener, secure=tls is not None), roster, guard, front)
                finally:
                    await roster.close()


def room_application(name: str, roster: Roster, settings: Settings, policy: ConsentPolicy, guard: Guard) -> web.Application:
    """The room's HTTP interface, which docs/openapi.json describes."""
    application = web.Application(client_max_size=settings.max_offer_bytes, middlewares=[guard.let_through])
    application.on_response_prepare.append(cors(origins_of(settings)))
    application.on_response_prepare.append(protection)
    application.add_routes(Whip(name, roster, settings, policy, guard).routes())
    application.add_routes(StudentPage(name, roster, settings, policy).routes())
    return application


def _listen(settings: Settings) -> socket.socket:
    host_name, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host_name, port, type=socket.SOCK_STREAM)[0]
        _check_that_it_is_closed(str(address[0]), settings)
        # "::" means every address, including those of IPv4
        both = address[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, backlog=128, dualstack_ipv6=both)
    except UnicodeError:
        raise SettingsWrong(f"{PREFIX}HOST={host_name} is not a host name") from None
    except OSError as error:
        raise RoomRefused(f"cannot listen on {host_name} port {port}: {error.strerror or error}") from None


def _check_that_it_is_closed(address: str, settings: Settings) -> None:
    """Raise SettingsWrong for a room that everybody on a network could enter, unless the settings say that this is intended."""
    reachable = not ipaddress.ip_address(address.partition("%")[0]).is_loopback
    if reachable and not settings.room_token.get_secret_value() and not settings.open_room:
        raise SettingsWrong(
            f"{PREFIX}HOST={settings.host} makes the room reachable from other machines: "
            f"set {PREFIX}ROOM_TOKEN, or {PREFIX}OPEN_ROOM=true to let everybody in"
        )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # an empty password, so that an encrypted key fails instead of asking on the terminal
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")  # nosec B106
    except (OSError, ValueError) as error:
        raise SettingsWrong(
            f"{PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY: cannot use {settings.tls_certificate} with {settings.tls_key}: {error}"
        ) from None
    return context


def _url(listener: socket.socket, *, secure: bool) -> str:
    address, port = listener.getsockname()[:2]
    return f"{'https' if secure else 'http'}://{in_url(reachable(address))}:{port}"
