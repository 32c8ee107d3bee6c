"""Who is in the local room, and the happenings of their coming and going."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiortc import RTCConfiguration
from aiortc.exceptions import InvalidStateError

from bot.rooms import ConsentChanged, Departure, Happening, Participant
from bot.rooms.offer import Offer
from bot.rooms.refusals import Refusals
from bot.rooms.server_watch import ServerWatch
from bot.rooms.session import WhipSession

logger = logging.getLogger(__name__)


class RoomFull(Exception):
    """There is no place for another publisher at present; the text is the reason in one line."""


class NetworkFull(Exception):
    """Too many publishers from one network are connecting at present; the text is the reason in one line."""


class SessionOver(Exception):
    """The session's connection has ended, so nothing can be received over it."""


NO_PLACE = "publisher_place"
"""The reason under which publishers without a place are counted."""

PLACES = 4
"""Places in the queue that each publisher needs: for the coming, a yes, its withdrawal and the departure."""

PLACES_OF_A_YES = 2
"""Those of them that a later yes needs: for the camera's coming and the yes."""


class Roster:
    """The publishers of a room; each is held by a task of `tasks` until their connection ends.

    Happenings wait in a bounded queue. When it fills up, newcomers and late yeses are refused, so that everybody inside always
    has a place for their withdrawal and their departure.
    """

    def __init__(
        self, limit: int, configuration: RTCConfiguration, tasks: asyncio.TaskGroup, connect_seconds: float, connecting_limit: int
    ) -> None:
        self._refusals = Refusals()
        self._connecting_limit = connecting_limit
        self._limit = limit
        self._configuration = configuration
        self._servers = ServerWatch(configuration)
        self._tasks = tasks
        self._connect_seconds = connect_seconds
        self._sessions: dict[str, WhipSession] = {}
        self._happenings: asyncio.Queue[Happening | None] = asyncio.Queue(2 * PLACES * limit + 1)
        self._closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def refused(self) -> int:
        """How many publishers were not let in because there was no place."""
        return self._refusals[NO_PLACE]

    async def admit(
        self, offer: Offer, participant: Participant, yes_from: str | None = None, *, may_be_read: bool = True, network: str = ""
    ) -> tuple[WhipSession, str]:
        """Let a publisher in; returns their session and the SDP answer. Raises RoomFull, NetworkFull or OfferUnacceptable.

        `yes_from` is the source of their consent; without `may_be_read`, their consent never counts. `network` is where they come
        from.
        """
        self._check_for_a_newcomer(network)
        session = WhipSession(participant, offer, self._configuration, may_be_read=may_be_read, network=network)
        self._sessions[session.secret] = session
        self._empty.clear()
        async with AsyncExitStack() as unless_admitted:
            unless_admitted.push_async_callback(self._forget, session)
            answer = await session.answer()
            self._servers.note(answer)
            if self._closed:
                raise RoomFull("the room is closing")
            unless_admitted.pop_all()
        self._tell_of_coming(session, yes_from)
        self._tasks.create_task(self._hold(session))
        logger.info("participant %s joined, %d in the room", participant.id, len(self))
        return session, answer

    async def consent(self, session: WhipSession, granted: bool, source: str) -> None:
        """Take in a publisher's yes or no, which they may have said before; raises SessionOver, and for a yes RoomFull."""
        async with session.one_mind_at_a_time:
            if self._closed or session.ended:  # it ended meanwhile
                raise SessionOver
            if session.participant.consent == granted:
                return
            if not granted:
                self._happenings.put_nowait(ConsentChanged(session.participant.id, False, source))
                await session.end_reading()
                return
            self._check_for_a_place(PLACES_OF_A_YES)
            try:
                await session.begin_to_read()
            except InvalidStateError:
                raise SessionOver from None
            self._tell_of_coming(session, source)

    def find(self, secret: str) -> WhipSession | None:
        """The session with this secret; None if there is none or it has ended."""
        session = self._sessions.get(secret)
        return None if session is None or session.ended else session

    def of(self, participant_id: str) -> WhipSession | None:
        """The session of this participant; None if they are gone."""
        return next((each for each in self._sessions.values() if each.participant.id == participant_id), None)

    async def close(self) -> None:
        """Let nobody else in, end all sessions, and wait until they are closed."""
        self._closed = True
        for session in self._sessions.values():
            session.end("room closed")
        # so that the task group, when it cancels its tasks, interrupts none that is half closed
        await self._empty.wait()
        self._happenings.put_nowait(None)

    async def happenings(self) -> AsyncIterator[Happening]:
        """What happens in the room, in order, until it closes."""
        try:
            while (happening := await self._happenings.get()) is not None:
                yield happening
        except asyncio.CancelledError:
            # nobody reads happenings any more, so a no must not be answered as if it had been heard
            self._closed = True
            raise

    def _tell_of_coming(self, session: WhipSession, yes_from: str | None) -> None:
        self._happenings.put_nowait(session.happening())
        if session.participant.consent:
            self._happenings.put_nowait(ConsentChanged(session.participant.id, True, yes_from or "room"))

    def _check_for_a_newcomer(self, network: str) -> None:
        if self._closed:
            raise RoomFull("the room is closing")
        try:
            if len(self) >= self._limit:
                raise RoomFull("the room is full")
            self._check_for_a_place(PLACES)
            self._check_the_crowd(network)
        except (RoomFull, NetworkFull):
            self._refusals.note(NO_PLACE)
            raise

    def _check_the_crowd(self, network: str) -> None:
        """Limit how many are connecting at once, so that those who may never connect cannot take all places."""
        connecting = Counter(each.network for each in self._sessions.values() if each.connecting)
        if connecting.total() >= self._connecting_limit:
            raise RoomFull("too many are joining at this moment")
        if connecting[network] >= max(1, 2 * self._connecting_limit // 3):
            raise NetworkFull("too many from your network are joining at this moment")

    def _check_for_a_place(self, wanted: int) -> None:
        # the last place is for the None that ends the queue
        if self._happenings.qsize() + PLACES * len(self) + wanted >= self._happenings.maxsize:
            raise RoomFull("the room is full")

    async def _hold(self, session: WhipSession) -> None:
        """Hold a publisher's connection until it ends, and report their departure."""
        try:
            await session.over(self._connect_seconds)
        finally:
            session.end("room closed")  # if this task was cancelled
            self._happenings.put_nowait(Departure(session.participant.id, session.reason))
            await self._forget(session)
            logger.info("participant %s left (%s), %d in the room", session.participant.id, session.reason, len(self))

    async def _forget(self, session: WhipSession) -> None:
        try:
            await session.close()
        finally:
            del self._sessions[session.secret]
            if not self._sessions:
                self._empty.set()
