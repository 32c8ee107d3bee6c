"""A dashboard over a real Redis, and lessons published to it event by event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from dashboard.options import DashboardOptions
from dashboard.server import serving
from model.faces import EMOTIONS, Emotion
from pipeline.clock import Clock, now_ms
from pipeline.coverage import Coverage
from pipeline.events import (
    BotStatus,
    CoverageChanged,
    Data,
    EmotionChanged,
    EmotionSample,
    FaceBox,
    Label,
    ParticipantJoined,
    ParticipantLeft,
    Summary,
)
from pipeline.keys import Keys
from pipeline.publish import Publisher
from tests.redis_servers import RedisServer

SHARES = dict.fromkeys(EMOTIONS, 0.0)


def status(state: str = "running") -> BotStatus:
    counts = dict.fromkeys(
        ("participants", "frames_received", "looks", "frames_skipped", "frames_dropped", "events_dropped", "tracks_failed"), 0
    )
    return BotStatus(state=state, looks_per_second=1.0, **counts)  # type: ignore[arg-type]


def sample(who: str, emotion: Label, at_ms: int, confidence: float = 0.75) -> EmotionSample:
    return EmotionSample(
        participant=who,
        at_ms=at_ms,
        emotion=emotion,
        confidence=confidence,
        scores=dict.fromkeys(EMOTIONS, 1 / 7),
        face=FaceBox(x=0.1, y=0.1, width=0.5, height=0.5),
        faces=1,
        coverage=Coverage.OK,
        model="test",
    )


def summary(happy: float | None = 0.5, participants: int = 10, scored: int = 10) -> Summary:
    shares = None if happy is None else {**SHARES, Emotion.HAPPY: happy, Emotion.NEUTRAL: round(1 - happy, 2)}
    return Summary(
        participants=participants,
        scored=scored,
        coverage={Coverage.OK: scored, Coverage.CAMERA_OFF: participants - scored},
        shares=shares,
        valence=happy,
        withheld=happy is None,
    )


class Lesson:
    """A bot's run in one room, published by hand."""

    def __init__(self, redis: Redis, room: str, epoch: str = "1", *, clock: Clock = now_ms) -> None:
        self.keys = Keys("classmood", room)
        self.clock = clock
        self._publisher = Publisher(
            redis,
            self.keys,
            epoch,
            outbox_limit=10_000,
            retention_ms=3_600_000,
            status_ttl_ms=600_000,
            retry_seconds=0.1,
            clock=clock,
        )

    async def tell(self, *events: Data) -> None:
        for data in events:
            self._publisher.publish(data)
        assert await self._publisher.flush(5) == 0

    async def begin(self, *names: str, emotion: Label = Emotion.NEUTRAL) -> None:
        """Start a live bot, with one person for each name, who is seen; the name is also the id."""
        people = [self.seen(name, emotion) for name in names]
        await self.tell(status(), *(event for events in people for event in events))

    def seen(self, who: str, emotion: Label) -> list[Data]:
        return [
            ParticipantJoined(participant=who, name=who, reason="joined"),
            CoverageChanged(participant=who, before=None, after=Coverage.OK),
            EmotionChanged(participant=who, before=None, after=emotion, since_ms=self.clock()),
            sample(who, emotion, self.clock()),
        ]

    async def show(self, who: str, emotion: Label) -> None:
        await self.tell(sample(who, emotion, self.clock()))

    async def cover(self, who: str, coverage: Coverage) -> None:
        await self.tell(CoverageChanged(participant=who, before=Coverage.OK, after=coverage))

    async def leave(self, who: str) -> None:
        await self.tell(ParticipantLeft(participant=who, reason="left"))


@asynccontextmanager
async def dashboard(server: RedisServer, **options: object) -> AsyncIterator[str]:
    """The URL of a dashboard on a free port, without a trailing slash."""
    async with server.client() as redis, serving(redis, "classmood", DashboardOptions(**{"port": 0, **options})) as url:  # type: ignore[arg-type]
        yield url.rstrip("/")
