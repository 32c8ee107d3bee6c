import pytest
from av import VideoFrame

from bot.tracks import Looks, watch
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


async def test_a_track_is_read_to_its_end_and_every_picture_handed_on_with_its_time() -> None:
    clock, received = Clock(0), list[tuple[VideoFrame, int]]()
    track = PlayedTrack([picture() for _ in range(5)], clock, tick_seconds=0.1)
    await watch(track, lambda shown, at_ms: received.append((shown, at_ms)), clock)
    assert [at_ms for _, at_ms in received] == [100, 200, 300, 400, 500]
