"""Records the streams that `classmood bench room` replays: what a Janus room sends on of a student in a real Chromium.

    python -m tests.benchmarks.record_streams bot/bench/streams

The student's camera shows the portrait that comes with the program, moving, with a webcam's noise; nobody else is
pictured. It records `simulcast.ivf`, the lowest of three layers (320x180, temporal layer 0, 7.5 frames a second),
and `single.ivf`, a stream without layers (640x360, 30 frames a second). It needs Debian's packages janus and chromium.
"""

import argparse
import asyncio
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs.vpx import VpxPayloadDescriptor
from aiortc.rtp import RtpPacket

from bot.bench.ivf import VIDEO_CLOCK_HZ, RecordedFrame, write_ivf
from bot.clips import PORTRAIT
from model.faces import Image
from tests.janus_client import janus_client
from tests.janus_servers import JanusServer, running_janus
from tests.simulcast import browser_student

SIZE = (1280, 720)
CAMERA_FRAMES_PER_SECOND = 30
CAMERA_SECONDS = 8
NOISE = 1.5
"""Standard deviation of a webcam's noise, in brightness levels."""

SETTLE_SECONDS = 12
"""How long a browser takes to find its bit rate."""


@dataclass(frozen=True)
class Stream:
    """What is recorded, for how long, and how it is requested."""

    name: str
    seconds: float
    size: tuple[int, int]
    publish: dict[str, Any]
    subscribe: dict[str, Any]
    bits_per_second: int


STREAMS = (
    Stream("simulcast", 20, (320, 180), {}, {"substream": 0, "temporal": 0}, 1_500_000),
    # unlimited, Chromium sends 1.3 Mbit/s of this, too much to be sent on to anybody for a class of fifty
    Stream("single", 12, (640, 360), {"simulcast": False, "width": 640, "height": 360}, {}, 600_000),
)


