"""A room on a Janus gateway (VideoRoom plugin), which the bot joins as one more participant.

Source: https://janus.conf.meetecho.com/docs/videoroom.html
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import unquote

from bot.consent import consent_policy
from bot.errors import RemovedFromRoom, RoomRefused, SettingsWrong
from bot.rooms import Happening
from bot.rooms.ice import peer_configuration
from bot.rooms.janus_api import Access, JanusHandle, JanusRefused, Unreachable, janus_session
from bot.rooms.janus_claim import FormerStay, check_not_removed
from bot.rooms.janus_messages import INVALID_ELEMENT, VIDEO_ROOM, RoomEvent, read_room_event
from bot.rooms.janus_roster import Answers
from bot.rooms.janus_stay import RECONCILE_SECONDS, Stay
from bot.rooms.janus_subscription import Subscription, Terms
from bot.settings import Settings
from bot.tasks import background
from bot.trust import trusting
from bot.urls import checked_url
from dashboard.options import in_url
from pipeline.mood import Mood

logger = logging.getLogger(__name__)

PORTS = {"janus": 8188, "januss": 8989}
"""The ports on which Janus listens by default; behind a proxy, the URL names the port."""

MAX_HAPPENINGS = 10_000
"""How many happenings may wait to be read; more than that means that nobody reads them, and ends the stay."""

LARGEST_ROOM = 2**63 - 1
"""Largest number of a room: Janus does not answer a request with a larger one in it."""

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 4.0
REFUSED_SECONDS = 60.0
"""How long a room may refuse a bot that comes back: a restarted server may take a while to create its rooms again."""


class JanusRoom:
    """A room that was joined, and is joined again whenever the connection to it is lost.

    `rejoined` is how often it was joined again; `counts` adds up what was skipped and repaired in past stays.
    """

    def __init__(self, name: str, access: Access, settings: Settings, reconcile_seconds: float) -> None:
        self.name = name
        self.over = False
        self.inside = False
        self.rejoined = 0
        self.counts: Counter[str] = Counter()
        self._access = access
        self._settings = settings
        self._policy = consent_policy(settings)
        self._reconcile_seconds = reconcile_seconds
        self._stay: Stay | None = None
        self._ourselves: list[str] = []
        self._former: FormerStay | None = None
        self._answers = Answers()
        self._heard = asyncio.Event()
        self._happenings: asyncio.Queue[Happening | None] = asyncio.Queue()

    @property
    def subscription(self) -> Subscription | None:
        """The current subscription; None while the connection is lost."""
        return self._stay.subscription if self._stay else None

    async def happenings(self) -> AsyncIterator[Happening]:
        """What happens in the room, in order, until the connection is lost; call it again for the next stay."""
        self._heard.set()
        while (happening := await self._happenings.get()) is not None:
            yield happening
        self._heard.clear()

    def drop(self, participant_id: str, reason: str) -> None:
        """Do nothing: whoever is in the server's list is in the room, whether they send or not."""

    def stalled(self, participant_id: str) -> None:
        """Subscribe again to a participant who sends nothing."""
        if self.subscription is not None:
            self.subscription.renew(participant_id)

    def show(self, mood: Mood) -> None:
        """Do nothing: Janus has no way to show something to one participant."""

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[Stay]:
        """Be in the room while the block runs; raises Unreachable, or RoomRefused with the server's own reason."""
        configuration = peer_configuration(self._settings)
        async with janus_session(self._access) as session:
            woken = asyncio.Event()
            handle = await session.attach(VIDEO_ROOM, woken.set)
            room, event = await enter(handle, self.name, self._join("publisher"))
            if event.id is not None:
                # the bot's earlier self, whose connection broke, may linger in the room and must not count as a participant
                self._ourselves.append(event.id)
                if session.id is not None:
                    self._former = FormerStay(session.id, handle.id, room, event.id)

            def tell(happening: Happening) -> None:
                if self._happenings.qsize() > MAX_HAPPENINGS:
                    session.lose(f"{MAX_HAPPENINGS} happenings wait to be heard")
                else:
                    self._happenings.put_nowait(happening)

            terms = self._terms(room, event)
            self._stay = stay = Stay(
                session,
                handle,
                woken,
                self._ourselves,
                terms,
                configuration,
                tell,
                self._heard,
                self._reconcile_seconds,
                self._policy,
                self._answers,
            )
            self.inside = True
            try:
                stay.begin(event)
                yield stay
            finally:
                self.inside, self._stay = False, None
                self.counts += session.skipped + stay.subscription.counts

    async def live(self, stack: AsyncExitStack, stay: Stay) -> None:
        """Stay in the room, and join it again whenever the connection is lost; raises RemovedFromRoom or RoomRefused."""
        while True:
            async with stack:
                with self._removed():
                    why = await stay.run()
            self._happenings.put_nowait(None)
            logger.warning("the connection to the room was lost: %s", why)
            with self._removed():
                stack, stay = await self._again()
            self.rejoined += 1
            logger.info("joined the room again, %d times so far", self.rejoined)

    @contextmanager
    def _removed(self) -> Iterator[None]:
        """Let a removal end the bot with the exit code of the settings."""
        try:
            yield
        except RemovedFromRoom as removed:
            removed.exit_code = self._settings.removed_exit_code
            raise

    async def _again(self) -> tuple[AsyncExitStack, Stay]:
        """Join again, however often it takes; raises RemovedFromRoom, or RoomRefused if the room keeps refusing."""
        loop, wait_seconds = asyncio.get_running_loop(), FIRST_RETRY_SECONDS
        refused_since: float | None = None
        while True:
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, LAST_RETRY_SECONDS)
            async with AsyncExitStack() as stack:
                try:
                    if self._former is not None:
                        await check_not_removed(self._access, self._former)
                    stay = await stack.enter_async_context(self.joined())
                    return stack.pop_all(), stay
                except Unreachable:
                    refused_since = None
                except RoomRefused:
                    refused_since = refused_since or loop.time()
                    if loop.time() - refused_since > REFUSED_SECONDS:
                        raise

    def _terms(self, room: int | str, event: RoomEvent) -> Terms:
        join = self._join("subscriber") | ({} if event.private_id is None else {"private_id": event.private_id})
        return Terms(room, {**join, "room": room}, self._settings.janus_substream, self._settings.janus_temporal)

    def _join(self, kind: str) -> dict[str, Any]:
        return join_request(kind, self._settings) | ({"display": self._settings.bot_name} if kind == "publisher" else {})


