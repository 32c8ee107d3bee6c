"""The bot in a real Janus room: who is who, what is received, and how it comes back."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from bot.clips import Clip
from bot.errors import RemovedFromRoom, RoomRefused
from bot.janus_students import janus_student
from bot.rooms.janus import join_janus
from bot.rooms.janus_roster import Camera
from bot.settings import read_settings
from pipeline.coverage import Coverage
from pipeline.events import CoverageChanged, ParticipantJoined, ParticipantLeft
from tests.commands import started
from tests.janus_attendance import BLIND_SECONDS, Attended, Script, attended
from tests.janus_client import JanusClient, add_tokens, janus_client
from tests.janus_servers import JanusServer, needs_janus, running_janus
from tests.marks import marked_clip
from tests.test_whip import write_certificate

pytestmark = needs_janus


@pytest.fixture(scope="module")
def clips() -> dict[int, Clip]:
    """Clips that show who sends them, so short that a keyframe comes three times a second."""
    return {mark: marked_clip(mark, (160, 90), seconds=0.3) for mark in range(12)}


@pytest.fixture(scope="module")
def locked() -> Iterator[JanusServer]:
    with running_janus(pin="1234") as server:
        yield server


@pytest.fixture
def server() -> Iterator[JanusServer]:
    with running_janus() as server:
        yield server


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def one_student(server: JanusServer, clip: Clip, seen: Attended) -> AsyncIterator[str]:
    """A student who is being seen while the block runs; yields their id."""
    async with janus_student(server.room_url, "Ada", read_settings()) as student:
        await student.publish(clip)
        await seen.frames.after_now(student.id)
        yield student.id


async def test_a_student_who_publishes_is_watched_under_the_rooms_own_id(server: JanusServer, clips: dict[int, Clip]) -> None:
    async with janus_client(server) as client, attended(server.room_url) as seen:
        assert list(await client.participants()) == ["classmood (reads emotions)"]
        async with one_student(server, clips[3], seen) as student_id:
            assert (await client.publishers()) == {"Ada": int(student_id)}
        await until(lambda: "participant.left" in seen.kinds())
        joined, left = seen.told.of(ParticipantJoined), seen.told.of(ParticipantLeft)
        assert [(data.participant, data.name) for data in joined if isinstance(data, ParticipantJoined)] == [(student_id, "Ada")]
        assert [(data.participant, data.reason) for data in left if isinstance(data, ParticipantLeft)] == [(student_id, "left")]
        assert {key for key in seen.frames.booked if key[1] is not None} == {(student_id, 3)}


async def play(server: JanusServer, clips: dict[int, Clip], seed: int, steps: int) -> Script:
    async with attended(server.room_url) as seen:
        script = Script(server.room_url, seen, clips, random.Random(seed))
        await script.play(steps, most=5)
        return script


@pytest.mark.slow
async def test_who_comes_goes_and_publishes_again_is_always_taken_for_themselves(
    server: JanusServer, clips: dict[int, Clip]
) -> None:
    script = await play(server, clips, seed=5, steps=8)
    assert script.wrongly_booked == {} and script.seen.frames.booked
    assert script.longest_blind < BLIND_SECONDS


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_twenty_scripts_of_coming_and_going_mix_nobody_up(server: JanusServer, clips: dict[int, Clip]) -> None:
    for seed in range(20):
        script = await play(server, clips, seed, steps=14)
        assert script.wrongly_booked == {}, f"seed {seed}"
        assert script.longest_blind < BLIND_SECONDS, f"seed {seed}"


async def test_a_camera_that_pauses_within_its_publication_is_seen_again_at_once(
    server: JanusServer, clips: dict[int, Clip]
) -> None:
    async with attended(server.room_url) as seen, janus_student(server.room_url, "Ada", read_settings()) as student:
        await student.publish(clips[4])
        await seen.frames.after_now(student.id)
        for _ in range(3):
            await student.pause(True)
            await student.pause(False)
            await seen.frames.after_now(student.id, BLIND_SECONDS)
        assert seen.room.subscription is not None and not seen.room.subscription.counts["rebuilt"]


async def test_one_camera_that_is_gone_costs_the_others_nothing(server: JanusServer, clips: dict[int, Clip]) -> None:
    async with attended(server.room_url) as seen:
        subscription = seen.room.subscription
        assert subscription is not None
        for number in ("12345", "23456"):
            subscription.want(Camera(number, "0"))
        async with one_student(server, clips[1], seen):
            assert subscription.counts["no_such_feed"] >= 1


@pytest.mark.parametrize("room", [4711, "4711", "class-4b"])
async def test_a_room_of_any_kind_of_name_with_all_its_locks_is_joined(clips: dict[int, Clip], room: int | str) -> None:
    secrets = {"janus_pin": "1234", "janus_api_secret": "hush"}
    with running_janus(room=room, pin="1234", api_secret="hush") as server:
        async with attended(server.room_url, **secrets) as seen, AsyncExitStack() as stack:
            student = await stack.enter_async_context(janus_student(server.room_url, "Ada", read_settings(**secrets)))
            await student.publish(clips[2])
            await seen.frames.after_now(student.id)


async def test_a_full_room_still_takes_the_bot_which_publishes_nothing(clips: dict[int, Clip]) -> None:
    with running_janus(publishers=1) as server:
        async with janus_student(server.room_url, "Ada", read_settings()) as student:
            await student.publish(clips[2])
            async with attended(server.room_url) as seen:
                await seen.frames.after_now(student.id)


async def test_a_room_is_joined_over_tls_with_a_token(clips: dict[int, Clip], tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path)
    with running_janus(certificate=certificate, tokens=("sesame",)) as server:
        await add_tokens(server)
        async with attended(server.tls_room_url, janus_token="sesame", janus_ca_file=certificate[0]) as seen:
            assert seen.room.inside
        with pytest.raises(RoomRefused, match=f"^no TLS with localhost:{server.tls_port}: .*self-signed"):
            async with join_janus(server.tls_room_url, read_settings(janus_token="sesame")):
                pass


@pytest.mark.parametrize(
    ("pin", "room", "line"),
    [
        ("", "4711", "janus refuses (429): Missing mandatory element (pin); see CLASSMOOD_JANUS_PIN"),
        ("no", "4711", "janus refuses (433): Unauthorized (wrong pin); see CLASSMOOD_JANUS_PIN and CLASSMOOD_JANUS_TOKEN"),
        ("1234", "47", "janus refuses (426): No such room (47)"),
        ("1234", "algebra", "janus refuses (430): Invalid element type (room should be a positive integer)"),
        ("1234", "9" * 30, "janus refuses (430): Invalid element type (room should be a positive integer)"),
    ],
)
async def test_a_room_that_does_not_let_the_bot_in_says_why(locked: JanusServer, pin: str, room: str, line: str) -> None:
    with pytest.raises(RoomRefused) as refused:
        async with join_janus(f"janus://127.0.0.1:{locked.port}/{room}", read_settings(janus_pin=pin)):
            pass
    assert str(refused.value) == line


async def test_who_is_in_a_room_that_does_not_tell_of_them_is_found_in_its_list(clips: dict[int, Clip]) -> None:
    with running_janus(notify_joining=False) as server:
        async with (
            janus_student(server.room_url, "Ada", read_settings()),
            attended(server.room_url, reconcile_seconds=0.2) as seen,
        ):
            await until(lambda: [data.name for data in seen.told.of(ParticipantJoined)] == ["Ada"])


# how it comes back


async def test_after_the_server_was_killed_the_bot_is_back_and_sees_again(server: JanusServer, clips: dict[int, Clip]) -> None:
    async with attended(server.room_url) as seen:
        async with one_student(server, clips[1], seen) as before:
            server.kill()
            await until(lambda: not seen.room.inside)
        server.start()
        await until(lambda: seen.room.inside)
        async with one_student(server, clips[2], seen) as after:
            assert after != before and seen.room.rejoined == 1
        reasons = {data.participant: data.reason for data in seen.told.of(ParticipantLeft) if isinstance(data, ParticipantLeft)}
        assert reasons[before] == "connection lost"


async def test_after_a_cut_the_bot_is_back_with_the_same_participants_and_no_ghost_of_itself(
    server: JanusServer, clips: dict[int, Clip]
) -> None:
    async with Cuttable(server.port) as cuttable, janus_client(server) as client:
        url = f"janus://127.0.0.1:{cuttable.port}/{server.room}"
        async with attended(url) as seen, one_student(server, clips[1], seen) as student_id:
            cuttable.cut()
            await until(lambda: seen.room.rejoined == 1)
            await seen.frames.after_now(student_id)
            assert list(seen.attendance.seats) == [student_id]
            await until_names(client, ["Ada", "classmood (reads emotions)"])


@pytest.mark.slow
async def test_a_student_whose_media_die_is_stalled_and_seen_again_when_they_live(server: JanusServer, tmp_path: Path) -> None:
    async with attended(server.room_url, stalled_seconds=1.0) as seen:
        simulate = ("simulate", server.room_url, "--students", "1")
        with started(tmp_path, *simulate) as students:
            await until(lambda: seen.frames.newest, 20)
            (student_id,) = seen.attendance.seats
            students.signal(signal.SIGSTOP)
            await until(lambda: Coverage.STALLED in [data.after for data in changes(seen)])
            students.signal(signal.SIGCONT)
            await seen.frames.after_now(student_id, 10)
            # whoever is in the room's list is in the room, even if they send nothing
            assert not seen.told.of(ParticipantLeft)


def changes(seen: Attended) -> list[CoverageChanged]:
    return [data for data in seen.told.of(CoverageChanged) if isinstance(data, CoverageChanged)]


@pytest.mark.parametrize("end", ["kick", "destroy"])
async def test_who_is_removed_leaves_for_good(server: JanusServer, end: str) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with janus_client(server) as client, attended(server.room_url, removed_exit_code=42):
            await remove(client, end)
            await asyncio.sleep(5)
    assert exit_code_of_removal(caught.value) == 42


@pytest.mark.parametrize("end", ["kick", "destroy"])
async def test_who_is_removed_while_the_connection_is_cut_does_not_come_back(server: JanusServer, end: str) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with (
            Cuttable(server.port) as cuttable,
            janus_client(server) as client,
            attended(f"janus://127.0.0.1:{cuttable.port}/{server.room}", removed_exit_code=42),
        ):
            cuttable.is_away = True
            cuttable.cut(heard_by_server=False)
            await remove(client, end)
            cuttable.is_away = False
            await asyncio.sleep(10)
    assert exit_code_of_removal(caught.value) == 42


async def remove(client: JanusClient, end: str) -> None:
    await (client.kick("classmood (reads emotions)") if end == "kick" else client.destroy())


def exit_code_of_removal(caught: BaseException) -> int:
    while isinstance(caught, ExceptionGroup):
        (caught,) = caught.exceptions
    assert isinstance(caught, RemovedFromRoom)
    return caught.exit_code


async def test_a_cut_that_the_server_has_not_noticed_leaves_no_second_bot_in_the_room(server: JanusServer) -> None:
    async with (
        Cuttable(server.port) as cuttable,
        janus_client(server) as client,
        attended(f"janus://127.0.0.1:{cuttable.port}/{server.room}") as seen,
    ):
        (before,) = await client.everybody()
        cuttable.cut(heard_by_server=False)
        await until(lambda: seen.room.rejoined == 1)
        (after,) = await client.everybody()
        assert before["display"] == after["display"] and before["id"] != after["id"]


async def test_a_bot_that_leaves_says_goodbye(server: JanusServer) -> None:
    async with janus_client(server) as client:
        async with attended(server.room_url):
            await until_names(client, ["classmood (reads emotions)"])
        # Janus answers before it has tidied up; without a goodbye that would take a minute
        await until_names(client, [])


async def until_names(client: JanusClient, names: list[str]) -> None:
    async with asyncio.timeout(5):
        while sorted(await client.participants()) != names:
            await asyncio.sleep(0.05)


class Cuttable:
    """A path to a server that can be cut, and that lets nobody through while it `is_away`."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.is_away = False
        self._to = port
        self._down: list[asyncio.StreamWriter] = []
        self._up: list[asyncio.StreamWriter] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Cuttable":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        while self._connections:  # one may be on its way to the server just now
            self.cut()
            await asyncio.wait(self._connections, timeout=0.05)
        self.cut()  # connections that ended by themselves are still open on our side

    def cut(self, heard_by_server: bool = True) -> None:
        """End every connection; a server that does not hear of it waits on, as if the network were gone."""
        for ends in [self._down, self._up] if heard_by_server else [self._down]:
            for writer in ends:
                writer.transport.abort()
            ends.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_away:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._down.append(writer)
        self._up.append(up_writer)
        await asyncio.gather(_carry(reader, up_writer), _carry(up_reader, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
