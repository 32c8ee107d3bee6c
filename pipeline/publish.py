"""From data to events in Redis: the second of the two places where excess load is dropped."""

import asyncio
import logging
import re
import ssl
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,
    InvalidResponse,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
    WatchError,
)

from pipeline.cancellation import cancellable
from pipeline.clock import Clock, now_ms
from pipeline.events import (
    AUDITED,
    RESTARTED,
    ConsentWithdrawn,
    Data,
    EmotionSample,
    Event,
    ParticipantLeft,
    Publication,
    rfc3339,
    schema_url,
)
from pipeline.forget import Withdrawal
from pipeline.keys import Keys
from pipeline.levels import at_level
from pipeline.outbox import READING, Outbox, Told, Waiting
from pipeline.state import AUDIT_DAYS, Command, Lifetimes, changes, expiries, housekeeping

logger = logging.getLogger(__name__)

BATCH = 100
"""Most events in one transaction; a larger one would keep other users of the Redis waiting."""

FIRST_RETRY_SECONDS = 0.05

HOUSEKEEPING_MS = 1000
"""Time between two rounds of removing what has outlived the retention, while only readings are sent.

Done with every transaction of a single reading, it was a third of the commands.
"""

Result = TypeVar("Result")

REDIS_TROUBLES = (ConnectionError, TimeoutError, ResponseError, InvalidResponse, WatchError)
"""What redis-py raises when something is wrong outside this process."""

_WEATHER = (
    ConnectionError,
    TimeoutError,
    ClusterDownError,
    ReadOnlyError,
    OutOfMemoryError,
    MasterDownError,
    TryAgainError,
    WatchError,
)
_WEATHER_CODES = ("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY")
"""First words of error replies that redis-py has no class for, or wraps in EXECABORT."""


_TUPLE = re.compile(r"""\((['"])(.*)\1,\)""", re.DOTALL)
"""How redis-py shows the arguments of an error within a pipeline."""


class RedisUnusable(Exception):
    """Redis refuses for a reason that waiting does not change, such as a wrong password; the text is one line."""


def heals(error: RedisError) -> bool:
    """Whether trouble with Redis is worth waiting out."""
    if isinstance(error, AuthenticationError | AuthorizationError) or _is_a_refused_handshake(error.__context__):
        return False
    return isinstance(error, _WEATHER) or reason(error).startswith(_WEATHER_CODES)


def is_full(error: RedisError) -> bool:
    """Whether Redis has no memory left for what it was asked."""
    return isinstance(error, OutOfMemoryError) or reason(error).startswith("OOM")


def _is_a_refused_handshake(cause: BaseException | None) -> bool:
    # a connection that breaks during the handshake is worth waiting out, like any other
    return isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)


def reason(error: RedisError) -> str:
    """What Redis said, in one line and without the command, which may hold a person's name."""
    text = str(error).rpartition(" caused error: ")[2].removeprefix("Transaction discarded because of: ")
    if wrapped := _TUPLE.fullmatch(text):
        text = wrapped[2]
    return " ".join(text.split()) or type(error).__name__


@dataclass(frozen=True, slots=True)
class _Known:
    """What Redis holds about somebody."""

    id: str
    is_present: bool
    has_withdrawn: bool