def camera_pictures() -> Iterator[Image]:
    """The portrait as a webcam would show it, BGR: a head that moves sideways, up and down, nearer and farther, in a loop."""
    portrait = cv2.imread(str(PORTRAIT), cv2.IMREAD_COLOR)
    random = np.random.default_rng(7)
    count = CAMERA_SECONDS * CAMERA_FRAMES_PER_SECOND
    width, height = SIZE
    for number in range(count):
        turn = 2 * np.pi * number / count
        scale = (1.1 + 0.1 * np.sin(turn)) * height / 300
        across = width / 2 + 0.08 * width * np.sin(turn) - 224 * scale
        down = height / 2 + 0.05 * height * np.sin(2 * turn) - 110 * scale
        place = np.array([[scale, 0, across], [0, scale, down]])
        picture = cv2.warpAffine(portrait, place, SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        noise = random.normal(0, NOISE, (height, width, 1))
        yield np.clip(picture + noise, 0, 255).astype(np.uint8)


def write_camera(path: Path) -> Path:
    """A file of consecutive JPEG pictures that Chromium takes for its camera."""
    path.write_bytes(b"".join(cv2.imencode(".jpg", picture)[1].tobytes() for picture in camera_pictures()))
    return path


class Recorder:
    """The RTP packets of one stream, by sequence number, before anything decodes them."""

    def __init__(self) -> None:
        self.packets: dict[int, RtpPacket] = {}
        self._latest: int | None = None

    async def take(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        """Keep a packet; takes the place of a receiver's own method."""
        if packet.payload:
            self.packets[self._unwrapped(packet.sequence_number)] = packet

    def _unwrapped(self, number: int) -> int:
        latest = number if self._latest is None else self._latest
        self._latest = latest + (number - latest + 0x8000) % 0x10000 - 0x8000
        return self._latest

    def frames(self, size: tuple[int, int], seconds: float) -> list[RecordedFrame]:
        """The frames from the first keyframe of that size on; raises ValueError if the recording lacks a packet."""
        numbers = sorted(self.packets)
        whole = list(_frames(self.packets[number] for number in numbers))
        start = next(place for place, frame in enumerate(whole) if frame.is_keyframe and frame.size == size)
        origin = whole[start].timestamp
        moved = [RecordedFrame((each.timestamp - origin) % 2**32, each.data) for each in whole[start:]]
        kept = [each for each in moved if each.timestamp < seconds * VIDEO_CLOCK_HZ]
        if numbers != list(range(numbers[0], numbers[-1] + 1)):
            raise ValueError("packets are missing")
        return kept


def _frames(packets: Iterator[RtpPacket]) -> Iterator[RecordedFrame]:
    for timestamp, group in itertools.groupby(packets, key=lambda packet: packet.timestamp):
        yield RecordedFrame(timestamp, b"".join(VpxPayloadDescriptor.parse(each.payload)[1] for each in group))


async def record(server: JanusServer, feed: int, stream: Stream, recorder: Recorder) -> str:
    """Subscribe to a student and keep what arrives; returns the room's offer."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        async with janus_client(server) as client:
            streams = [{"feed": feed, "mid": "0", **stream.subscribe}]
            offer = (await client.negotiate("join", ptype="subscriber", pin=server.options.pin, streams=streams))["jsep"]
            await peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
            (transceiver,) = peer.getTransceivers()
            transceiver.receiver._handle_rtp_packet = recorder.take
            await peer.setLocalDescription(await peer.createAnswer())
            await client.negotiate("start", {"type": "answer", "sdp": peer.localDescription.sdp})
            await asyncio.sleep(stream.seconds + 5)
            return str(offer["sdp"])
    finally:
        await peer.close()


async def record_all(folder: Path, streams: tuple[Stream, ...]) -> None:
    """Write one file for each stream."""
    with TemporaryDirectory() as temporary, running_janus() as server:
        camera = write_camera(Path(temporary) / "camera.mjpeg")
        for stream in streams:
            recorder = Recorder()
            async with browser_student(server, "portrait", camera) as student:
                await student.publish(**stream.publish)
                await student.limit(stream.bits_per_second)
                await asyncio.sleep(SETTLE_SECONDS)
                offer = await record(server, int(student.id), stream, recorder)
                _tell(str(await student.layers()))
                await student.leave()
            frames = recorder.frames(stream.size, stream.seconds)
            write_ivf(folder / f"{stream.name}.ivf", frames)
            _tell(_described(stream, frames, recorder, offer))


def _described(stream: Stream, frames: list[RecordedFrame], recorder: Recorder, offer: str) -> str:
    """A description of the recording, by which to judge whether it is what a class sends."""
    sizes: dict[tuple[int, int], int] = defaultdict(int)
    for frame in frames:
        if frame.is_keyframe:
            sizes[frame.size] += 1
    octets = sum(len(frame.data) for frame in frames)
    seconds = frames[-1].timestamp / VIDEO_CLOCK_HZ
    packets = list(recorder.packets.values())
    descriptors = [repr(VpxPayloadDescriptor.parse(each.payload)[0].__dict__) for each in packets[-6:]]
    lengths = [len(each.payload) for each in packets]
    return "\n".join(
        (
            f"{stream.name}: {len(frames)} frames in {seconds:.2f} s, {len(frames) / seconds:.2f} a second,"
            f" {octets * 8 / seconds / 1000:.0f} kbit/s, {len(packets) / (stream.seconds + 5):.1f} packets a second,"
            f" longest payload {max(lengths)}, keyframes {dict(sizes)}",
            *descriptors,
            offer,
        )
    )


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def main() -> None:
    """Record the streams that were asked for."""
    parser = argparse.ArgumentParser(description="Records what `bench room` replays.")
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--only", choices=[stream.name for stream in STREAMS])
    arguments = parser.parse_args()
    chosen = tuple(stream for stream in STREAMS if arguments.only in (None, stream.name))
    asyncio.run(record_all(arguments.folder, chosen))


if __name__ == "__main__":
    main()
