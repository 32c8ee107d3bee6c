"""Simulated students in a real Janus room: they come, send, turn the camera off and on, leave, and are refused."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from bot.clips import Clip, Recording
from bot.errors import RoomRefused
from bot.janus_students import janus_entrance, janus_student
from bot.rooms.janus_api import KEEPALIVE_SECONDS
from bot.settings import Settings, read_settings
from bot.students import Class, simulate
from bot.together import showing
from tests.commands import ended
from tests.janus_client import JanusClient, add_tokens, janus_client
from tests.janus_servers import JanusServer, needs_janus, running_janus
from tests.janus_viewer import viewer
from tests.marks import mark_of, marked_clip
from tests.test_whip import write_certificate
from tests.videos import write_video

pytestmark = needs_janus

NAMES = ("Ada", "Grace")


@asynccontextmanager
async def janus_students(
    room_url: str, count: int, ready: Sequence[Recording], settings: Settings
) -> AsyncIterator[asyncio.Event]:
    """Keep `count` students in a room while the block runs; yields an event that is set once all of them have lost it.

    Student N sends recording N modulo the number of recordings.
    """
    async with janus_entrance(room_url, settings) as enter, showing(enter, count, ready) as deserted:
        yield deserted


@pytest.fixture(scope="module")
def clip() -> Clip:
    return marked_clip(7, (160, 90), seconds=1)


@pytest.fixture
def server() -> Iterator[JanusServer]:
    with running_janus() as server:
        yield server


async def published(client: JanusClient, count: int) -> dict[str, int | str]:
    """The feeds by name once so many publish."""
    async with asyncio.timeout(10):
        while len(feeds := await client.publishers()) != count:
            await asyncio.sleep(0.02)
        return feeds


async def test_students_come_publish_and_leave_as_they_should(server: JanusServer, clip: Clip) -> None:
    async with janus_client(server) as client:
        async with janus_students(server.room_url, 3, [clip], read_settings()) as deserted:
            assert set(await published(client, 3)) == {"Student 1", "Student 2", "Student 3"}
            assert not deserted.is_set()
        assert await client.participants() == {}


async def test_a_camera_goes_off_and_on_again_and_the_student_stays_who_they_are(server: JanusServer, clip: Clip) -> None:
    async with janus_client(server) as client, janus_student(server.room_url, "Ada", read_settings()) as student:
        for _ in range(4):
            await student.publish(clip)
            assert {name: str(feed) for name, feed in (await published(client, 1)).items()} == {"Ada": student.id}
            await student.unpublish()
            await student.unpublish()
            await published(client, 0)
            assert list(await client.participants()) == ["Ada"]
        # no pause between off and on, so many times that what Janus does meanwhile falls on the next one
        for _ in range(12):
            await student.publish(clip)
        await published(client, 1)
        assert not student.lost.is_set()


@pytest.mark.slow
async def test_what_they_send_arrives_and_goes_on_after_the_camera_was_off(server: JanusServer, clip: Clip) -> None:
    other = marked_clip(200, (160, 90), seconds=1)
    async with janus_client(server) as client, janus_student(server.room_url, "Ada", read_settings()) as student:
        for sent, mark in ((clip, 7), (other, 200)):
            await student.publish(sent)
            await published(client, 1)  # until then the room does not know this feed, though the student's side is connected
            async with viewer(server, int(student.id)) as seen:
                frame = await seen.next_frame()
            assert mark_of(frame) == mark and (frame.width, frame.height) == (160, 90)


@pytest.mark.parametrize("room", ["4711", "class-4b"])
async def test_a_room_that_is_named_with_text_is_joined_too(clip: Clip, room: str) -> None:
    settings = read_settings(janus_pin="1234", janus_api_secret="hush")
    with running_janus(room=room, pin="1234", api_secret="hush") as server:
        async with janus_client(server) as client, janus_students(server.room_url, 1, [clip], settings):
            assert set(await published(client, 1)) == {"Student 1"}


async def test_students_come_over_tls_with_a_token(clip: Clip, tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path)
    settings = read_settings(janus_token="sesame", janus_ca_file=certificate[0])
    with running_janus(certificate=certificate, tokens=("sesame",)) as server:
        await add_tokens(server)
        async with janus_client(server) as client, janus_students(server.tls_room_url, 1, [clip], settings):
            assert set(await published(client, 1)) == {"Student 1"}


# refused


async def refusal(room_url: str, clip: Clip, **settings: str) -> str:
    """The one line with which a student is refused."""
    with pytest.raises(ExceptionGroup) as group:
        async with asyncio.timeout(20), janus_students(room_url, 1, [clip], read_settings(**settings)):
            pass
    (refused,) = group.value.exceptions
    assert isinstance(refused, RoomRefused) and "\n" not in str(refused)
    return str(refused)


async def test_a_wrong_pin_and_an_unknown_room_are_told_with_the_rooms_own_reason(clip: Clip) -> None:
    with running_janus(pin="1234") as server:
        assert "(429): Missing mandatory element (pin)" in await refusal(server.room_url, clip)
        assert "(433): Unauthorized (wrong pin)" in await refusal(server.room_url, clip, janus_pin="4321")
        assert "(426): No such room (47110)" in await refusal(f"{server.room_url}0", clip, janus_pin="1234")


async def test_a_full_room_is_told(clip: Clip) -> None:
    with running_janus(publishers=1) as server:
        async with janus_client(server) as client, janus_students(server.room_url, 1, [clip], read_settings()):
            await published(client, 1)
            assert "(432): Maximum number of publishers (1) already reached" in await refusal(server.room_url, clip)
            # a student who was refused is out of the room again
            assert list(await client.participants()) == ["Student 1"]


async def test_a_room_that_takes_no_vp8_is_told(clip: Clip) -> None:
    with running_janus(codecs="h264") as server:
        assert await refusal(server.room_url, clip) == "the room takes no video in VP8"


async def test_no_server_at_all_is_told(clip: Clip) -> None:
    assert "no server answers at 127.0.0.1:9" in await refusal("janus://127.0.0.1:9/4711", clip)


# losing the room


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_students_stay_for_longer_than_the_gateway_keeps_a_session_of_which_it_hears_nothing(clip: Clip) -> None:
    with running_janus(session_timeout_seconds=round(KEEPALIVE_SECONDS) + 5) as server:
        async with janus_students(server.room_url, 1, [clip], read_settings()) as deserted:
            async with janus_client(server) as client:
                feeds = await published(client, 1)
            await asyncio.sleep(2 * KEEPALIVE_SECONDS)
            async with janus_client(server) as client:  # a new client: this one sends no keepalives for its session
                assert await published(client, 1) == feeds and not deserted.is_set()


async def test_who_is_kicked_has_lost_the_room_and_the_others_have_not(server: JanusServer, clip: Clip) -> None:
    async with janus_client(server) as client, AsyncExitStack() as stack:
        ada, grace = [await stack.enter_async_context(janus_student(server.room_url, name, read_settings())) for name in NAMES]
        await ada.publish(clip)
        await grace.publish(clip)
        await published(client, 2)
        await client.kick("Ada")
        async with asyncio.timeout(5):
            await ada.lost.wait()
        assert list(await published(client, 1)) == ["Grace"] and not grace.lost.is_set()


async def test_a_room_that_is_destroyed_or_whose_server_dies_has_lost_all_its_students(clip: Clip) -> None:
    for end in ("destroy", "kill"):
        with running_janus() as server:
            async with janus_client(server) as client, janus_students(server.room_url, 2, [clip], read_settings()) as deserted:
                await published(client, 2)
                if end == "destroy":
                    await client.destroy()
                else:
                    server.kill()
                async with asyncio.timeout(5):
                    await deserted.wait()


async def test_a_simulation_whose_room_closes_says_so(server: JanusServer, tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mkv", (160, 90), 10, seconds=1)
    async with asyncio.timeout(20), janus_client(server) as client:
        simulation = asyncio.create_task(simulate(server.room_url, Class(1, (video,)), None, read_settings()))
        await published(client, 1)
        await client.destroy()
        with pytest.raises(ExceptionGroup) as group:
            await simulation
    assert group.group_contains(RoomRefused, match=f"^the room at {server.room_url} closed$")


# as a user runs it


@pytest.mark.slow
def test_the_command_publishes_a_file_for_a_while_and_ends_with_nobody_left(server: JanusServer, tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mkv", (160, 90), 10, seconds=1)
    command = ("simulate", server.room_url, "--students", "2", "--video", str(video), "--seconds", "1")
    code, out, err = ended(tmp_path, *command)
    assert (code, out) == (0, "") and "2 students are in the room" in err, err
