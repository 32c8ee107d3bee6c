"""Decoding on shared threads: in order, only what is wanted is returned, and nothing is left behind."""

import asyncio
import threading
import time
import weakref
from functools import partial

import av
import pytest
from av import VideoFrame

from bot.decoder_threads import HELP_AFTER_SECONDS, better_thread, cores, join_a_thread, leave_the_thread
from bot.decoding import MOST_LATE_SECONDS, MOST_UNDECODED, Decoding
from tests.fakes import picture


def decoder_threads() -> int:
    return sum(thread.name == "decoder" for thread in threading.enumerate())


async def until_threads(count: int) -> None:
    async with asyncio.timeout(5):
        while decoder_threads() != count:
            await asyncio.sleep(0.01)


class Shown:
    def __init__(self) -> None:
        self.times: list[int] = []
        self.threads: set[int] = set()

    def __call__(self, shown: VideoFrame, at_ms: int) -> None:
        self.times.append(at_ms)
        self.threads.add(threading.get_ident())


def one_picture() -> list[VideoFrame]:
    return [picture()]


async def test_wanted_pictures_come_back_in_order_on_the_loops_own_thread() -> None:
    shown = Shown()
    decoding = Decoding(shown)
    for number in range(50):
        decoding.submit(one_picture, number if number % 5 == 0 else None)
    async with asyncio.timeout(5):
        while len(shown.times) < 10:
            await asyncio.sleep(0.01)
    await decoding.close()
    assert shown.times == list(range(0, 50, 5))
    assert shown.threads == {threading.get_ident()}


async def test_many_sources_share_no_more_threads_than_there_are_cores_and_the_last_one_ends_them() -> None:
    await until_threads(0)
    sources = [Decoding(Shown()) for _ in range(40)]
    assert 1 <= decoder_threads() <= cores()
    for each in sources:
        await each.close()
    await until_threads(0)


async def test_as_long_as_one_thread_keeps_up_it_decodes_for_all() -> None:
    await until_threads(0)
    sources = [Decoding(Shown()) for _ in range(10)]
    for each in sources:
        each.submit(one_picture, None)
    threads = {each._thread for each in sources}
    assert len(threads) == 1 or max(thread.late_seconds for thread in threads) > HELP_AFTER_SECONDS
    for each in sources:
        await each.close()


@pytest.mark.skipif(cores() < 2, reason="on one core a second thread helps nobody")
async def test_while_one_thread_does_not_keep_up_another_one_helps_until_the_first_is_enough_again() -> None:
    await until_threads(0)
    shown, go_on = Shown(), threading.Event()
    slow, quick = Decoding(lambda picture, at_ms: None), Decoding(shown)
    first = slow._thread

    def held() -> list[VideoFrame]:
        go_on.wait(5)
        return []

    def too_long() -> list[VideoFrame]:
        time.sleep(HELP_AFTER_SECONDS + 0.05)
        return []

    slow.submit(too_long, None)
    slow.submit(held, None)
    async with asyncio.timeout(5):
        while first.late_seconds <= HELP_AFTER_SECONDS:
            await asyncio.sleep(0.01)
    quick.submit(one_picture, 1)
    slow.submit(one_picture, None)
    # a source's unfinished work stays on its thread, and comes before later work
    assert quick._thread is not first and slow._thread is first
    async with asyncio.timeout(2):
        while not shown.times:
            await asyncio.sleep(0.01)
    go_on.set()
    submitted = 1
    async with asyncio.timeout(8):
        while decoder_threads() > 1 or len(shown.times) < submitted:
            slow.submit(one_picture, None)
            submitted += 1
            quick.submit(one_picture, submitted)
            await asyncio.sleep(0.05)
    assert quick._thread is first
    await quick.close()
    await slow.close()
    assert shown.times == list(range(1, submitted + 1))


