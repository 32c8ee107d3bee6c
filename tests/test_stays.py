"""A connection to the room that is lost and comes back: each stay is a run of its own, and the class figures go on."""

import asyncio

from redis.asyncio import Redis

from bot.app import attend
from bot.rooms import Arrival, Participant
from bot.settings import read_settings
from bot.tasks import background
from model.faces import Emotion
from pipeline.analysis import Analyst, Limits
from pipeline.events import Summary
from pipeline.follow import events_since
from pipeline.keys import Keys
from tests.fakes import SOMEWHERE, AlwaysOf, FaceEverywhere, LostOnce, ScriptedRoom
from tests.redis_servers import needs_redis
from tests.test_levels import SlowTrack

KEYS = Keys("classmood", "algebra")


def come(room: ScriptedRoom, count: int) -> None:
    for number in range(count):
        room.happen(Arrival(Participant(f"s{number}", f"Student {number}", consent=True), SlowTrack()))


async def figures_of_stay(redis: Redis, number: int) -> list[Summary]:
    """The summaries of one stay that are not withheld, once there are any."""
    async with asyncio.timeout(20):
        while True:
            events = [event async for event in events_since(redis, KEYS)]
            epoch = list(dict.fromkeys(event.epoch for event in events))[number : number + 1]
            told = [event.typed() for event in events if event.epoch in epoch]
            if shown := [each for each in told if isinstance(each, Summary) and not each.withheld]:
                return shown
            await asyncio.sleep(0.05)


@needs_redis
async def test_who_is_missing_after_the_connection_was_lost_counts_as_before_in_the_figures_of_the_class(redis: Redis) -> None:
    room, analyst = LostOnce(), Analyst(FaceEverywhere(SOMEWHERE), AlwaysOf(Emotion.HAPPY), Limits(0, 0, 0))
    settings = read_settings(summary_seconds=0.3, looks_per_second=5)
    async with background(attend(room, redis, analyst, settings)):
        come(room, 6)
        first = await figures_of_stay(redis, 0)
        room.close()
        come(room, 5)
        second = await figures_of_stay(redis, 1)
        room.close()
    assert {each.scored for each in (*first, *second)} == {6}
