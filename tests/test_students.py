import asyncio
from contextlib import AsyncExitStack
from fractions import Fraction
from itertools import islice
from pathlib import Path
from time import perf_counter

import av
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.clip_track import ClipTrack
from bot.clips import LARGEST, Clip, _file_pictures, encode, file_clip, portrait_pictures
from bot.errors import RoomRefused, SettingsWrong
from bot.rooms import Arrival
from bot.rooms.local import host
from bot.settings import Settings, read_settings
from bot.students import Class, encoded, simulate, students, whip_url
from bot.video_files import decoded
from tests.videos import write_joined, write_video
from tests.webrtc import next_arrival, next_departure


def settings(**values: object) -> Settings:
    return read_settings(port=0, **values)


def test_a_picture_stands_until_the_next_one_comes_whatever_the_files_own_rate(tmp_path: Path) -> None:
    path = tmp_path / "gaps.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"bf": "0"}
        for at_ms, level in ((0, 40), (100, 80), (1500, 120), (1533, 160), (1600, 200)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    levels = [int(picture[..., 0].mean()) for picture in _file_pictures(path)]
    assert levels == [pytest.approx(level, abs=4) for level in [40, *[80] * 14, 120, 200]]


def test_of_a_file_of_ten_pictures_a_second_each_is_shown_once(tmp_path: Path) -> None:
    path = write_video(tmp_path / "ten.mkv", (64, 48), 10, 3)
    assert len(list(_file_pictures(path))) == 30


def test_a_file_with_a_colon_in_its_name_and_a_title_in_another_encoding_is_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("lesson-10:30.avi")
    with av.open(str(path.absolute()), "w") as container:
        container.metadata["title"] = "Fxxte"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"Fxxte", b"F\xeate"))  # as old camcorders write it
    assert len(file_clip(path).packets) == 1


@pytest.mark.parametrize("matrix", [8, 14])
def test_a_file_whose_colours_no_program_converts_is_shown_all_the_same(tmp_path: Path, matrix: int) -> None:
    path = tmp_path / "screen.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"x264-params": f"colormatrix={'YCgCo' if matrix == 8 else 'ICtCp'}"}
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    assert next(decoded(path)).frame.colorspace == matrix, "or it would prove nothing"
    assert len(file_clip(path).packets) == 1


def pictures_of(clip: Clip) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("vp8", "r")
    return [frame for packet in clip.packets for frame in decoder.decode(av.Packet(packet))]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def short_clip() -> Clip:
    grey = (np.full((90, 160, 3), level, np.uint8) for level in range(50, 200, 5))
    return encode(grey)


def test_a_clip_has_one_packet_a_frame_and_a_keyframe_every_second(short_clip: Clip) -> None:
    assert len(short_clip.packets) == 30
    # the lowest bit of a VP8 frame's first byte is 0 for a keyframe (RFC 6386, section 9.1)
    assert [number for number, packet in enumerate(short_clip.packets) if not packet[0] & 1] == [0, 10, 20]


def test_the_portrait_moves_and_each_variant_in_its_own_way() -> None:
    one, other = list(islice(portrait_pictures(0), 31)), next(portrait_pictures(1))
    assert np.abs(one[0].astype(int) - one[30]).mean() > 5
    assert np.abs(one[0].astype(int) - other).mean() > 5


@pytest.mark.parametrize(
    ("size", "frames_per_second", "shown"),
    [((640, 360), 30, (640, 360)), ((1280, 720), 25, (640, 360)), ((360, 640), 15, (360, 640)), ((99, 51), 5, (98, 50))],
)
def test_a_file_is_played_at_its_own_speed_and_no_larger_than_a_student_would_send(
    tmp_path: Path, size: tuple[int, int], frames_per_second: int, shown: tuple[int, int]
) -> None:
    path = write_video(tmp_path / "clip.mkv", size, frames_per_second, seconds=2)
    pictures = pictures_of(file_clip(path))
    assert (pictures[0].width, pictures[0].height) == shown and max(shown) <= LARGEST[0]
    assert len(pictures) == pytest.approx(20, abs=2)


@pytest.mark.parametrize(
    ("size", "pixel_width"), [((160, 240), 2), ((640, 240), Fraction(1, 2)), ((720, 480), Fraction(8, 9))], ids=str
)
def test_a_file_of_oblong_pixels_is_sent_as_it_is_shown(tmp_path: Path, size: tuple[int, int], pixel_width: Fraction) -> None:
    path = write_video(tmp_path / "old.mkv", size, 10, 0.3, codec="libx264", pixel_width=Fraction(pixel_width))
    picture, *_ = pictures_of(file_clip(path))
    assert picture.width / picture.height == pytest.approx(4 / 3, abs=0.02)


def test_a_file_whose_time_does_not_begin_at_nought_is_played_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((180, 320, 3), 4 * number, np.uint8), format="rgb24")
            frame.pts = 25 * 400 + number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    levels = [picture.to_ndarray(format="gray").mean() for picture in pictures_of(file_clip(path))]
    assert len(levels) == pytest.approx(20, abs=2) and levels[-1] > levels[0] + 100


