"""One room, followed once for everybody who watches it."""

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from dashboard.board import Board
from dashboard.clocks import RoomClock
from dashboard.figures import AnySummary, columns, counts_of_class, mood_now
from dashboard.history import MoodHistory
from dashboard.past import Past, moment_of, published_ms, read_past
from dashboard.waiting import heard
from dashboard.words import presentable
from pipeline.cancellation import cancellable
from pipeline.clock import Clock, now_ms
from pipeline.entries import BEGINNING, position
from pipeline.events import BasisStated, BotStatus, Summary
from pipeline.follow import Change, Follower, Item
from pipeline.keys import Keys
from pipeline.markers import Marker, in_order, marker_in
from pipeline.patience import Patience
from pipeline.publish import RedisUnusable, heals, reason
from pipeline.room import RoomState

logger = logging.getLogger(__name__)

BREATH_SECONDS = 0.1
"""Pause after each page of events, so that what comes meanwhile is read in one go."""

LOOK_SECONDS = 1.0
"""Time between two looks at what no event reports: whether Redis answers, and whether the bot's status is still there."""

ANSWER_SECONDS = 3.0
RETRY_SECONDS = 1.0
REFUSED_SECONDS = 5.0


@dataclass(slots=True)
class Link:
    """The state of Redis: since when it is away, by the clock of this process, and whether it refuses us, or only writes."""

    away_since_ms: int | None = None
    refused: bool = False
    refuses_writes: bool = False


@dataclass(slots=True)
class Presence:
    """The state of the bot: whether it is there, its status, and when its last event came, by the clock of Redis."""

    here: bool = False
    status: BotStatus | None = None
    last_heard_ms: int = 0


@dataclass(slots=True)
class Marks:
    """The teacher's marks, and the stream id up to which they were read."""

    all: list[Marker] = field(default_factory=list)
    after: str = BEGINNING


