"""The marks of a scripted lesson, in a real Redis."""

import asyncio

from bot.scripts import Script
from bot.synthetic.marking import marking
from bot.tasks import background
from pipeline.keys import Keys
from pipeline.markers import markers
from tests.redis_servers import PROGRAMS, needs_redis, running_redis

pytestmark = needs_redis

KEYS = Keys("classmood", "algebra")


def lesson(*steps: dict[str, object], seconds: float = 1.0) -> Script:
    return Script.model_validate({"duration_seconds": seconds, "steps": steps})


async def test_a_lesson_marks_its_moments_again_and_again() -> None:
    script = lesson({"at_seconds": 0.5, "mark": "exercise"}, {"at_seconds": 0, "mark": "explanation"})
    with running_redis(PROGRAMS["packaged"]) as server:
        async with server.client() as redis, background(marking(redis, KEYS, script, asyncio.get_running_loop().time())):
            async with asyncio.timeout(10):
                while len(found := await markers(redis, KEYS)) < 3:
                    await asyncio.sleep(0.05)
    assert [marker.label for marker in found[:3]] == ["explanation", "exercise", "explanation"]
    assert found[1].at_ms - found[0].at_ms > 300


async def test_a_lesson_without_marks_makes_none_and_one_without_redis_goes_on() -> None:
    now = asyncio.get_running_loop().time()
    with running_redis(PROGRAMS["packaged"]) as server:
        async with server.client() as redis:
            await marking(redis, KEYS, lesson({"at_seconds": 0, "feel": "sad"}), now)
            assert await markers(redis, KEYS) == []
        url_of_nobody = server.client()
    async with url_of_nobody as redis:
        work = asyncio.create_task(marking(redis, KEYS, lesson({"at_seconds": 0, "mark": "x"}), now))
        await asyncio.sleep(0.3)
        assert not work.done()
        work.cancel()
        await asyncio.wait([work])