def join_request(kind: str, settings: Settings) -> dict[str, Any]:
    """The body of a request to join a room as a `publisher` or `subscriber`, with the secrets in the settings."""
    secrets = {"pin": settings.janus_pin, "token": settings.janus_token}
    given = {name: secret.get_secret_value() for name, secret in secrets.items()}
    return {"request": "join", "ptype": kind, **{name: value for name, value in given.items() if value}}


async def enter(handle: JanusHandle, name: str, join: dict[str, Any]) -> tuple[int | str, RoomEvent]:
    """Join a room; returns its id as the server wants it, and the server's answer. Raises JanusRefused or RoomRefused."""
    room: int | str = int(name) if name.isdecimal() and int(name) <= LARGEST_ROOM else name
    try:
        answer = await handle.request({**join, "room": room})
    except JanusRefused as refused:
        if refused.code != INVALID_ELEMENT or isinstance(room, str):
            raise
        room = name  # the server uses strings as ids, though this one looks like a number
        answer = await handle.request({**join, "room": room})
    event = read_room_event(answer.plugin_data)
    if event.videoroom != "joined":
        raise RoomRefused("the server gave an unexpected answer to joining")
    return room, event


@asynccontextmanager
async def join_janus(url: str, settings: Settings, reconcile_seconds: float = RECONCILE_SECONDS) -> AsyncIterator[JanusRoom]:
    """The room of a janus:// or januss:// URL, joined while the block runs.

    Raises RoomRefused if it cannot be joined at first, and SettingsWrong for a bad URL.
    """
    access, name = janus_access(url, settings)
    room = JanusRoom(name, access, settings, reconcile_seconds)
    async with AsyncExitStack() as first:
        stay = await first.enter_async_context(room.joined())
        logger.info("joined the room")
        async with background(room.live(first.pop_all(), stay)):
            yield room


def janus_access(url: str, settings: Settings) -> tuple[Access, str]:
    """Access to the gateway of a URL, and the room's id; raises SettingsWrong for a bad URL or certificate file."""
    parts = checked_url(url, "the room's URL")
    port = parts.port or PORTS[parts.scheme]
    name = unquote(parts.path.strip("/"))
    if not parts.hostname or not name or parts.username is not None or {"?", "#"} & set(url):
        written = f"{parts.scheme}://HOST:PORT/ROOM, with ? and # as %3F and %23"
        raise SettingsWrong(f"a Janus room is written {written}; its secrets go into the settings")
    socket = f"{'wss' if parts.scheme == 'januss' else 'ws'}://{in_url(parts.hostname)}:{port}{settings.janus_path}"
    tls = trusting(settings.janus_ca_file, "JANUS_CA_FILE") if parts.scheme == "januss" else None
    return Access(socket, settings.janus_token.get_secret_value(), settings.janus_api_secret.get_secret_value(), tls), name
