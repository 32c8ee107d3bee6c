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
    track.end()
    await watching


async def test_a_received_track_can_be_read_like_any_other() -> None:
    track = ReceivedTrack()
    for level in (10, 20):
        assert track.arrived() is not None
        track.show(picture(level=level), 0)
    assert [(await track.recv()).to_ndarray(format="gray").mean().round(-1) for _ in range(2)] == [10, 20]
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.end()
    with pytest.raises(MediaStreamError):
        await reading


async def test_of_a_track_that_nobody_reads_the_newest_pictures_are_kept_and_the_rest_counted() -> None:
    track = ReceivedTrack()
    for _ in range(MOST_UNREAD + 7):
        track.show(picture(), 0)
    assert track.dropped == 7