class Publisher:
    """Writes a room's events to Redis, each exactly once and in order, with a sequence that has no gaps.

    Stream, channel and state are written in one transaction, so they agree. While Redis is away, up to `outbox_limit`
    events wait, plus one batch; beyond that, some are dropped and counted in `dropped`. Sequence numbers are assigned
    only when events are sent, so dropped events leave no gap. A Redis that lost data it had acknowledged is told again
    about everybody present, and about those who left or withdrew their consent, if it no longer knows that. Once a
    person withdraws their consent, what was read of them is no longer sent, and with `withdrawal_erases` it is erased
    from the stream, a page at a time between batches. At the level `aggregate`, nothing about one person is sent.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        epoch: str,
        *,
        outbox_limit: int,
        retention_ms: int,
        status_ttl_ms: int,
        retry_seconds: float,
        audit_retention_ms: int = AUDIT_DAYS * 86_400_000,
        level: Publication = "individual",
        withdrawal_erases: bool = False,
        clock: Clock = now_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.epoch = epoch
        self.published: Counter[str] = Counter()
        self.latencies_ms: deque[int] = deque(maxlen=10_000)
        self._redis = redis
        self._keys = keys
        self._last = keys.last(epoch)
        self._source = f"/classmood/rooms/{quote(keys.room, safe='')}"
        self._lifetimes = Lifetimes(retention_ms, status_ttl_ms, audit_retention_ms)
        self._retry_seconds = retry_seconds
        self._at_level = at_level(level)
        self._clock = clock
        self._sleep = sleep
        self._withdrawal_erases = withdrawal_erases
        self._withdrawals: dict[str, Withdrawal] = {}  # by participant, of withdrawals that Redis has acknowledged
        self._outbox = Outbox(outbox_limit)
        self._unanswered: list[Waiting] = []
        self._told = Told(retention_ms)
        self._went_back = False
        self._sequence = 0
        self._redis_ms = 0
        self._kept_house_ms = -HOUSEKEEPING_MS
        self._something_waits = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    @property
    def dropped(self) -> int:
        """Events that were dropped from the outbox."""
        return self._outbox.dropped

    @property
    def waiting(self) -> int:
        """Events that are not yet known to be in Redis."""
        return len(self._unanswered) + len(self._outbox)

    @property
    def withdrawals_waiting(self) -> list[str]:
        """The participants whose withdrawal of consent is not known to be in Redis."""
        waiting = (each.data for each in (*self._unanswered, *self._outbox))
        return sorted({data.participant for data in waiting if isinstance(data, ConsentWithdrawn)})

    def publish(self, data: Data) -> None:
        """Queue data to be sent as an event of this moment, if the level of publication allows it; returns at once."""
        if (allowed := self._at_level(data)) is None:
            return
        self._outbox.put(Waiting(self._clock(), allowed))
        if isinstance(data, ConsentWithdrawn):
            self._outbox.discard_withdrawn()
        self._something_waits.set()

    async def wait_until_reachable(self) -> None:
        """Wait until Redis answers, then publish that everybody whom an earlier run left behind as present is gone.

        If the level does not allow that, their states are erased instead. Call it before `run` and before the first
        `publish`; raises RedisUnusable.
        """
        people = await self._whatever_the_weather(self._left_behind)
        for each in [each for each in people if each.is_present]:
            left = ParticipantLeft(participant=each.id, reason=RESTARTED)
            if self._at_level(left) is None:
                await self._whatever_the_weather(partial(self._erase_state, each.id))
            self.publish(left)
            await self._send_all()  # one by one: there may be more than the outbox holds
        for each in people:
            if each.has_withdrawn:
                self._erase_what_was_read_of(each.id)

    async def run(self) -> None:
        """Send what is published, forever; raises RedisUnusable where waiting would not help."""
        while True:
            await self._something_waits.wait()
            await self._send_all()

    async def flush(self, timeout_seconds: float | None) -> int:
        """Send what still waits, after `run` has ended; returns how many events are left when the time, if limited, is up."""
        with suppress(asyncio.TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._send_all()
        return self.waiting

    async def _send_all(self) -> None:
        self._something_waits.clear()
        while self.waiting or self._withdrawals or self._went_back:
            await self._whatever_the_weather(self._send)

    async def _whatever_the_weather(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Repeat a step while Redis is away; logs once that it is, and once that it is back."""
        dropped, wait_seconds = self.dropped, 0.0
        while True:
            arrived = self.published.total()
            try:
                result = await cancellable(step())
            except REDIS_TROUBLES as error:
                if not heals(error):
                    raise RedisUnusable(f"redis refuses: {reason(error)}") from None
                if not wait_seconds:
                    logger.warning("redis is away, %d events wait: %s", self.waiting, reason(error))
                if is_full(error):
                    await self._make_room()
                wait_seconds = min(max(2 * wait_seconds, FIRST_RETRY_SECONDS), self._retry_seconds)
                await self._sleep(wait_seconds)
                continue
            if wait_seconds:
                waited = self.published.total() - arrived + self.waiting
                logger.info("redis is back: %d events waited, %d were dropped", waited, self.dropped - dropped)
            return result

    async def _make_room(self) -> None:
        """Trim and erase what is due, without a transaction: within one, a full Redis refuses even that."""
        with suppress(*REDIS_TROUBLES):  # the next try shows whether it helped
            seconds, microseconds = await cancellable(self._redis.time())
            self._redis_ms = seconds * 1000 + microseconds // 1000
            async with self._redis.pipeline(transaction=False) as pipe:
                for command in housekeeping(self._clock(), self._redis_ms, self._keys, self._lifetimes):
                    pipe.execute_command(*command)
                await cancellable(pipe.execute(raise_on_error=False))
            await cancellable(self._erase_a_page())

    async def _left_behind(self) -> list[_Known]:
        """Whom an earlier run left in Redis' state; raises RedisUnusable if the keys belong to something else."""
        keys = self._keys
        await self._transaction([("XLEN", keys.events), ("XLEN", keys.audit), ("HLEN", keys.summary), ("GET", keys.bot)])
        return await self._known()

    async def _known(self) -> list[_Known]:
        everybody: list[str] = (await self._transaction([("ZRANGE", self._keys.participants, 0, -1)]))[0]
        ask: list[Command] = [("HMGET", self._keys.participant(each), "present", "consent") for each in everybody]
        states = zip(everybody, await self._transaction(ask), strict=True)
        return [_Known(each, present == "1", consent == "0") for each, (present, consent) in states if present is not None]

    async def _erase_state(self, participant_id: str) -> None:
        await self._transaction([("DEL", self._keys.participant(participant_id))])

    async def _send(self) -> None:
        async with self._one_at_a_time:
            if self._unanswered:
                await self._settle()
            if self._went_back:
                await self._tell_what_was_undone()
            self._unanswered = self._outbox.take(BATCH)
            if self._unanswered:
                await self._send_unanswered()
            await self._erase_a_page()

    def _erase_what_was_read_of(self, participant_id: str) -> None:
        if self._withdrawal_erases:
            self._withdrawals.pop(participant_id, None)  # it starts over, after those of others
            self._withdrawals[participant_id] = Withdrawal(self._keys, participant_id)

    async def _erase_a_page(self) -> None:
        """Erase the next page that is due after a withdrawal, if there is one."""
        if not self._withdrawals:
            return
        participant_id, withdrawal = next(iter(self._withdrawals.items()))
        await withdrawal.erase_page(self._redis)
        if withdrawal.is_done:
            del self._withdrawals[participant_id]
            logger.info("%d stream entries are erased after a withdrawal of consent", withdrawal.erased)

    async def _send_unanswered(self) -> None:
        now_ms = self._clock()
        is_due = self._is_housekeeping_due(now_ms)
        commands = [*self._mark(), *(housekeeping(now_ms, self._redis_ms, self._keys, self._lifetimes) if is_due else [])]
        for sequence, waiting in enumerate(self._unanswered, self._sequence + 1):
            commands += self._commands(waiting, sequence)
        commands += expiries(self._keys, self._lifetimes) if is_due else []
        before, (seconds, microseconds), *_ = await self._transaction(commands, watch=self._last)
        self._redis_ms = seconds * 1000 + microseconds // 1000
        if is_due:
            self._kept_house_ms = now_ms
        is_lost = (before or "0") != str(self._sequence)
        self._acknowledge(len(self._unanswered))
        if is_lost:
            logger.warning("redis lost what it had acknowledged: writing %d participants again", len(self._told))
            self._tell_again(self._told.in_order())
            self._outbox.discard_withdrawn()
            self._went_back = True

    def _is_housekeeping_due(self, now_ms: int) -> bool:
        # the clock may have been set back, and data other than readings may have created a key
        in_time = 0 <= now_ms - self._kept_house_ms < HOUSEKEEPING_MS
        return not in_time or not all(isinstance(waiting.data, READING) for waiting in self._unanswered)

    async def _tell_what_was_undone(self) -> None:
        """Tell a Redis that went back to an older state who left, or withdrew, though it has them as present or consenting.

        If the level does not allow that, their states are erased instead.
        """
        undone: list[Waiting] = []
        for each in await self._known():
            ended = self._told.undone(each.id, each.is_present, each.has_withdrawn, self._clock())
            if any(self._at_level(waiting.data) is None for waiting in ended):
                await self._erase_state(each.id)
            else:
                undone += ended
            if each.has_withdrawn:  # what was erased may be back too
                self._erase_what_was_read_of(each.id)
        self._tell_again(sorted(undone, key=lambda waiting: waiting.at_ms))
        self._went_back = False

    def _tell_again(self, earlier: list[Waiting]) -> None:
        """Put what Redis lost before what waits, with the current time: with the original times, time would go backwards."""
        now_ms = min(self._clock(), self._outbox.oldest_ms or self._clock())
        self._outbox.put_back([replace(each, again_ms=now_ms) for each in earlier])

    def _mark(self) -> list[Command]:
        """The commands that read the last sequence number and Redis' time, and then store the new last number."""
        last = self._sequence + len(self._unanswered)
        return [("GET", self._last), ("TIME",), ("SET", self._last, last, "PX", self._lifetimes.retention_ms)]

    async def _settle(self) -> None:
        """Find out what became of a batch whose answer never came; what Redis does not have goes back into the outbox.

        A batch's transaction watches the key that this touches, so one still on its way from a broken connection fails.
        """
        touch: list[Command] = [("INCRBY", self._last, 0), ("PEXPIRE", self._last, self._lifetimes.retention_ms)]
        newest = (await self._transaction(touch))[0]
        self._acknowledge(max(0, newest - self._sequence))
        self._outbox.put_back(self._unanswered)
        self._outbox.discard_withdrawn()
        self._unanswered = []

    def _acknowledge(self, count: int) -> None:
        """Count the first `count` of the unanswered as arrived."""
        acknowledged_ms = self._clock()
        for waiting in self._unanswered[:count]:
            self._told.add(waiting)
            self.published[waiting.data.type] += 1
            if isinstance(waiting.data, ConsentWithdrawn):
                self._erase_what_was_read_of(waiting.data.participant)
            if isinstance(waiting.data, EmotionSample):
                self.latencies_ms.append(acknowledged_ms - waiting.data.at_ms)
        del self._unanswered[:count]
        self._sequence += count

    def _commands(self, waiting: Waiting, sequence: int) -> list[Command]:
        event = self._event(waiting, sequence)
        text = event.to_json()
        audited: list[Command] = [("XADD", self._keys.audit, "*", "event", text)] if isinstance(waiting.data, AUDITED) else []
        return [
            ("XADD", self._keys.events, "*", "event", text),
            *audited,
            ("PUBLISH", self._keys.live, text),
            *changes(event, waiting.data, waiting.at_ms, self._keys, self._lifetimes),
        ]

    def _event(self, waiting: Waiting, sequence: int) -> Event:
        return Event(
            id=f"{self.epoch}-{sequence}",
            source=self._source,
            type=waiting.data.type,
            subject=getattr(waiting.data, "participant", None),
            time=rfc3339(waiting.told_ms),
            sequence=sequence,
            epoch=self.epoch,
            dataschema=schema_url(waiting.data.type),
            dataclassification=waiting.data.classification,
            data=waiting.data.model_dump(mode="json"),
        )

    async def _transaction(self, commands: Sequence[Command], watch: str | None = None) -> list[Any]:
        """The replies to commands run as one transaction; if the key `watch` changes meanwhile, none runs: raises WatchError.

        Raises the first error among the replies too, as RedisUnusable if waiting would not help.
        """
        async with self._redis.pipeline(transaction=True) as pipe:
            if watch is not None:
                await pipe.watch(watch)
                pipe.multi()  # type: ignore[no-untyped-call]  # of redis-py
            for command in commands:
                pipe.execute_command(*command)
            replies: list[Any] = await pipe.execute(raise_on_error=False)
        for error, command in _refused(replies, commands):
            if not heals(error):
                raise RedisUnusable(f"redis refuses {' at key '.join(map(str, command[:2]))}: {reason(error)}")
            raise error
        return replies


def _refused(replies: Sequence[Any], commands: Sequence[Command]) -> Iterator[tuple[RedisError, Command]]:
    return ((reply, command) for reply, command in zip(replies, commands, strict=True) if isinstance(reply, RedisError))