class RoomHub:
    """Follows a room while it runs, and tells its watchers what changed.

    There is no queue between the two: a watcher asks for everything since the version that it has, so a slow one asks less
    often and never falls behind. When there is something to ask for, `news` is set, and replaced by a new event.
    """

    def __init__(self, redis: Redis, keys: Keys, *, clock: Clock = now_ms, look_seconds: float = LOOK_SECONDS) -> None:
        self.board = Board()
        self.news = asyncio.Event()
        self.closed = False
        self._redis = redis
        self._keys = keys
        self._clock = clock
        self._look_seconds = look_seconds
        self._link = Link()
        self._patience = Patience("dashboard", RETRY_SECONDS)
        self._hurry = asyncio.Event()
        self._presence = Presence()
        self._room_clock = RoomClock()
        self._history = MoodHistory()
        self._summary: AnySummary | None = None
        self._marks = Marks()
        self._attention: bool | None = None
        self._mood_version = self._marks_version = 0
        self._begun = False

    async def run(self) -> None:
        """Follow the room until cancelled, through every outage of Redis."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._look_around())

    def tell(self) -> None:
        """Wake everybody who waits for news."""
        self.news.set()
        self.news = asyncio.Event()

    def close(self) -> None:
        """Tell every watcher that it is over."""
        self.closed = True
        self.tell()

    def bot_now_ms(self) -> int:
        """Now, by the clock that the events of this room are timed with."""
        return self._room_clock.bot_now_ms(self._clock())

    def view(self, since: int) -> dict[str, Any]:
        """What a watcher that has seen the version `since` must be told; -1 if it has seen nothing."""
        shown: dict[str, Any] = {
            "version": self.board.version,
            "now_ms": self.bot_now_ms(),
            "state": self._state(),
            "level": "aggregate" if self.board.aggregate else "individual",
            "counts": self._counts(),
            "people": self.board.people_since(since),
            "attention": {"on": self._attention, **self.board.needing()},
        }
        if self._mood_version > since:
            shown["mood"] = mood_now(self._summary, self._history.smoothed)
            shown["history"] = columns(self._history.smoothed)
        if self._marks_version > since:
            shown["marks"] = [{"id": each.id, "at_ms": each.at_ms, "label": presentable(each.label)} for each in self._marks.all]
        return shown

    # what comes in

    async def _follow(self) -> None:
        while True:
            follower = Follower(self._redis, self._keys)
            try:
                async with aclosing(follower.pages()) as pages:
                    async for page in pages:
                        await self._take(page)
                        await asyncio.sleep(BREATH_SECONDS)
            except RedisUnusable as error:
                self._refused(str(error))
                await asyncio.sleep(REFUSED_SECONDS)

    async def _take(self, page: list[Item]) -> None:
        self._link.refused = False
        for item in page:
            if isinstance(item, RoomState):
                # before anybody sees the state, since the declared basis says who may be shown
                past = await self._patience.take(partial(read_past, self._redis, self._keys, item.stream_id))
                self._begin(item, past)
            elif isinstance(item, Change):
                self._change(item)
        self.tell()

    def _begin(self, state: RoomState, past: Past) -> None:
        self._declared(past.basis)
        self.board.begin(state)
        self._presence = Presence(state.bot is not None, state.bot, position(state.stream_id)[0])
        if any(person.attention for person in state.present):
            self._attention = True
        self._room_clock.begin_anew(past.times)
        self._history.begin(past.moments)
        self._summary = state.summary
        self._marks = Marks()
        self._mood_version = self._marks_version = self.board.version
        self._begun = True

    def _change(self, change: Change) -> None:
        at_ms, redis_ms = published_ms(change.event), position(change.stream_id)[0]
        self._presence.last_heard_ms = redis_ms
        self._room_clock.event_came(at_ms, redis_ms)
        self.board.in_run(change.event.epoch)
        data = change.data
        match data:
            case Summary():
                self._remember(data, at_ms)
            case BotStatus():
                self._bot(data.state != "stopping", data)
            case BasisStated():
                self._declared(data)
            case None:
                pass
            case _:
                self.board.take(data, change.event.epoch, at_ms)
                if change.event.type.startswith("classmood.attention."):
                    self._attention = True

    def _declared(self, basis: BasisStated | None) -> None:
        self.board.aggregate = basis is not None and basis.level == "aggregate"
        if basis is not None:
            self._attention = basis.attention

    def _remember(self, summary: Summary, at_ms: int) -> None:
        self._summary = summary
        self._history.add(moment_of(summary, at_ms))
        self.board.version += 1
        self._mood_version = self.board.version

    def _bot(self, here: bool, status: BotStatus | None) -> None:
        self._presence.here, self._presence.status = here, status or self._presence.status

    # what no event reports

    async def _look_around(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await cancellable(self._look())
            except TimeoutError:
                self._away("it does not answer")
            except RedisError as error:
                if heals(error):
                    self._away(reason(error))
                else:
                    self._refused(reason(error))
            await heard(self._hurry, self._look_seconds)
            self._hurry.clear()

    async def _look(self) -> None:
        """Ask Redis for its time, the bot's status, new marks and whom it knows; raises redis.exceptions.RedisError.

        It asks whom Redis knows because no event reports that somebody was erased.
        """
        shown, asked_with = self.board.ids, self._marks
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.get(self._keys.bot)
            pipe.xrange(self._keys.markers, min=f"({self._marks.after}")
            pipe.zrange(self._keys.participants, 0, -1)
            (seconds, microseconds), status, marks, known = await pipe.execute()
        self._room_clock.redis_said(int(seconds) * 1000 + int(microseconds) // 1000, self._clock())
        is_silent = status is None or not self._begun
        refuses_writes = is_silent and await self._refuses_writes()
        was = (self._link.away_since_ms, self._link.refuses_writes, self._presence.here)
        self._link.away_since_ms, self._link.refuses_writes = None, refuses_writes
        self._bot(status is not None, _status(status))
        is_marked = self._marks is asked_with and self._mark(marks)  # otherwise a new state came, and all are asked for again
        is_erased = self.board.erase(shown.difference(known))
        if is_marked or is_erased or was != (None, refuses_writes, self._presence.here):
            self.tell()

    async def _refuses_writes(self) -> bool:
        """Whether Redis answers but refuses a bot's writes, for instance because it is full; raises redis.exceptions.RedisError.

        It tries a write that changes nothing: that is refused for the same reasons as any other, and needs no rights that
        marks do not need.
        """
        try:
            await self._redis.xadd(self._keys.nothing, {"": ""}, nomkstream=True)
        except ResponseError as error:  # a dashboard that has no right to write learns nothing
            if heals(error) and not self._link.refuses_writes:
                logger.warning("redis refuses writes: %s", reason(error))
            return heals(error)
        return False

    def _mark(self, entries: list[tuple[str, dict[str, str]]]) -> bool:
        if not entries:
            return False
        new = [marker for _, fields in entries if (marker := marker_in(fields)) is not None]
        self._marks = Marks(in_order([*self._marks.all, *new]), entries[-1][0])
        self.board.version += 1
        self._marks_version = self.board.version
        return True

    def hurry(self) -> None:
        """Look at once, because a mark was made here."""
        self._hurry.set()

    def _away(self, why: str) -> None:
        if self._link.away_since_ms is None:
            self._link.away_since_ms = self._clock()
            logger.warning("redis is away: %s", why)
        self.tell()

    def _refused(self, why: str) -> None:
        if not self._link.refused:
            self._link.refused = True
            logger.error("redis refuses the dashboard: %s", why)
        self.tell()

    # what goes out

    def _state(self) -> dict[str, Any]:
        link, here, presence = self._link, self._clock(), self._presence
        silent_ms = self._room_clock.redis_now_ms(here) - presence.last_heard_ms
        return {
            "refused": link.refused,
            "refuses_writes": link.refuses_writes,
            "away_seconds": None if link.away_since_ms is None else max(0, here - link.away_since_ms) // 1000,
            "begun": self._begun,
            "known": presence.last_heard_ms > 0 or presence.here,
            "bot": (presence.status.state if presence.status else "running") if presence.here else None,
            "silent_seconds": max(0, silent_ms) // 1000,
        }

    def _counts(self) -> dict[str, Any]:
        """The counts of the people themselves if they are published, otherwise those of the latest summary."""
        counts = self.board.counts()
        if self._begun and not self.board.aggregate:
            return counts
        if self._begun and self._summary is not None:
            return counts | counts_of_class(self._summary)
        return counts | {"sentence": "not known yet"}


def _status(text: str | None) -> BotStatus | None:
    try:
        return BotStatus.model_validate_json(text or "")
    except ValidationError:
        return None
