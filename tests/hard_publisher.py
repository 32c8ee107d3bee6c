"""A process that publishes as hard as it can until it is killed: python -m tests.hard_publisher REDIS_URL ROOM"""

import asyncio
import random
import sys
from collections.abc import Iterator
from itertools import count

from bot.redis_client import connect
from bot.settings import read_settings
from bot.tasks import background
from model.faces import EMOTIONS
from pipeline.clock import now_ms
from pipeline.coverage import Coverage
from pipeline.events import (
    BotStatus,
    CoverageChanged,
    Data,
    EmotionChanged,
    EmotionSample,
    FaceBox,
    ParticipantJoined,
    ParticipantLeft,
    Summary,
)
from pipeline.keys import Keys
from pipeline.publish import Publisher

STUDENTS = 20
MOST_WAITING = 300


def happenings(script: random.Random) -> Iterator[Data]:
    """Events of every kind in random order, without end."""
    for number in count():
        who = f"student-{script.randrange(STUDENTS)}"
        yield script.choices([joined, left, covered, changed, sample, summary, status], [2, 1, 5, 5, 20, 2, 2])[0](who, number)


def joined(who: str, number: int) -> Data:
    return ParticipantJoined(participant=who, name=f"name {number}", reason="published")


def left(who: str, number: int) -> Data:
    return ParticipantLeft(participant=who, reason="left")


def covered(who: str, number: int) -> Data:
    return CoverageChanged(participant=who, before=None, after=list(Coverage)[number % len(Coverage)])


def changed(who: str, number: int) -> Data:
    return EmotionChanged(participant=who, before=None, after=EMOTIONS[number % 7], since_ms=number)


def sample(who: str, number: int) -> Data:
    return EmotionSample(
        participant=who,
        at_ms=number,
        emotion=EMOTIONS[number % 7],
        confidence=number % 100 / 100,
        scores=dict.fromkeys(EMOTIONS, number % 100 / 700),
        face=FaceBox(x=0.25, y=-0.1, width=0.5, height=0.5),
        faces=1 + number % 3,
        coverage=Coverage.OK,
        model="cnn@1",
    )


def summary(who: str, number: int) -> Data:
    return Summary(participants=number, scored=0, coverage={Coverage.OK: number}, shares=None, valence=None, withheld=True)


def status(who: str, number: int) -> Data:
    return BotStatus(
        state="running",
        participants=STUDENTS,
        looks_per_second=2.0,
        frames_received=number,
        looks=number,
        frames_skipped=0,
        frames_dropped=0,
        events_dropped=0,
        tracks_failed=0,
    )


async def main(url: str, room: str) -> None:
    """Publish until the process ends."""
    epoch = str(now_ms())
    async with connect(read_settings(redis_url=url)) as redis:
        publisher = Publisher(
            redis,
            Keys("classmood", room),
            epoch,
            outbox_limit=2000,
            retention_ms=3_600_000,
            status_ttl_ms=600_000,
            retry_seconds=0.1,
        )
        await publisher.wait_until_reachable()
        async with background(publisher.run()):
            for data in happenings(random.Random(epoch)):
                publisher.publish(data)
                while publisher.waiting > MOST_WAITING:
                    await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
