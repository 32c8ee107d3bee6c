import asyncio

from pipeline.frames import MOST_LATE_MS, Frame, LatestFrames
from tests.fakes import Clock, picture


def frame(participant_id: str, at_ms: int = 0) -> Frame:
    return Frame(participant_id, at_ms, picture())


def ada_is_late(*others: str) -> tuple[Clock, LatestFrames]:
    """Ada's frame has grown too old; those of the others, which came after hers, have not."""
    clock = Clock(0)
    frames = LatestFrames(clock)
    frames.put(frame("ada"))
    for participant_id in others:
        frames.put(frame(participant_id, at_ms=MOST_LATE_MS))
    clock.at_ms = MOST_LATE_MS + 1
    return clock, frames


async def test_a_newer_frame_replaces_an_unread_one_and_is_counted_as_a_drop() -> None:
    frames = LatestFrames(Clock(0))
    for at_ms in range(5):
        frames.put(frame("ada", at_ms))
    assert [taken.at_ms for taken in await frames.take(8)] == [4]
    assert frames.dropped == 4


async def test_who_waited_longest_is_served_first_even_with_a_newer_frame() -> None:
    frames = LatestFrames(Clock(0))
    for participant_id in ("ada", "bob", "ada", "cid", "ada"):
        frames.put(frame(participant_id))
    assert [taken.participant_id for taken in await frames.take(2)] == ["ada", "bob"]
    assert [taken.participant_id for taken in await frames.take(2)] == ["cid"]


async def test_the_mailbox_never_holds_more_than_one_frame_of_each() -> None:
    frames = LatestFrames(Clock(0))
    for number in range(1000):
        frames.put(frame(f"student {number % 7}", number))
    assert len(frames) == 7


async def test_taking_waits_until_a_frame_comes() -> None:
    frames = LatestFrames(Clock(0))
    taking = asyncio.create_task(frames.take(8))
    await asyncio.sleep(0)
    assert not taking.done()
    frames.put(frame("ada"))
    assert [taken.participant_id for taken in await taking] == ["ada"]


async def test_who_comes_while_others_are_gathered_is_taken_with_them() -> None:
    frames = LatestFrames(Clock(0))
    taking = asyncio.create_task(frames.take(8, gather_ms=100))
    for participant_id in ("ada", "bob", "cid"):
        frames.put(frame(participant_id))
        await asyncio.sleep(0.01)
    assert not taking.done()
    assert [taken.participant_id for taken in await taking] == ["ada", "bob", "cid"]


async def test_where_enough_frames_wait_nobody_is_waited_for() -> None:
    frames = LatestFrames(Clock(0))
    for participant_id in ("ada", "bob"):
        frames.put(frame(participant_id))
    async with asyncio.timeout(5):
        assert len(await frames.take(2, gather_ms=60_000)) == 2


async def test_a_frame_that_is_as_old_already_is_not_kept_waiting() -> None:
    clock = Clock(100)
    frames = LatestFrames(clock)
    frames.put(frame("ada", at_ms=40))
    async with asyncio.timeout(5):
        assert len(await frames.take(8, gather_ms=60)) == 1


async def test_a_clock_that_was_set_back_keeps_nobody_waiting_longer() -> None:
    frames = LatestFrames(Clock(0))
    frames.put(frame("ada", at_ms=3_600_000))
    async with asyncio.timeout(5):
        assert len(await frames.take(8, gather_ms=20)) == 1


async def test_who_leaves_while_others_are_gathered_is_not_served() -> None:
    frames = LatestFrames(Clock(0))
    frames.put(frame("ada"))
    taking = asyncio.create_task(frames.take(8, gather_ms=20))
    await asyncio.sleep(0)
    frames.forget("ada")
    await asyncio.sleep(0.04)
    assert not taking.done()
    frames.put(frame("bob"))
    assert [taken.participant_id for taken in await taking] == ["bob"]


async def test_who_is_forgotten_is_not_served() -> None:
    frames = LatestFrames(Clock(0))
    frames.put(frame("ada"))
    frames.put(frame("bob"))
    frames.forget("ada")
    frames.forget("nobody")
    assert [taken.participant_id for taken in await frames.take(8)] == ["bob"]


async def test_a_frame_that_grew_too_old_is_thrown_away_and_counted_as_a_drop() -> None:
    clock = Clock(0)
    frames = LatestFrames(clock)
    frames.put(frame("ada", at_ms=0))
    frames.put(frame("bob", at_ms=1))
    clock.at_ms = MOST_LATE_MS + 1
    assert [taken.participant_id for taken in await frames.take(8)] == ["bob"]
    assert frames.dropped == 1 and len(frames) == 0


async def test_where_all_frames_are_too_old_they_are_taken_all_the_same() -> None:
    clock = Clock(0)
    frames = LatestFrames(clock)
    for participant_id in ("ada", "bob", "cid"):
        frames.put(frame(participant_id))
    clock.at_ms = MOST_LATE_MS + 1
    assert [taken.participant_id for taken in await frames.take(2)] == ["ada", "bob"]
    assert frames.dropped == 0 and len(frames) == 1


async def test_how_old_a_frame_may_become_is_a_setting() -> None:
    clock = Clock(0)
    frames = LatestFrames(clock, most_late_ms=5000)
    frames.put(frame("ada"))
    frames.put(frame("bob", at_ms=5000))
    clock.at_ms = 5000
    assert [taken.participant_id for taken in await frames.take(8)] == ["ada", "bob"]


async def test_while_only_thrown_away_frames_are_left_taking_waits() -> None:
    clock, frames = ada_is_late("bob")
    await frames.take(8)
    taking = asyncio.create_task(frames.take(8))
    await asyncio.sleep(0)
    assert not taking.done()
    frames.put(frame("ada", at_ms=clock.at_ms))
    assert [taken.at_ms for taken in await taking] == [clock.at_ms]


async def test_whose_frame_was_thrown_away_keeps_the_place_in_the_line() -> None:
    clock, frames = ada_is_late("bob", "cid")
    assert [taken.participant_id for taken in await frames.take(1)] == ["bob"]
    frames.put(frame("ada", at_ms=clock.at_ms))
    assert [taken.participant_id for taken in await frames.take(2)] == ["ada", "cid"]


async def test_who_is_gone_keeps_no_place() -> None:
    clock, frames = ada_is_late("bob")
    await frames.take(8)
    frames.forget("ada")
    for participant_id in ("bob", "ada"):
        frames.put(frame(participant_id, at_ms=clock.at_ms))
    assert [taken.participant_id for taken in await frames.take(8)] == ["bob", "ada"]
