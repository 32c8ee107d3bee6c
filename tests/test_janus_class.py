"""A whole class in a real Janus room, with the commands that a user runs and students in real browsers."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from pipeline.coverage import Coverage
from pipeline.events import CoverageChanged
from tests.chromium import needs_chromium
from tests.commands import Running, started, until
from tests.janus_attendance import Attended, attended
from tests.janus_client import janus_client
from tests.janus_servers import needs_janus, running_janus, stopped_janus
from tests.marks import marked_camera
from tests.redis_servers import SERVER, running_redis
from tests.simulcast import browser_student
from tests.videos import portrait, write_video

pytestmark = [
    needs_janus,
    pytest.mark.skipif(SERVER is None, reason="no redis-server"),
    pytest.mark.slow,
    pytest.mark.timeout(120),
]


class Heard:
    """What the room's stream in Redis holds."""

    def __init__(self, url: str) -> None:
        self._redis = redis_client.Redis.from_url(url, decode_responses=True)

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """The events of a type so far."""
        entries: list[Any] = self._redis.xrange("classmood:{4711}:events")  # type: ignore[assignment]  # redis-py types both kinds
        events = [json.loads(fields["event"]) for _, fields in entries]
        return [event for event in events if kind in event["type"]]

    def sampled_since(self, at: float) -> set[str]:
        """Who has been read since that moment of wall time."""
        return {event["subject"] for event in self.events("emotion.sample") if event["data"]["at_ms"] > at * 1000}

    def close(self) -> None:
        self._redis.close()


@pytest.fixture
def redis_url() -> Iterator[str]:
    with running_redis(SERVER) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def heard(redis_url: str) -> Iterator[Heard]:
    heard = Heard(redis_url)
    yield heard
    heard.close()


def test_a_class_goes_on_after_the_server_was_down_for_five_seconds(redis_url: str, heard: Heard, tmp_path: Path) -> None:
    with stopped_janus() as janus:
        janus.start()
        join = ("join", janus.room_url, "--redis-url", redis_url, "--consent", "everyone")
        clip = write_video(tmp_path / "face.mkv", (320, 180), 10, 1, portrait(320, 180))
        come = ("simulate", janus.room_url, "--students", "3", "--video", str(clip))
        with started(tmp_path, *join) as bot:
            with started(tmp_path, *come) as students:
                until(lambda: len(heard.sampled_since(0)) == 3)
                janus.kill()
                assert students.exit_code() == 5
            time.sleep(5)
            janus.start()
            back = time.time()
            until(lambda: "joined the room again" in bot.err, 10)
            with started(tmp_path, *come):
                until(lambda: len(heard.sampled_since(back)) == 3)
            epochs = [event["epoch"] for event in heard.events()]
            assert len(set(epochs)) == 2 and epochs == sorted(epochs)
            for epoch in set(epochs):
                numbers = [event["sequence"] for event in heard.events() if event["epoch"] == epoch]
                assert numbers == list(range(1, len(numbers) + 1))
            reasons = [event["data"]["reason"] for event in heard.events("participant.left") if event["epoch"] == epochs[0]]
            assert "connection lost" in reasons and set(reasons) <= {"connection lost", "left"}
            bot.signal(signal.SIGTERM)
            assert bot.exit_code() == 0
            assert "Student" not in bot.err


async def removed(bot: Running) -> int:
    """Its exit code, once it has ended."""
    return await asyncio.to_thread(bot.exit_code)


@pytest.mark.parametrize("end", ["kick", "destroy"])
async def test_a_bot_that_is_removed_ends_and_says_so(redis_url: str, heard: Heard, tmp_path: Path, end: str) -> None:
    with running_janus() as janus, started(tmp_path, "join", janus.room_url, "--redis-url", redis_url) as bot:
        async with janus_client(janus) as client:
            await asyncio.to_thread(bot.until_it_says, "joined the room")
            await asyncio.to_thread(until, lambda: heard.events("bot.status"))
            await (client.kick("classmood (reads emotions)") if end == "kick" else client.destroy())
            assert await removed(bot) == 7
            told = "the bot was removed from the room" if end == "kick" else "the room was closed at the server"
            assert bot.err.splitlines()[-1] == f"classmood: {told}"
            assert heard.events("bot.status")[-1]["data"]["state"] == "stopping"