def test_the_last_picture_of_a_file_stands_as_long_as_the_others(tmp_path: Path) -> None:
    assert len(list(_file_pictures(write_video(tmp_path / "slides.mkv", (64, 48), 1, seconds=3)))) == 30


def test_a_file_whose_time_begins_anew_is_played_to_its_end(tmp_path: Path) -> None:
    levels = [picture.mean() for picture in _file_pictures(write_joined(tmp_path / "joined.ts", 3, (60, 180)))]
    assert len(levels) == 60
    assert levels[:30] == pytest.approx([60] * 30, abs=4) and levels[30:] == pytest.approx([180] * 30, abs=4)


def test_a_file_that_is_no_video_is_one_line_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("dear Ada")
    for wrong in (path, tmp_path / "nowhere.mp4"):
        with pytest.raises(SettingsWrong, match=wrong.name) as trouble:
            file_clip(wrong)
        assert "\n" not in str(trouble.value)


async def test_whoever_ends_the_encoding_of_a_video_need_not_wait_for_all_of_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (180, 320, 3), np.uint8)
    path = write_video(tmp_path / "long.mkv", (320, 180), 10, 25, noise)
    started = perf_counter()
    await encoded(path)
    whole_seconds = perf_counter() - started
    started = perf_counter()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(encoded(path), whole_seconds / 5)
    await asyncio.get_running_loop().shutdown_default_executor()  # it waits for its threads
    assert perf_counter() - started < whole_seconds / 2


async def test_a_track_sends_its_clip_again_and_again_in_time(short_clip: Clip) -> None:
    track = ClipTrack(Clip(short_clip.packets[:3], frames_per_second=100))
    packets = [await track.recv() for _ in range(7)]
    assert [bytes(packet) for packet in packets[3:6]] == [bytes(packet) for packet in packets[:3]]
    assert [packet.pts for packet in packets] == [900 * number for number in range(7)]


def test_a_local_room_is_published_to_at_the_host_and_port_of_the_settings() -> None:
    assert whip_url("local://class 4b", read_settings(port=9000)) == "http://127.0.0.1:9000/whip/class%204b"
    assert whip_url("local://a", settings(host="0.0.0.0")).startswith("http://127.0.0.1:")
    assert whip_url("local://a", settings(host="::")).startswith("http://[::1]:")
    assert whip_url("local://Mathe%20%231/", settings()).endswith("/whip/Mathe%20%231")
    assert whip_url("https://school.example/whip/a", settings()) == "https://school.example/whip/a"
    with pytest.raises(SettingsWrong, match="is not a room URL"):
        whip_url("algebra", settings())


async def test_students_come_send_pictures_and_leave(short_clip: Clip) -> None:
    arrivals: list[Arrival] = []
    async with host("algebra", settings()) as room, asyncio.timeout(20):
        happenings = room.happenings()
        async with students(room.whip_url, 3, [short_clip], settings()):
            while len(arrivals) < 3:
                arrivals.append(await next_arrival(happenings))
            for arrival in arrivals:
                picture = await arrival.track.recv()
                assert isinstance(picture, av.VideoFrame) and (picture.width, picture.height) == (160, 90)
        reasons = [(await next_departure(happenings)).reason for _ in range(3)]
    assert len({arrival.participant.id for arrival in arrivals}) == 3
    assert reasons == ["left"] * 3


async def test_a_room_that_refuses_is_told_with_its_own_reason(short_clip: Clip) -> None:
    async with host("algebra", settings(room_token="hush")) as room:
        with pytest.raises(ExceptionGroup) as group:
            async with students(room.whip_url, 2, [short_clip], settings()):
                pass
    assert group.group_contains(RoomRefused, match="answered 401")


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (201, b"hello", "answered with a session description that cannot be used"),
        (404, b"caf\xe9", "answered 404: caf\ufffd"),
    ],
)
async def test_a_server_that_is_no_room_is_one_line(short_clip: Clip, status: int, body: bytes, says: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Location": "/there"}, content_type="text/plain")

    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", answer)
    async with TestServer(application) as server:
        with pytest.raises(ExceptionGroup) as group:
            async with students(str(server.make_url("/whip/a")), 1, [short_clip], settings()):
                pass
    assert group.group_contains(RoomRefused, match=says)


async def test_no_room_at_all_is_one_line(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", (64, 48), 5, seconds=1)
    with pytest.raises(ExceptionGroup) as group:
        await simulate("http://127.0.0.1:9/whip/a", Class(1, (path,)), 1.0, settings())
    assert group.group_contains(RoomRefused, match="no room answers at http://127.0.0.1:9/whip/a")


async def test_students_whose_room_closes_say_so(short_clip: Clip) -> None:
    async with asyncio.timeout(20), AsyncExitStack() as here:
        async with host("algebra", settings()) as room:
            deserted = await here.enter_async_context(students(room.whip_url, 2, [short_clip], settings()))
        await deserted.wait()
