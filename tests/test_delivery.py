"""What delivery promises, against real servers that really die: state, stream and channel agree, and nothing comes twice."""

import asyncio
import logging
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.app import FLUSH_SECONDS, assemble, attend, status
from bot.rooms import ConsentChanged, Participant, Unseen
from bot.settings import read_settings
from bot.tasks import background
from model.faces import Emotion
from pipeline.analysis import Analyst
from pipeline.coverage import Coverage
from pipeline.events import BotStatus, Event, ParticipantLeft
from pipeline.keys import Keys
from pipeline.publish import Publisher
from pipeline.summary import ClassFigures
from tests.commands import environment
from tests.fakes import AlwaysOf, Clock, FaceEverywhere, LostOnce, ScriptedRoom
from tests.hard_publisher import happenings, joined
from tests.redis_servers import SERVER, RedisServer, every_server, running_redis
from tests.replayed import Replayed
from tests.scripted_class import ScriptedClass
from tests.test_publish import listening, needs_redis, publisher

KEYS = Keys("classmood", "maths {7b}: 100%")
AT_ONCE = ("--appendonly", "yes", "--appendfsync", "always")


@contextmanager
def hard_publisher(folder: Path, server: RedisServer) -> Iterator[None]:
    """A process that publishes while the block runs, and then gets a SIGKILL."""
    command = [sys.executable, "-m", "tests.hard_publisher", server.url, KEYS.room]
    with subprocess.Popen(command, cwd=folder, env=environment(folder, {}), start_new_session=True) as process:
        try:
            yield
        finally:
            process.kill()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(50):  # each transaction waits for a disk that others use too
        while not condition():
            await asyncio.sleep(0.005)


