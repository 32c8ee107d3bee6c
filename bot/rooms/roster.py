"""Who is in the local room, and what is told of their coming and going."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiortc import RTCConfiguration

from bot.rooms import Departure, Happening, Participant
from bot.rooms.offer import Offer
from bot.rooms.session import WhipSession

logger = logging.getLogger(__name__)


class RoomFull(Exception):
    """No place for another publisher at present; its text is one line of reason."""


class Roster:
    """The publishers of a room; each is held by a task of `tasks` until their connection ends.

    Happenings wait in a queue that is bounded by refusing newcomers: who is let in has a place for their arrival
    and one for their departure. `refused` counts those who were not let in for want of a place.
    """

    def __init__(self, limit: int, configuration: RTCConfiguration, tasks: asyncio.TaskGroup, connect_seconds: float) -> None:
        self.refused = 0
        self._limit = limit
        self._configuration = configuration
        self._tasks = tasks
        self._connect_seconds = connect_seconds
        self._sessions: dict[str, WhipSession] = {}
        self._happenings: asyncio.Queue[Happening | None] = asyncio.Queue(4 * limit + 1)
        self._closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._sessions)

    async def admit(self, offer: Offer, participant: Participant) -> tuple[WhipSession, str]:
        """Let a publisher in: their session and the SDP answer. Raises RoomFull or OfferUnacceptable."""
        self._check_for_a_place()
        session = WhipSession(participant, offer, self._configuration)
        self._sessions[session.secret] = session
        self._empty.clear()
        async with AsyncExitStack() as unless_admitted:
            unless_admitted.push_async_callback(self._forget, session)
            answer = await session.answer()
            if self._closed:
                raise RoomFull("the room is closing")
            unless_admitted.pop_all()
        self._happenings.put_nowait(session.happening())
        self._tasks.create_task(self._hold(session))
        logger.info("participant %s came, %d in the room", participant.id, len(self))
        return session, answer

    def find(self, secret: str) -> WhipSession | None:
        """The session with that secret, unless it has ended."""
        session = self._sessions.get(secret)
        return None if session is None or session.ended else session

    def of(self, participant_id: str) -> WhipSession | None:
        """The session of that participant, unless they are gone."""
        return next((each for each in self._sessions.values() if each.participant.id == participant_id), None)

    async def close(self) -> None:
        """Let nobody in any more, and everybody out."""
        self._closed = True
        for session in self._sessions.values():
            session.end("room closed")
        # so that a task group that is about to cancel its tasks finds none halfway through closing
        await self._empty.wait()
        self._happenings.put_nowait(None)

    async def happenings(self) -> AsyncIterator[Happening]:
        """Who comes and goes, in order, until the room closes."""
        while (happening := await self._happenings.get()) is not None:
            yield happening

    def _check_for_a_place(self) -> None:
        if self._closed:
            raise RoomFull("the room is closing")
        # those inside are owed a departure, a newcomer two places; the last place is for the end
        spoken_for = self._happenings.qsize() + 2 * len(self) + 2
        if len(self) >= self._limit or spoken_for >= self._happenings.maxsize:
            self.refused += 1
            raise RoomFull("the room is full")

    async def _hold(self, session: WhipSession) -> None:
        """Hold a publisher's connection until it ends, and tell of it."""
        try:
            await session.over(self._connect_seconds)
        finally:
            session.end("room closed")  # where this task was cancelled
            self._happenings.put_nowait(Departure(session.participant.id, session.reason))
            await self._forget(session)
            logger.info("participant %s is gone (%s), %d in the room", session.participant.id, session.reason, len(self))

    async def _forget(self, session: WhipSession) -> None:
        try:
            await session.close()
        finally:
            del self._sessions[session.secret]
            if not self._sessions:
                self._empty.set()
