"""Chromium in a Janus room, as other tests use it: three layers arrive, as do further lines and codecs if asked for."""

import asyncio
from pathlib import Path

import pytest

from tests.chromium import needs_chromium
from tests.janus_client import JanusClient, janus_client
from tests.janus_servers import needs_janus, running_janus
from tests.janus_viewer import viewer
from tests.marks import mark_of, marked_camera
from tests.simulcast import BrowserStudent, browser_student

pytestmark = [needs_janus, needs_chromium, pytest.mark.slow]


@pytest.mark.timeout(120)
async def test_chromium_sends_three_sizes_and_the_room_knows(tmp_path: Path) -> None:
    camera = marked_camera(tmp_path / "camera.mjpeg", 7)
    with running_janus() as server:
        async with janus_client(server) as watcher, browser_student(server, "Ada", camera) as student:
            await watcher.room("join", ptype="publisher", display="watcher")
            assert (await watcher.participants())["Ada"]["publisher"] is False
            mids = await student.publish()
            (stream,) = await announced(watcher, student.id)
            assert await watcher.publishers() == {"Ada": int(student.id)}
            assert (stream["mid"], stream["codec"], stream["simulcast"]) == (mids[0], "vp8", True)
            sizes = await layers_that_flow(student)
            assert sizes == {"h": (1280, 720), "m": (640, 360), "l": (320, 180)}
            async with viewer(server, int(student.id), mid=mids[0], substream=0, temporal=2) as seen:
                # the first frames come from a larger layer
                while (await seen.next_frame()).width != 320:
                    pass
                assert mark_of(await seen.next_frame()) == 7
            await student.unpublish()
            assert await watcher.publishers() == {}
            await student.leave()
            assert list(await watcher.participants()) == ["watcher"]


async def test_chromium_sends_sound_a_screen_and_another_codec_where_asked() -> None:
    with running_janus(codecs="vp8,h264,vp9", pin="1234", api_secret="hush") as server:
        async with janus_client(server) as watcher, browser_student(server, "Ada") as student:
            await watcher.room("join", ptype="publisher", display="watcher", pin="1234")
            await student.publish(codec="VP9", simulcast=False, audio=True, screen=True, width=640, height=360)
            streams = await announced(watcher, student.id)
            kinds = [(stream["type"], stream["codec"], stream.get("description")) for stream in streams]
            assert kinds == [("audio", "opus", None), ("video", "vp9", "camera"), ("video", "vp9", "screen")]
            await student.hang_up()
            async with asyncio.timeout(5):
                while "Ada" in await watcher.participants():
                    await asyncio.sleep(0.05)


async def announced(watcher: JanusClient, feed: str) -> list[dict[str, object]]:
    """The streams of a publisher, as the room announced them."""
    async with asyncio.timeout(5):
        while True:
            told = [event["plugindata"]["data"] for event in watcher.events if "plugindata" in event]
            lists = [data["publishers"] for data in told if data.get("publishers")]
            for publisher in (each for publishers in lists for each in publishers):
                if str(publisher["id"]) == feed:
                    return list(publisher["streams"])
            await watcher.participants()  # before this is answered, earlier events arrive


async def layers_that_flow(student: BrowserStudent) -> dict[str, tuple[int, int]]:
    """The size of each layer, once all three have sent something."""
    async with asyncio.timeout(20):
        while True:
            layers = await student.layers()
            if len(layers) == 3 and all(layer["frames"] > 5 for layer in layers.values()):
                return {rid: (layer["width"], layer["height"]) for rid, layer in layers.items()}
            await asyncio.sleep(0.2)