async def everybody_else_is_gone(redis: Redis) -> None:
    """Wait until Redis has read all that a dead process had sent: only then does it close the connection."""
    async with asyncio.timeout(10):
        while len(await redis.client_list()) > 2:  # the connection that asks, and the subscriber
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("kills", [1, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
@needs_redis
async def test_a_bot_that_is_killed_at_any_moment_leaves_state_stream_and_channel_in_agreement(
    kills: int, tmp_path: Path
) -> None:
    moments = random.Random(kills)
    with running_redis(SERVER) as server:
        async with server.client() as redis, listening(redis) as heard:
            replayed = Replayed(redis, KEYS)
            for _ in range(kills):
                before = len(heard)
                with hard_publisher(tmp_path, server):
                    await eventually(lambda before=before: len(heard) > before)  # type: ignore[misc]
                    await asyncio.sleep(moments.uniform(0, 0.2))
                await everybody_else_is_gone(redis)
                await replayed.check()
                await eventually(lambda: len(heard) == len(replayed.texts))
                assert heard == replayed.texts
    assert len(replayed.last) == kills


@pytest.mark.slow
@pytest.mark.timeout(300)
@every_server
async def test_a_redis_that_is_killed_again_and_again_has_everything_that_it_acknowledged(program: str) -> None:
    await assert_nothing_is_lost(program, kills=20)


@needs_redis
async def test_a_redis_that_is_killed_has_everything_that_it_acknowledged() -> None:
    await assert_nothing_is_lost(SERVER, kills=2)


async def assert_nothing_is_lost(program: str | None, kills: int) -> None:
    script = random.Random(kills)
    with running_redis(program, *AT_ONCE) as server:
        async with server.client() as redis:
            sender, story = publisher(redis, outbox_limit=100_000), happenings(script)
            replayed = Replayed(redis, KEYS)
            async with background(sender.run()):
                for _ in range(kills):
                    await publish_for_a_while(sender, story, script)
                    server.kill()
                    acknowledged = sender.published.total()
                    await publish_for_a_while(sender, story, script)
                    server.start()
                    await eventually(lambda: sender.waiting == 0)
                    await replayed.check()
                    assert len(replayed.texts) == sender.published.total() >= acknowledged
            assert sender.dropped == 0
    assert replayed.last[sender.epoch] == len(replayed.texts) > 100 * kills


async def publish_for_a_while(sender: Publisher, story: Iterator[object], script: random.Random) -> None:
    for _ in range(script.randrange(10, 40)):
        for _ in range(10):
            sender.publish(next(story))  # type: ignore[arg-type]
        await asyncio.sleep(0.002)


@needs_redis
async def test_a_redis_that_comes_back_empty_is_told_again_of_everybody_present(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with running_redis(SERVER) as server:  # nothing in it survives a kill
        async with server.client() as redis:
            sender = publisher(redis)
            for data in islice(happenings(random.Random(1)), 400):
                if not isinstance(data, ParticipantLeft):  # in this story nobody who leaves comes back
                    sender.publish(data)
            sender.publish(ParticipantLeft(participant="student-3", reason="left"))
            await sender.flush(10)
            before = Replayed(redis, KEYS)
            await before.check()
            server.kill()
            server.start()
            sender.publish(joined("newcomer", 1))
            await sender.flush(10)
            await assert_the_same_people_are_present(redis, before, sender.epoch)
    lines = [record.getMessage() for record in caplog.records if "redis lost" in record.getMessage()]
    present = sum(state["present"] for state in before.people.values())
    assert lines == [f"redis lost what it had acknowledged: writing {present + 1} participants again"]


async def written(redis: Redis) -> list[Event]:
    """The events in the stream."""
    return [Event.model_validate_json(fields["event"]) for _, fields in await redis.xrange(KEYS.events)]


async def assert_the_same_people_are_present(redis: Redis, before: Replayed, epoch: str) -> None:
    """Everybody who was present is present again, with everything known about them, in events with new numbers."""
    for who, state in before.people.items():
        now = await redis.hgetall(KEYS.participant(who))
        same = {name: str(state[name]) for name in ("name", "coverage", "emotion", "at_ms") if name in state}
        assert {name: now.get(name) for name in same} == (same if state["present"] else dict.fromkeys(same)), who
    numbers = [event.sequence for event in await written(redis)]
    assert numbers == list(range(before.last[epoch] + 1, before.last[epoch] + 1 + len(numbers)))


@needs_redis
async def test_a_redis_that_somebody_empties_is_told_again_too() -> None:
    with running_redis(SERVER) as server:
        async with server.client() as redis:
            sender = publisher(redis)
            sender.publish(joined("ada", 1))
            await sender.flush(5)
            await redis.flushall()
            sender.publish(joined("ben", 2))
            await sender.flush(5)
            assert await redis.hget(KEYS.participant("ada"), "name") == "name 1"
            assert await redis.zrange(KEYS.participants, 0, -1) == ["ada", "ben"]


@needs_redis
@pytest.mark.slow
async def test_a_withdrawal_outlives_the_loss_of_the_room_while_redis_is_away(tmp_path: Path) -> None:
    """As behind a switch that restarts, which takes both away."""
    room, settings = LostOnce(KEYS.room), read_settings(names=True, redis_retry_seconds=0.1)
    with running_redis(SERVER, *AT_ONCE) as server:
        async with server.client() as redis:
            reader = Analyst(FaceEverywhere(), AlwaysOf(Emotion.HAPPY))
            async with background(attend(room, redis, reader, settings)):
                room.happen(Unseen(Participant("ada", "Ada", consent=True), Coverage.CAMERA_OFF))
                async with asyncio.timeout(10):
                    while not await redis.exists(KEYS.participant("ada")):
                        await asyncio.sleep(0.01)
                server.kill()
                room.happen(ConsentChanged("ada", False, "room"))
                room.close()
                await asyncio.sleep(FLUSH_SECONDS + 0.5)  # the stay is over, and none of it could be published
                server.start()
                async with asyncio.timeout(10):
                    while await redis.hget(KEYS.participant("ada"), "consent") != "0":
                        await asyncio.sleep(0.01)
                    events = await written(redis)
                    while len({event.epoch for event in events}) < 2:  # until the next stay has begun
                        await asyncio.sleep(0.01)
                        events = await written(redis)
                room.close()
    told = [event.type.removeprefix("classmood.") for event in events if event.subject == "ada"]
    assert told[-3:] == ["consent.withdrawn", "coverage.changed", "participant.left"]  # everything before it is erased


@needs_redis
@pytest.mark.slow
async def test_a_bot_that_ends_while_redis_is_away_says_whose_withdrawals_are_lost(caplog: pytest.LogCaptureFixture) -> None:
    room, settings = LostOnce(KEYS.room), read_settings(names=True, redis_retry_seconds=0.1)
    with running_redis(SERVER, *AT_ONCE) as server:
        async with server.client() as redis:
            reader = Analyst(FaceEverywhere(), AlwaysOf(Emotion.HAPPY))
            async with background(attend(room, redis, reader, settings)):
                for who in ("ada", "ben"):
                    room.happen(Unseen(Participant(who, who, consent=True), Coverage.CAMERA_OFF))
                    async with asyncio.timeout(10):
                        while not await redis.exists(KEYS.participant(who)):
                            await asyncio.sleep(0.01)
                server.kill()
                room.happen(ConsentChanged("ada", False, "room"))
                await asyncio.sleep(0.1)
    assert [line for line in caplog.messages if "withdrawal" in line] == [
        "a withdrawal is not in redis: if the bot ends now, `classmood forget ROOM ada` erases what was read"
    ]


class Outage:
    """A class of 50 at its usual rates, during which Redis is away for a minute."""

    def __init__(self, redis: Redis, outbox_limit: int) -> None:
        settings = read_settings(outbox_limit=outbox_limit, redis_retry_seconds=0.05)
        self.clock = Clock(1_767_254_400_000)
        self.bot = assemble(
            ScriptedRoom(KEYS.room), redis, Analyst(FaceEverywhere(), AlwaysOf(Emotion.HAPPY)), settings, self.clock
        )
        self.sender = self.bot.publisher
        self.students = ScriptedClass(self.bot.moods, 50, self.clock())
        self.figures = ClassFigures(5)

    async def goes_on(self, seconds: int) -> None:
        """Two looks a second at each student, a summary and a heartbeat every five seconds."""
        for turn in range(seconds * 2):
            for _ in self.students.looks(self.clock(), 8):
                await asyncio.sleep(0)
            self.clock.pass_seconds(0.5)
            if turn % 10 == 9:
                self.sender.publish(self.figures.summary(self.bot.moods.present(), self.clock()))
                self.sender.publish(status(self.bot, "running", 100.0))

    async def catches_up(self) -> None:
        await eventually(lambda: self.sender.waiting == 0)


@asynccontextmanager
async def outage(outbox_limit: int) -> AsyncIterator[tuple[Outage, Replayed]]:
    """The state after the outage: Redis is back, and has everything that waited."""
    with running_redis(SERVER, *AT_ONCE) as server:
        async with server.client() as redis:
            lesson = Outage(redis, outbox_limit)
            async with background(lesson.sender.run()):
                await lesson.goes_on(20)
                await lesson.catches_up()
                server.kill()
                await lesson.goes_on(60)
                assert lesson.sender.waiting <= outbox_limit + 100
                server.start()
                await lesson.catches_up()
                await lesson.goes_on(10)
                await lesson.catches_up()
            yield lesson, Replayed(redis, KEYS)


@pytest.mark.slow
@needs_redis
async def test_a_minute_without_redis_loses_nothing_of_a_class_of_fifty() -> None:
    async with outage(10_000) as (lesson, replayed):
        await replayed.check()
        assert lesson.sender.dropped == 0
        assert len(replayed.texts) == lesson.sender.published.total() > 4000
        assert in_order_of_time(replayed.texts)


@pytest.mark.slow
@needs_redis
async def test_a_minute_without_redis_and_with_a_small_outbox_is_told_as_a_count_and_ends_with_the_right_state() -> None:
    async with outage(1000) as (lesson, replayed):
        await replayed.check()
        assert in_order_of_time(replayed.texts)
        last = [event.typed() for event in map(Event.model_validate_json, replayed.texts)]
        counts = [data.events_dropped for data in last if isinstance(data, BotStatus)]
        assert counts == sorted(counts) and counts[0] == 0
        assert counts[-1] == lesson.sender.dropped > 1500
        for mood in lesson.bot.moods.present():
            state = replayed.people[mood.participant_id]
            assert (state["present"], state["coverage"]) == (1, mood.coverage)
            assert mood.emotion is None or state["emotion"] == mood.emotion
            assert state["name"].startswith("Student Number")


def in_order_of_time(texts: list[str]) -> bool:
    times = [Event.model_validate_json(text).time for text in texts]
    return times == sorted(times)
