import asyncio
import threading

import pytest

from bot.tasks import background, contained, in_a_thread, no_task_is_left, stay


async def fail() -> None:
    raise ValueError("this cannot be")


async def test_background_work_ends_with_its_block() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await stay(None)
        finally:
            ended.set()

    async with background(work()):
        await asyncio.sleep(0)
    assert ended.is_set()


async def test_background_work_that_fails_stops_the_block() -> None:
    with pytest.raises(ExceptionGroup) as group:
        async with background(fail()):
            await stay(5)
    assert group.group_contains(ValueError)


async def test_a_failure_is_contained_and_counted_but_a_cancellation_is_not() -> None:
    failures: list[None] = []
    await contained(fail(), "ada", lambda: failures.append(None))
    watching = asyncio.create_task(contained(stay(None), "ada", lambda: failures.append(None)))
    await asyncio.sleep(0)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert len(failures) == 1


async def test_staying_ends_in_time_and_at_once_where_a_cancellation_was_lost_before() -> None:
    async with asyncio.timeout(5):
        await stay(0.01)

    async def deaf() -> None:
        try:
            await stay(None)
        except asyncio.CancelledError:
            await stay(None)

    losing = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    losing.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await losing


async def test_what_a_thread_does_is_waited_for_and_what_it_raises_is_raised() -> None:
    done: list[None] = []
    await in_a_thread(lambda: done.append(None), last_seconds=0)
    assert len(done) == 1
    with pytest.raises(IndexError):
        await in_a_thread(lambda: done.pop(1), last_seconds=0)


@pytest.mark.parametrize(("last_seconds", "ends"), [(10, True), (0.01, False)])
async def test_a_thread_that_is_no_longer_wanted_has_a_moment_to_finish_and_is_left_behind(
    last_seconds: float, ends: bool
) -> None:
    may_end, ended = threading.Event(), threading.Event()

    def work() -> None:
        may_end.wait(20)
        ended.set()

    working = asyncio.create_task(in_a_thread(work, last_seconds=last_seconds))
    await asyncio.sleep(0)
    working.cancel()
    if ends:
        may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ended.is_set() == ends
    may_end.set()
    ended.wait(20)


async def test_a_task_that_loses_its_cancellation_is_cancelled_again() -> None:
    async def deaf() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    losing = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    assert not await no_task_is_left(tries=1, each_seconds=0.01)
    assert await no_task_is_left(each_seconds=0.01)
    assert losing.cancelled()
