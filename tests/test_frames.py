import asyncio

from pipeline.frames import Frame, LatestFrames
from tests.fakes import picture


def frame(participant_id: str, at_ms: int = 0) -> Frame:
    return Frame(participant_id, at_ms, picture())


async def test_a_newer_frame_replaces_an_unread_one_and_is_counted_as_a_drop() -> None:
    frames = LatestFrames()
    for at_ms in range(5):
        frames.put(frame("ada", at_ms))
    assert [taken.at_ms for taken in await frames.take(8)] == [4]
    assert frames.dropped == 4


async def test_who_waited_longest_is_served_first_even_with_a_newer_frame() -> None:
    frames = LatestFrames()
    for participant_id in ("ada", "bob", "ada", "cid", "ada"):
        frames.put(frame(participant_id))
    assert [taken.participant_id for taken in await frames.take(2)] == ["ada", "bob"]
    assert [taken.participant_id for taken in await frames.take(2)] == ["cid"]


async def test_the_mailbox_never_holds_more_than_one_frame_of_each() -> None:
    frames = LatestFrames()
    for number in range(1000):
        frames.put(frame(f"student {number % 7}", number))
    assert len(frames) == 7


async def test_taking_waits_until_a_frame_comes() -> None:
    frames = LatestFrames()
    taking = asyncio.create_task(frames.take(8))
    await asyncio.sleep(0)
    assert not taking.done()
    frames.put(frame("ada"))
    assert [taken.participant_id for taken in await taking] == ["ada"]


async def test_who_is_forgotten_is_not_served() -> None:
    frames = LatestFrames()
    frames.put(frame("ada"))
    frames.put(frame("bob"))
    frames.forget("ada")
    frames.forget("nobody")
    assert [taken.participant_id for taken in await frames.take(8)] == ["bob"]
