"""The room of replayed students, and the benchmark of the whole bot in it."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiortc import MediaStreamTrack
from aiortc.codecs.vpx import VpxPayloadDescriptor
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket, unwrap_rtx
from av import VideoFrame

from bot.bench.ivf import RecordedFrame, read_ivf, write_ivf
from bot.bench.packets import LAYERS, STREAMS, Layer, Recording, RtpStream, recorded
from bot.bench.processes import account
from bot.bench.replayed_room import ROOM, replayed_room
from bot.bench.room import median_of
from bot.bench.window import memory_growth
from bot.rooms import Arrival
from bot.rooms.janus import JanusRoom, join_janus
from bot.settings import Settings
from tests.commands import ended, left_in, started

SETTINGS = Settings(jurisdiction="US", basis="consent", consent="everyone")


def start_of(layer: Layer, frames: int) -> Recording:
    """A recording so short that it soon starts again."""
    return Recording.of(layer, read_ivf(STREAMS / f"{layer}.ivf")[:frames])


class Watching:
    """Reads every track that arrives, and counts each student's frames by size."""

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter()
        self.sizes: set[tuple[int, int]] = set()
        self.arrivals = 0

    async def follow(self, room: JanusRoom) -> None:
        async with asyncio.TaskGroup() as readers:
            async for happening in room.happenings():
                if isinstance(happening, Arrival):
                    self.arrivals += 1
                    readers.create_task(self._read(happening.participant.id, happening.track))

    async def _read(self, student: str, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):  # the track ended
            while True:
                frame = await track.recv()
                assert isinstance(frame, VideoFrame)
                self.frames[student] += 1
                self.sizes.add((frame.width, frame.height))

    async def until_each_has(self, frames: int, students: int) -> None:
        async with asyncio.timeout(20):
            while len(self.frames) < students or min(self.frames.values()) < frames:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def looking_on(students: int, recording: Recording) -> AsyncIterator[tuple[JanusRoom, Watching]]:
    """The bot's own client in a room of replayed students."""
    watching = Watching()
    async with (
        replayed_room(students, recording) as port,
        join_janus(f"janus://127.0.0.1:{port}/{ROOM}", SETTINGS) as room,
    ):
        follower = asyncio.create_task(watching.follow(room))
        try:
            yield room, watching
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "size"), [("simulcast", (320, 180)), ("single", (640, 360))])
async def test_frames_of_every_replayed_student_arrive_beyond_the_end_of_the_recording(
    layer: Layer, size: tuple[int, int]
) -> None:
    async with looking_on(3, start_of(layer, 6)) as (_, watching):
        await watching.until_each_has(14, 3)
        assert watching.sizes == {size}


async def test_a_student_who_is_subscribed_to_anew_takes_over_the_m_line_with_new_sources() -> None:
    async with looking_on(2, start_of("simulcast", 6)) as (room, watching):
        await watching.until_each_has(2, 2)
        room.stalled("1001")
        async with asyncio.timeout(10):
            while watching.arrivals < 3:
                await asyncio.sleep(0.05)
        before = watching.frames["1001"]
        async with asyncio.timeout(10):
            while watching.frames["1001"] < before + 3:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("layer", LAYERS)
def test_packets_carry_the_frames_as_they_were_recorded(layer: Layer) -> None:
    recording = recorded(layer)
    frames = read_ivf(STREAMS / f"{layer}.ivf")
    stream = RtpStream(layer, "0", 7, 8, sequence_number=0xFFFE)
    numbers = []
    for frame, pieces in zip(frames, recording.frames, strict=True):
        packets = [RtpPacket.parse(each) for each in stream.packets(pieces, frame.timestamp, 1)]
        parsed = [VpxPayloadDescriptor.parse(each.payload) for each in packets]
        assert b"".join(data for _, data in parsed) == frame.data
        assert [each.marker for each in packets] == [0] * (len(packets) - 1) + [1]
        assert [each.partition_start for each, _ in parsed] == [1] + [0] * (len(packets) - 1)
        assert {each.tid for each, _ in parsed} == {(0, 0) if layer == "simulcast" else None}
        numbers += [each.sequence_number for each in packets]
    assert numbers == [(0xFFFE + place) % 0x10000 for place in range(len(numbers))]


