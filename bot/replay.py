"""Plays a recorded class into Redis as if it were happening now."""

import asyncio
import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.errors import RedisRefused, SettingsWrong
from bot.recorded_basis import read_basis
from bot.recorded_marks import MarksToPlay
from bot.settings import Settings
from bot.timeline import Survey, published_ms, timeline
from pipeline.cancellation import cancellable
from pipeline.clock import now_ms
from pipeline.contract import TypedEvent, shown
from pipeline.events import BotStatus, ConsentWithdrawn, Data, ParticipantLeft
from pipeline.keys import Keys
from pipeline.publish import BATCH, Publisher, reason

FLUSH_SECONDS = 3.0
"""How long to wait for the last events of an interrupted round to reach Redis."""

A_DAY_SECONDS = 86_400.0

OUTBOX_LIMIT = 1_000_000
"""Never reached: a round lets at most a batch of events wait, because a recording loses nothing by being late."""

AS_FAST_AS_POSSIBLE = math.inf
"""A speed; the command line writes it `max`."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a recording is played.

    With `history`, all of it is played at once, with the times that it would have if the class had just ended.
    """

    speed: float = 1.0
    history: bool = False


@dataclass
class Played:
    """What has been played so far."""

    events: int = 0
    rounds: int = 0
    types: Counter[str] = field(default_factory=Counter)


def moved(data: Data, was_ms: float, is_ms: int, speed: float) -> Data:
    """Data moved from `was_ms` to `is_ms`: each time in it keeps its distance from that moment, divided by the speed."""
    times = {
        name: value for name in type(data).model_fields if name.endswith("_ms") and isinstance(value := getattr(data, name), int)
    }
    return data.model_copy(update={name: is_ms - round((was_ms - value) / speed) for name, value in times.items()})


async def replay(
    redis: Redis, keys: Keys, recording: Survey, settings: Settings, pace: Pace, played: Played, *, loop: bool = False
) -> None:
    """Play a recording once or, with `loop`, round after round until cancelled, each as a run of its own.

    Waits while Redis is away. Raises RedisUnusable, and RecordingUnusable if the file has changed since it was surveyed.
    """
    epoch = 0
    while True:
        epoch = max(now_ms(), epoch + 1)
        await _Round(redis, keys, recording, settings, pace, str(epoch)).play(played, in_order=loop)
        played.rounds += 1
        if not loop:
            return


async def check_that_nobody_is_live(redis: Redis, keys: Keys) -> None:
    """Raise SettingsWrong if a bot is live in the room, and RedisRefused if Redis does not answer."""
    try:
        live = await cancellable(redis.get(keys.bot))
    except RedisError as error:
        raise RedisRefused(f"redis does not answer: {reason(error)}") from None
    if live is not None:
        raise SettingsWrong(f"a bot is live in room {shown(keys.room)}: --room names another, --force plays there anyway")


class _Round:
    """One run through a recording, with a publisher of its own."""

    def __init__(self, redis: Redis, keys: Keys, recording: Survey, settings: Settings, pace: Pace, epoch: str) -> None:
        self._redis = redis
        self._keys = keys
        self._recording = recording
        self._pace = pace
        self._started_ms = self._told_ms = now_ms() - (round(recording.seconds * 1000) if pace.history else 0)
        self._present: set[str] = set()
        self._last_status: BotStatus | None = None
        retention_ms = round(settings.retention_hours * 3_600_000)
        heartbeat_ms = max(settings.heartbeat_seconds * 1000, recording.heartbeat_ms / pace.speed)
        self._marks = MarksToPlay(recording.path, recording.begins_ms, redis, keys, retention_ms)
        self._publisher = Publisher(
            redis,
            keys,
            epoch,
            outbox_limit=OUTBOX_LIMIT,
            retention_ms=retention_ms,
            audit_retention_ms=round(settings.audit_retention_days * 86_400_000),
            status_ttl_ms=round(heartbeat_ms * 3),
            retry_seconds=settings.redis_retry_seconds,
            clock=self._clock,
        )

    async def play(self, played: Played, *, in_order: bool) -> None:
        """Play the recording to its end; `in_order`, or if interrupted, end it by everybody's leaving and the bot's stopping."""
        await self._publisher.wait_until_reachable()
        as_recorded = False
        declared = read_basis(self._recording.path)
        try:
            for offset_ms, event in timeline(self._recording.path):
                await self._wait_for(offset_ms)
                await self._marks.play(offset_ms, self._started_ms, None if self._pace.history else self._clock())
                if isinstance(event.data, ConsentWithdrawn):
                    await self._flush()  # else the publisher would drop their waiting events
                if (basis := declared.pop(event.epoch, None)) is not None:
                    self._publisher.publish(basis)
                self._tell(event)
                played.events += 1
                played.types[event.type] += 1
            await self._flush()
            as_recorded = not in_order
        finally:
            if not as_recorded:
                await self._end_in_order()
        if as_recorded and self._last_status is not None:
            with suppress(RedisError):  # the status also expires by itself
                await cancellable(self._redis.delete(self._keys.bot))  # there will be no next heartbeat

    def _clock(self) -> int:
        return self._told_ms if self._pace.history else now_ms()

    async def _wait_for(self, offset_ms: float) -> None:
        """Wait until the event `offset_ms` after the first is due; if it is not due yet, all earlier ones are flushed first."""
        if self._pace.history:
            self._told_ms = self._started_ms + round(offset_ms)
        early_ms = 0.0 if self._pace.history else self._started_ms + offset_ms / self._pace.speed - now_ms()
        if early_ms > 0 or self._publisher.waiting >= BATCH:
            await self._flush()
        if early_ms > 0:
            await asyncio.sleep(early_ms / 1000)

    async def _flush(self) -> None:
        while await self._publisher.flush(A_DAY_SECONDS):  # wait while Redis is away: nobody else is kept waiting
            pass

    def _tell(self, event: TypedEvent) -> None:
        data = event.data
        speed = 1.0 if self._pace.history else self._pace.speed
        self._publisher.publish(moved(data, published_ms(event), self._clock(), speed))
        if isinstance(data, BotStatus):
            self._last_status = data
        elif isinstance(data, ParticipantLeft):
            self._present.discard(data.participant)
        elif event.subject is not None:
            self._present.add(event.subject)

    async def _end_in_order(self) -> None:
        for participant_id in sorted(self._present):
            self._publisher.publish(ParticipantLeft(participant=participant_id, reason="replay stopped"))
        if self._last_status is not None and self._last_status.state != "stopping":
            self._publisher.publish(self._last_status.model_copy(update={"state": "stopping", "participants": 0}))
        await self._publisher.flush(FLUSH_SECONDS)