@pytest.mark.skipif(cores() < 2, reason="on one core there is but one thread")
@pytest.mark.parametrize(
    ("first_late", "shares", "back"),
    [(0.0, (0.3, 0.2), True), (0.0, (0.5, 0.2), False), (HELP_AFTER_SECONDS + 0.01, (0.1, 0.1), False)],
    ids=["easy", "too much for one", "easy and late"],
)
async def test_a_source_goes_back_to_the_first_thread_once_that_is_enough_for_all(
    first_late: float, shares: tuple[float, float], back: bool
) -> None:
    await until_threads(0)
    first, moving = join_a_thread(), join_a_thread()
    assert moving is first
    first.late_seconds = HELP_AFTER_SECONDS + 0.01
    helper = better_thread(moving)
    assert helper is not first
    first.late_seconds = first_late
    first.busy_share, helper.busy_share = shares
    last = better_thread(helper)
    assert last is (first if back else helper)
    for each in (first, last):
        leave_the_thread(each)
    await until_threads(0)


async def test_a_thread_keeps_nothing_of_the_last_job_it_did() -> None:
    decoding = Decoding(Shown())
    held = weakref.ref(job := partial(one_picture))
    decoding.submit(job, None)
    del job
    async with asyncio.timeout(5):
        while held() is not None:
            await asyncio.sleep(0.01)
    await decoding.close()


async def test_a_frame_that_cannot_be_decoded_is_told_and_the_next_one_decoded() -> None:
    shown = Shown()
    decoding = Decoding(shown)

    def broken() -> list[VideoFrame]:
        raise av.InvalidDataError(1, "of the test")

    decoding.submit(broken, 1)
    decoding.submit(one_picture, 2)
    async with asyncio.timeout(5):
        while not shown.times:
            await asyncio.sleep(0.01)
    assert decoding.failed and shown.times == [2]
    await decoding.close()


async def test_a_decoder_that_fails_in_a_way_of_its_own_leaves_the_thread_to_the_others() -> None:
    shown = Shown()
    sources = [Decoding(shown) for _ in range(2 * cores())]

    def broken() -> list[VideoFrame]:
        raise MemoryError

    for source in sources:
        source.submit(broken, 1)
        source.submit(one_picture, 2)
    async with asyncio.timeout(5):
        while len(shown.times) < len(sources):
            await asyncio.sleep(0.01)
    assert all(source.failed for source in sources)
    for source in sources:
        await source.close()


async def test_a_source_is_behind_while_too_many_of_its_frames_wait() -> None:
    go_on = threading.Event()
    decoding = Decoding(Shown())

    def slow() -> list[VideoFrame]:
        go_on.wait(5)
        return []

    for _ in range(MOST_UNDECODED - 1):
        decoding.submit(slow, None)
    assert not decoding.behind
    decoding.submit(slow, None)
    assert decoding.behind
    go_on.set()
    async with asyncio.timeout(5):
        while decoding.behind:
            await asyncio.sleep(0.01)
    await decoding.close()


async def test_all_sources_of_a_thread_are_behind_while_frames_wait_for_too_long() -> None:
    sources = [Decoding(Shown()) for _ in range(2 * cores())]
    slow, beside = next((one, other) for one in sources for other in sources if one is not other and one._thread is other._thread)

    def half_a_second() -> list[VideoFrame]:
        time.sleep(MOST_LATE_SECONDS + 0.1)
        return []

    slow.submit(half_a_second, None)
    slow.submit(half_a_second, None)
    await asyncio.sleep(MOST_LATE_SECONDS + 0.3)
    assert beside.behind
    async with asyncio.timeout(10):
        while beside.behind:
            await asyncio.sleep(0.01)
    for each in sources:
        await each.close()


async def test_after_its_end_nothing_is_decoded_or_shown_any_more() -> None:
    go_on, shown = threading.Event(), Shown()
    decoded: list[int] = []
    decoding = Decoding(shown)

    def held() -> list[VideoFrame]:
        go_on.wait(5)
        return [picture()]

    def noted() -> list[VideoFrame]:
        decoded.append(1)
        return [picture()]

    decoding.submit(held, 1)
    decoding.submit(noted, 2)
    closing = asyncio.create_task(decoding.close())
    await asyncio.sleep(0.05)
    go_on.set()
    await closing
    await asyncio.sleep(0.05)
    assert shown.times == [] and decoded == []
    decoding.submit(noted, 3)
    await asyncio.sleep(0.05)
    assert decoded == []


async def test_closing_twice_is_closing_once() -> None:
    decoding = Decoding(Shown())
    await decoding.close()
    await decoding.close()