def test_a_packet_that_is_sent_again_is_the_same_but_for_its_source() -> None:
    (packet,) = RtpStream("simulcast", "17", 7, 8).packets((b"picture",), 90, 1)
    again = RtpPacket.parse(RtpStream("simulcast", "17", 7, 8).again(packet))
    assert (again.ssrc, again.payload_type) == (8, 97)
    original = RtpPacket.parse(packet)
    assert unwrap_rtx(again, 96, 7).serialize() == original.serialize()


def test_recordings_begin_with_their_only_keyframe_and_have_the_promised_rates() -> None:
    for layer, size, rate in (("simulcast", (320, 180), 7.5), ("single", (640, 360), 30)):
        frames = read_ivf(STREAMS / f"{layer}.ivf")
        assert frames[0].is_keyframe and frames[0].size == size
        assert not any(each.is_keyframe for each in frames[1:])
        assert Recording.of(layer, frames).frames_per_second == pytest.approx(rate, rel=0.03)
    assert sum(each.stat().st_size for each in STREAMS.iterdir()) < 2_500_000


def test_an_ivf_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    frames = (RecordedFrame(0, b"\x00\x00\x00\x9d\x01\x2a\x40\x01\xb4\x00rest"), RecordedFrame(3000, b"\x01next"))
    write_ivf(tmp_path / "file.ivf", frames)
    assert read_ivf(tmp_path / "file.ivf") == frames
    assert frames[0].size == (320, 180)


def test_the_figures_of_several_runs_are_medians_also_inside_of_figures() -> None:
    runs = [{"cpu_percent_of_core": cpu, "latency_ms": {"p50": cpu, "p95": None}, "by": [cpu, 1.0]} for cpu in (3.0, 1.0, 2.0)]
    assert median_of(runs) == {
        "cpu_percent_of_core": 2.0,
        "latency_ms": {"p50": 2.0, "p95": None},
        "by": [2.0, 1.0],
        "runs": 3,
        "cpu_percent_of_core_by_run": [3.0, 1.0, 2.0],
    }


def test_the_operating_system_accounts_for_a_process_and_what_descends_from_it() -> None:
    ours, everybody = account(os.getpid()), account(1)
    assert ours.cpu_seconds > 0 and ours.resident_mb > 10
    assert everybody.resident_mb >= ours.resident_mb


def test_memory_is_compared_with_that_of_minute_five_in_a_window_that_is_longer() -> None:
    assert memory_growth([90.0, 95.0, 99.0, 99.0, 100.0, 100.0]) == {}
    figures = memory_growth([90.0, 95.0, 99.0, 99.0, 100.0, 100.0, 101.5, 101.0])
    assert figures["resident_growth_percent"] == 1.5
    assert figures["resident_mb_by_minute"][-1] == 101.0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_bench_of_the_room_tells_what_the_bot_costs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    plan = ["--students", "4", "--seconds", "4", "--runs", "1", "--overload", "--plot", "growth.png", "--json"]
    with started(tmp_path, "bench", "room", *plan, "--heartbeat-seconds", "1") as command:
        assert command.exit_code(110) == 0, command.err
        before, squeezed, after = json.loads(command.out)
    assert [each["phase"] for each in (before, squeezed, after)] == ["all cores", "one core", "all cores again"]
    for row in (before, squeezed, after):
        assert (row["students"], row["layer"], row["runs"]) == (4, "simulcast", 1)
        assert row["looks_per_second_per_student"] == pytest.approx(2, rel=0.2)
        assert row["looks_taken_fraction"] == pytest.approx(row["looks_per_second_per_student"] / 2, rel=0.01)
        assert row["frames_per_second_per_student"] == pytest.approx(7.4, rel=0.2)
        assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p95"] < 1000
        assert 0 < row["cpu_percent_of_core"] < 200 and row["resident_mb"] > 50
        assert row["slowest_to_mean"] > 0.8
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert left_in(tmp_path) == []


@pytest.mark.slow
def test_a_bot_that_does_not_start_ends_the_bench_with_its_own_last_words(tmp_path: Path) -> None:
    code, _, err = ended(tmp_path, "bench", "room", "--students", "2", "--runs", "1", "--weights", "/nowhere")
    assert code == 6
    assert err.splitlines()[-1].startswith("classmood: the bot ended with exit code 3: classmood: ")
    assert left_in(tmp_path) == []
