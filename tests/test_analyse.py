"""Recorded files: pictures of every shape, one look at a time, and an honest report of what was not seen."""

import json
import os
import re
import struct
import sys
import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from bot.analyse import analyse_file, fractions, shares
from bot.app import load_analyst, mood_rules
from bot.cli import main
from bot.clips import _file_pictures
from bot.errors import SettingsWrong
from bot.settings import read_settings
from bot.video_files import Course, check_readable, decoded, orientation
from model.faces import EMOTIONS, Image
from pipeline.analysis import Analyst
from tests.videos import portrait, write_joined, write_video

PAGE = (Path(__file__).parents[1] / "docs" / "analyse.md").read_text()


@pytest.fixture(scope="module")
def analyst() -> Analyst:
    return load_analyst(read_settings())


def analysed(path: Path, analyst: Analyst, looks_per_second: float = 2.0) -> dict[str, Any]:
    return analyse_file(path, analyst, mood_rules(read_settings()), looks_per_second)


def write_pictures(path: Path, pictures: Iterable[Image]) -> Path:
    """Motion JPEG without a container: it has no timestamps and no length, and its pictures may differ in size."""
    path.write_bytes(b"".join(cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes() for picture in pictures))
    return path


def noise(width: int, height: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def two_faces() -> Image:
    larger, smaller = portrait(240, 240), portrait(160, 160)
    picture = np.full((240, 480, 3), 90, np.uint8)
    picture[:, :240] = larger
    picture[40:200, 280:440] = smaller
    return picture


def test_a_portrait_gives_an_entry_per_look_with_scores_and_a_face(tmp_path: Path, analyst: Analyst) -> None:
    path = write_video(tmp_path / "ada.mkv", (320, 180), 10, 3, portrait(320, 180))
    result = analysed(path, analyst)
    assert set(result) == {"file", "seconds", "looks", "coverage", "shares", "timeline"}
    assert (result["file"], result["looks"], result["coverage"]) == (str(path), 6, {"ok": 1.0})
    assert result["seconds"] == 3.0
    assert sum(result["shares"].values()) == pytest.approx(1, abs=0.001)
    assert list(result["shares"]) == [*map(str, EMOTIONS), "unknown"]
    for number, entry in enumerate(result["timeline"]):
        assert set(entry) == {"at_ms", "emotion", "confidence", "scores", "face", "faces", "coverage"}
        assert (entry["at_ms"], entry["coverage"], entry["faces"]) == (500 * number, "ok", 1)
        assert sum(entry["scores"].values()) == pytest.approx(1, abs=0.01)
        # the portrait is in the middle of a wide picture
        assert 0.3 < entry["face"]["x"] + entry["face"]["width"] / 2 < 0.7
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("size", [(320, 240), (180, 320), (240, 240)], ids=["4:3", "upright", "1:1"])
def test_a_face_is_seen_in_a_picture_of_any_format(tmp_path: Path, analyst: Analyst, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "ada.mkv", size, 5, 1, portrait(*size))
    assert analysed(path, analyst)["coverage"] == {"ok": 1.0}


@pytest.mark.parametrize(
    ("picture", "coverage"),
    [
        (np.zeros((180, 320, 3), np.uint8), "too_dark"),
        (np.full((180, 320, 3), 128, np.uint8), "no_face"),
        (noise(320, 180), "no_face"),
        (portrait(320, 180) // 12, "too_dark"),
        (np.full((1, 1, 3), 128, np.uint8), "no_face"),
        (np.full((1, 500, 3), 128, np.uint8), "no_face"),
    ],
    ids=["black", "grey", "noise", "a face in the dark", "1x1", "500x1"],
)
def test_where_no_emotion_can_be_read_coverage_says_why(tmp_path: Path, analyst: Analyst, picture: Image, coverage: str) -> None:
    result = analysed(write_pictures(tmp_path / "lesson.mjpeg", [picture] * 26), analyst)
    assert result["looks"] == 3 and result["coverage"] == {coverage: 1.0}
    assert result["shares"] == {}
    assert {entry["emotion"] for entry in result["timeline"]} == {None}
    assert {entry["faces"] for entry in result["timeline"]} <= {0, 1}


@pytest.mark.parametrize("pixel_width", [Fraction(2), Fraction(4, 3), Fraction(64, 45), Fraction(1, 2)], ids=str)
def test_oblong_pixels_are_seen_as_they_are_shown(tmp_path: Path, analyst: Analyst, pixel_width: Fraction) -> None:
    shown = portrait(320, 240)
    width = round(320 / pixel_width / 2) * 2
    stored = cv2.resize(shown, (width, 240), interpolation=cv2.INTER_AREA).astype(np.uint8)
    oblong = write_video(tmp_path / "oblong.mkv", (width, 240), 5, 1, stored, "libx264", pixel_width)
    square = write_video(tmp_path / "square.mkv", (320, 240), 5, 1, shown, "libx264")
    (seen, *_), (wanted, *_) = analysed(oblong, analyst)["timeline"], analysed(square, analyst)["timeline"]
    assert seen["emotion"] == wanted["emotion"] == "happy"
    assert seen["scores"] == pytest.approx(wanted["scores"], abs=0.15)
    assert seen["face"] == pytest.approx(wanted["face"], abs=0.03)


@pytest.mark.parametrize("nonsense", [Fraction(1, 9), Fraction(9)], ids=str)
def test_a_file_that_says_its_pixels_are_threads_is_read_as_if_they_were_square(
    tmp_path: Path, analyst: Analyst, nonsense: Fraction
) -> None:
    path = write_video(tmp_path / "ada.mkv", (320, 180), 5, 1, portrait(320, 180), "libx264", nonsense)
    assert next(decoded(path)).size == (320, 180)
    assert analysed(path, analyst)["coverage"] == {"ok": 1.0}


@pytest.mark.parametrize(
    ("axes", "corners"),
    [
        ((1, 0, 0, 1), (200, 140, 80, 0)),
        ((0, 1, -1, 0), (80, 200, 0, 140)),
        ((0, -1, 1, 0), (140, 0, 200, 80)),
        ((-1, 0, 0, -1), (0, 80, 140, 200)),
        ((1, 0, 0, -1), (80, 0, 200, 140)),
        ((-1, 0, 0, 1), (140, 200, 0, 80)),
        ((0, 1, 1, 0), (200, 80, 140, 0)),
        ((0, -1, -1, 0), (0, 140, 80, 200)),
        ((0.71, 0.71, -0.71, 0.71), (200, 140, 80, 0)),
        ((0.71, -0.71, 0.71, 0.71), (200, 140, 80, 0)),
        ((-0.17, 0.98, -0.98, -0.17), (80, 200, 0, 140)),
        ((0, 1, 0, 1), (200, 140, 80, 0)),
    ],
    ids=[
        "upright",
        "right",
        "left",
        "180",
        "top down",
        "mirrored",
        "over a diagonal",
        "over the other",
        "45",
        "-45",
        "100",
        "none",
    ],
)
def test_a_recording_is_turned_to_the_nearest_way_that_a_player_could_show_it(
    tmp_path: Path, axes: tuple[float, float, float, float], corners: tuple[int, ...]
) -> None:
    picture = np.kron(np.uint8([[200, 140], [80, 0]]), np.ones((24, 32), np.uint8))[..., None].repeat(3, axis=2)
    path = write_video(tmp_path / "turned.mp4", (64, 48), 5, 0.2, picture, "libx264", axes=axes)
    for seen in (next(decoded(path)).upright().to_ndarray(format="rgb24"), next(_file_pictures(path))):
        height, width = seen.shape[:2]
        quarters = seen[height // 4 :: height // 2, width // 4 :: width // 2, 0]
        assert quarters.ravel().tolist() == pytest.approx(corners, abs=6)


def test_a_picture_that_was_looked_at_waits_for_no_garbage_collector(tmp_path: Path) -> None:
    frame = next(decoded(write_video(tmp_path / "turned.mp4", (64, 48), 5, 0.2, axes=(0, 1, -1, 0)))).frame
    holders = sys.getrefcount(frame)
    assert orientation(frame) == (3, False) and sys.getrefcount(frame) == holders


def test_a_photograph_is_turned_as_its_camera_noted(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "ada.jpg", [portrait(320, 180)])
    note = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIIi", 0x0112, 3, 1, 6, 0)  # sixth of eight ways: to the right
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(note)) + note + content[2:])
    shown = next(decoded(path)).upright()
    assert (shown.width, shown.height) == (180, 320)


def test_of_several_faces_the_largest_is_read(tmp_path: Path, analyst: Analyst) -> None:
    [entry] = analysed(write_pictures(tmp_path / "both.mjpeg", [two_faces()]), analyst)["timeline"]
    assert (entry["coverage"], entry["faces"]) == ("ok", 2) and entry["face"]["x"] + entry["face"]["width"] / 2 < 0.5


def test_a_picture_size_that_changes_midway_changes_nothing(tmp_path: Path, analyst: Analyst) -> None:
    pictures = [portrait(320, 180)] * 13 + [portrait(180, 320)] * 13 + [portrait(64, 64)] * 13
    result = analysed(write_pictures(tmp_path / "turned.mjpeg", pictures), analyst)
    assert [entry["at_ms"] for entry in result["timeline"]] == [0, 520, 1000, 1520]
    assert result["coverage"] == {"ok": 1.0}


@pytest.mark.parametrize(("frames_per_second", "asked", "looks"), [(5, 2.0, 4), (60, 2.0, 4), (60, 10.0, 20), (5, 30.0, 10)])
def test_looks_come_at_the_asked_rate_or_at_that_of_the_file(
    tmp_path: Path, analyst: Analyst, frames_per_second: int, asked: float, looks: int
) -> None:
    path = write_video(tmp_path / "grey.mkv", (64, 48), frames_per_second, 2)
    result = analysed(path, analyst, asked)
    assert result["looks"] == pytest.approx(looks, abs=1)
    times = [entry["at_ms"] for entry in result["timeline"]]
    assert times == sorted(set(times)) and times[0] == 0 and times[-1] < 2000


def test_a_file_without_a_length_is_as_long_as_what_was_seen_of_it(tmp_path: Path, analyst: Analyst) -> None:
    path = write_pictures(tmp_path / "grey.mjpeg", [np.full((48, 64, 3), 99, np.uint8)] * 26)
    assert analysed(path, analyst)["seconds"] == 1.04


def test_where_the_times_of_a_recording_begin_anew_it_goes_on_from_the_last(tmp_path: Path, analyst: Analyst) -> None:
    result = analysed(write_joined(tmp_path / "lesson.ts", 3, (99, 120)), analyst)
    assert [entry["at_ms"] for entry in result["timeline"]] == list(range(0, 6000, 500))
    assert result["seconds"] == 6.0


def test_pictures_out_of_order_do_not_make_a_recording_longer() -> None:
    course, picture = Course(), av.VideoFrame(64, 48)
    picture.time_base = Fraction(1, 10)
    times = []
    for picture.pts in (50, 52, 51, 53, 55, 54):
        times.append(course.stands(picture)[0])
    assert times == pytest.approx([0, 0.2, 0.2, 0.3, 0.5, 0.5])


def test_the_page_describes_the_fields_that_are_printed(tmp_path: Path, analyst: Analyst) -> None:
    result = analysed(write_pictures(tmp_path / "ada.mjpeg", [portrait(320, 180)]), analyst)
    _, of_file, of_look = PAGE.split("\n## ")
    assert re.findall(r"^\| `(\w+)` \|", of_file, re.MULTILINE) == list(result)
    assert re.findall(r"^\| `(\w+)` \|", of_look, re.MULTILINE) == list(result["timeline"][0])


def test_shares_are_of_all_labels_or_empty() -> None:
    assert fractions([]) == shares([]) == {}
    assert fractions("aab") == {"a": 0.6667, "b": 0.3333}
    assert shares(["happy", "unknown"])["happy"] == shares(["happy", "unknown"])["unknown"] == 0.5


def test_the_command_prints_a_json_array_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(write_video(tmp_path / name, (64, 48), 5, 1)) for name in ("one.mkv", "two.mp4")]
    assert main(["analyse", *files, "--json", "--looks-per-second", "3"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [(result["file"], result["looks"]) for result in results] == [(file, 3) for file in files]


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["as text", "as JSON"])
def test_a_file_whose_name_is_no_text_is_named_as_well_as_can_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    path = tmp_path / os.fsdecode(b"Andr\xe9.mkv")
    write_video(tmp_path / "ada.mkv", (320, 180), 5, 1, portrait(320, 180)).rename(path)
    assert main(["analyse", str(path), *arguments]) == 0
    out = capsys.readouterr().out
    name = json.loads(out)[0]["file"] if arguments else out.partition(":")[0]
    assert name == f"{tmp_path}/Andr\N{REPLACEMENT CHARACTER}.mkv"


def test_the_command_tells_a_person_when_something_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = np.full((180, 320, 3), 128, np.uint8)
    path = write_pictures(tmp_path / "lesson.mjpeg", [portrait(320, 180)] * 25 + [nobody] * 25)
    assert main(["analyse", str(path)]) == 0
    title, coverage, *changes = capsys.readouterr().out.splitlines()
    assert title == f"{path}: 2.0 s, 4 looks" and coverage.split() == ["ok", "50%,", "no_face", "50%"]
    assert [line.split()[0] for line in changes] == ["0.0", "1.0"] and changes[1].endswith("no_face")


@pytest.mark.parametrize("content", [b"", b"dear Ada", noise(64, 64).tobytes()], ids=["empty", "text", "noise"])
def test_of_several_files_one_that_is_no_video_is_named_before_any_is_analysed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    good, broken = write_video(tmp_path / "good.mkv", (64, 48), 5, 1), tmp_path / "broken.mp4"
    broken.write_bytes(content)
    assert main(["analyse", str(good), str(broken), "--json"]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1
    assert err.startswith(f"classmood: {broken} ")


def test_a_file_that_is_not_there_or_has_only_sound_is_named(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "song.wav"), "wb") as song:
        song.setparams((1, 2, 8000, 0, "NONE", ""))
        song.writeframes(bytes(8000))
    for name, reason in (
        ("nowhere.mp4", "cannot be read as video: No such file"),
        ("x" * 300, "cannot be read as video: File name too long"),
        ("song.wav", "has no video in it"),
    ):
        with pytest.raises(SettingsWrong, match=f"^{tmp_path / name} {reason}"):
            check_readable(tmp_path / name)


def test_the_cover_of_a_song_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        sound, cover = container.add_stream("aac", rate=8000), container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt, cover.disposition = 64, 48, "yuvj420p", Disposition.attached_pic
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 8000
        container.mux(sound.encode(samples))
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        for stream in (sound, cover):
            container.mux(stream.encode(None))
    with av.open(str(path)) as song:
        assert song.streams.video, "or it would prove nothing"
    with pytest.raises(SettingsWrong, match=f"^{path} has no video in it$"):
        check_readable(path)


def test_a_pipe_is_refused_before_anything_waits_for_it(tmp_path: Path) -> None:
    named = tmp_path / "lesson"
    os.mkfifo(named)
    reading, writing = os.pipe()
    try:
        for path in (named, Path(f"/dev/fd/{reading}")):
            with pytest.raises(SettingsWrong, match=f"^{path} is a pipe: a recording is read more than once$"):
                check_readable(path)
    finally:
        os.close(reading)
        os.close(writing)


def test_what_is_damaged_within_a_recording_costs_no_more_than_itself(
    tmp_path: Path, analyst: Analyst, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "ada.mp4", (320, 180), 10, 4, portrait(320, 180), codec="libx264")
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content, (start, size) = bytearray(path.read_bytes()), places[12]
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    found = analysed(path, analyst)
    assert found["looks"] >= 7 and found["timeline"][-1]["at_ms"] >= 3000
    assert "ada.mp4 is damaged: 1 packets of it were left out" in caplog.text


def test_a_file_cut_off_is_analysed_as_far_as_it_goes_and_says_how_far(
    tmp_path: Path, analyst: Analyst, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "ada.mkv", (320, 180), 10, 4, portrait(320, 180))
    whole = analysed(path, analyst)
    assert (whole["looks"], whole["seconds"], caplog.text) == (8, 4.0, "")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found = analysed(path, analyst)
    assert 1 <= found["looks"] < 8 and 0 < found["seconds"] - found["timeline"][-1]["at_ms"] / 1000 <= 0.5
    assert f"ada.mkv has pictures for {found['seconds']:.1f} s, and says that it lasts 4.0 s" in caplog.text


def test_a_recording_whose_times_begin_late_is_whole(tmp_path: Path, analyst: Analyst, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ada.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = 50 + number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert analysed(path, analyst)["seconds"] == pytest.approx(2, abs=0.01)
    assert not caplog.text


def test_a_recording_whose_sound_goes_on_is_as_long_as_its_pictures(
    tmp_path: Path, analyst: Analyst, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ada.mp4"
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("mpeg4", rate=10), container.add_stream("aac", rate=8000)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number in range(100):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.float32), format="fltp", layout="mono")
            samples.sample_rate = 8000
            container.mux(sound.encode(samples))
            if number < 30:
                container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    assert analysed(path, analyst)["seconds"] == 3.0
    assert not caplog.text
