import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from bot.tracks import MOST_UNREAD, Looks, ReceivedTrack, watch
from tests.fakes import Clock, PlayedTrack, picture


@pytest.mark.parametrize("frames_per_second", [7.5, 10, 24, 29.97, 30])
def test_two_looks_a_second_whatever_the_frame_rate(frames_per_second: float) -> None:
    looks = Looks(500)
    times = [round(number * 1000 / frames_per_second) for number in range(round(60 * frames_per_second))]
    assert sum(looks.due(at_ms) for at_ms in times) == pytest.approx(120, abs=1)


def test_a_slow_track_is_looked_at_with_every_frame() -> None:
    looks = Looks(500)
    assert all(looks.due(second * 1000) for second in range(10))


def test_after_a_silence_the_looks_that_were_missed_are_not_made_up_for() -> None:
    looks = Looks(500)
    assert looks.due(0)
    times = [60_000 + number * 10 for number in range(100)]
    assert sum(looks.due(at_ms) for at_ms in times) <= 3


def test_those_who_come_together_are_not_looked_at_together_and_each_at_the_same_rate() -> None:
    looks = [Looks(500, ahead) for ahead in (0, 0.25, 0.5, 0.75)]
    times = [[at_ms for at_ms in range(1000, 61_000, 25) if each.due(at_ms)] for each in looks]
    assert [each[:3] for each in times] == [[1000, 1500, 2000], [1000, 1375, 1875], [1000, 1250, 1750], [1000, 1125, 1625]]
    assert all(len(each) == pytest.approx(120, abs=1) for each in times)


async def test_a_track_is_read_to_its_end_and_every_wanted_picture_handed_on_with_its_time() -> None:
    clock, arrived, shown = Clock(0), list[int](), list[int]()
    track = PlayedTrack([picture() for _ in range(6)], clock, tick_seconds=0.1)

    def wanted(at_ms: int) -> bool:
        arrived.append(at_ms)
        return len(arrived) % 2 == 0

    await watch(track, wanted, lambda picture, at_ms: shown.append(at_ms), clock)
    assert arrived == [100, 200, 300, 400, 500, 600]
    assert shown == [200, 400, 600]


async def test_a_received_track_asks_at_each_frame_and_hands_on_what_is_wanted() -> None:
    clock, track, shown = Clock(0), ReceivedTrack(), list[int]()
    watching = asyncio.create_task(watch(track, lambda at_ms: at_ms >= 200, lambda picture, at_ms: shown.append(at_ms), clock))
    await asyncio.sleep(0)
    answers = []
    for _ in range(4):
        clock.pass_seconds(0.1)
        answers.append(track.arrived())
    assert answers == [None, 200, 300, 400]
    track.show(picture(), 200)
    assert shown == [200]
    track.stop()
    await watching


async def test_a_received_track_can_be_read_like_any_other() -> None:
    track = ReceivedTrack()
    for level in (10, 20):
        assert track.arrived() is not None
        track.show(picture(level=level), 0)
    assert [(await track.recv()).to_ndarray(format="gray").mean().round(-1) for _ in range(2)] == [10, 20]
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.stop()
    with pytest.raises(MediaStreamError):
        await reading


async def test_of_a_track_that_nobody_reads_the_newest_pictures_are_kept_and_the_rest_counted() -> None:
    track = ReceivedTrack()
    for _ in range(MOST_UNREAD + 7):
        track.show(picture(), 0)
    assert track.dropped == 7


async def test_once_its_watcher_has_left_nothing_of_a_track_is_wanted_or_kept() -> None:
    track = ReceivedTrack()
    watching = asyncio.create_task(watch(track, lambda at_ms: True, lambda picture, at_ms: None, Clock(0)))
    await asyncio.sleep(0)
    assert track.arrived() is not None
    watching.cancel()
    await asyncio.wait([watching])
    track.show(picture(), 0)  # it was being decoded meanwhile
    assert track.arrived() is None
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_who_comes_in_a_watchers_place_is_told_whatever_the_former_one_does() -> None:
    track, shown = ReceivedTrack(), list[int]()
    former = asyncio.create_task(watch(track, lambda at_ms: True, lambda picture, at_ms: shown.append(1), Clock(0)))
    await asyncio.sleep(0)
    now = asyncio.create_task(watch(track, lambda at_ms: True, lambda picture, at_ms: shown.append(2), Clock(0)))
    await asyncio.sleep(0)
    former.cancel()
    await asyncio.wait([former])
    assert track.arrived() is not None
    track.show(picture(), 0)
    track.stop()
    await now
    assert shown == [2]


async def test_what_was_shown_before_a_track_was_stopped_can_still_be_read_and_nothing_after() -> None:
    track = ReceivedTrack()
    track.show(picture(), 0)
    track.stop()
    track.show(picture(), 0)
    assert track.arrived() is None
    await track.recv()
    with pytest.raises(MediaStreamError):
        await track.recv()