@needs_chromium
@pytest.mark.parametrize("retransmission", [True, False])
async def test_of_a_browsers_three_layers_the_smallest_arrives_with_the_fewest_frames(
    tmp_path: Path, retransmission: bool
) -> None:
    camera = marked_camera(tmp_path / "camera.mjpeg", 7)
    with running_janus() as janus:
        async with attended(janus.room_url) as seen, browser_student(janus, "Ada", camera) as student:
            await student.publish(retransmission=retransmission)
            await settled(seen, student.id)
            sent, received = (await student.layers())["l"]["frames"], seen.attendance.seats[student.id].frames_received
            await asyncio.sleep(8)
            sent = (await student.layers())["l"]["frames"] - sent
            received = seen.attendance.seats[student.id].frames_received - received
            # the lowest of three temporal layers holds every fourth frame: 7.5 of 30 a second if the browser keeps up
            assert received / sent == pytest.approx(0.25, abs=0.08)
            assert seen.frames.sizes[student.id] == (320, 180)
            assert {mark for _, mark in seen.frames.booked} <= {7, None}


@needs_chromium
@pytest.mark.parametrize("codec", ["VP8", "H264"])
@pytest.mark.parametrize("turn", [90, 180, 270])
async def test_the_pictures_of_a_phone_that_lie_on_their_side_are_put_upright(tmp_path: Path, turn: int, codec: str) -> None:
    upright = (360, 640) if turn % 180 else (640, 360)
    camera = marked_camera(tmp_path / "camera.mjpeg", 7, upright, lying=turn // 90)
    with running_janus() as janus:
        async with attended(janus.room_url) as seen, browser_student(janus, "Ada", camera) as student:
            await student.publish(codec=codec, simulcast=False, width=640, height=360, turn=turn)
            async with asyncio.timeout(20):
                while seen.frames.booked[student.id, 7] < 5:
                    await asyncio.sleep(0.1)
            assert seen.frames.sizes[student.id] == upright
            assert seen.frames.booked[student.id, None] == 0


async def settled(seen: Attended, student_id: str) -> None:
    """Wait for the smallest layer: the first frames come from larger ones."""
    async with asyncio.timeout(20):
        while seen.frames.sizes.get(student_id) != (320, 180):
            await asyncio.sleep(0.1)


@needs_chromium
async def test_browsers_that_send_what_cannot_be_read_are_told_of_and_cost_the_others_nothing(tmp_path: Path) -> None:
    with running_janus(codecs="vp8,h264,vp9") as janus:
        async with attended(janus.room_url) as seen, AsyncExitStack() as stack:
            ada = await stack.enter_async_context(browser_student(janus, "Ada"))
            await ada.publish(codec="VP9", simulcast=False, width=320, height=180)
            bob = await stack.enter_async_context(browser_student(janus, "Bob"))
            await bob.publish(codec="H264", simulcast=False, audio=True, screen=True, width=320, height=180)
            await seen.frames.after_now(bob.id, 20)
            changes = [data for data in seen.told.of(CoverageChanged) if isinstance(data, CoverageChanged)]
            assert [data.after for data in changes if data.participant == ada.id][-1] == Coverage.UNSUPPORTED_CODEC
            assert {participant for participant, _ in seen.frames.booked} == {bob.id}
            assert seen.room.subscription is not None and not seen.room.subscription.counts["rebuilt"]
            await ada.unpublish()
            await ada.publish(codec="VP8", simulcast=False, width=320, height=180)
            await seen.frames.after_now(ada.id, 20)
