"""Classes that are recorded from a real Redis, and played into one."""

import array
import asyncio
import fcntl
import gzip
import json
import os
import resource
import signal
import sys
import termios
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.cli import main
from bot.line_files import PlainFile, opened_for_lines
from bot.record import MOST_WARNINGS, Recorder, record
from bot.recorded_marks import keep_marks, marks_file
from bot.recordings import RecordingUnusable
from bot.replay import AS_FAST_AS_POSSIBLE, Pace, Played, moved, replay
from bot.settings import Settings
from bot.stream_entries import Entry
from bot.tasks import background
from bot.timeline import published_ms, survey
from pipeline.clock import now_ms
from pipeline.contract import TypedEvent, judge
from pipeline.events import ConsentWithdrawn, Data, EmotionChanged, EmotionSample, Event, ParticipantJoined, ParticipantLeft
from pipeline.follow import RoomState, events_since, room_state
from pipeline.keys import Keys
from pipeline.publish import Publisher
from tests.commands import ended, started, until
from tests.make_example_class import STUDENTS, example_class
from tests.redis_servers import SERVER, RedisServer, needs_redis, running_redis

FIXTURES = Path(__file__).parent / "fixtures"
EXAMPLE = FIXTURES / "example-class.jsonl.gz"
KEYS = Keys("classmood", "algebra")
AT_ONCE = Pace(AS_FAST_AS_POSSIBLE)

pytestmark = needs_redis


def some_settings() -> Settings:
    return Settings(_env_file=None)  # type: ignore[call-arg]


def publisher(redis: Redis, epoch: str = "1") -> Publisher:
    return Publisher(redis, KEYS, epoch, outbox_limit=5000, retention_ms=600_000, status_ttl_ms=60_000, retry_seconds=0.1)


def joined(participant: str) -> ParticipantJoined:
    return ParticipantJoined(participant=participant, name=participant, reason="joined")


def a_recording(file: Path, *numbers: int) -> Path:
    """A file with these lines of the example class, or else its first 150."""
    with gzip.open(EXAMPLE, "rt") as lines:
        events = lines.readlines()
    file.write_text("".join(events[number] for number in numbers or range(150)))
    return file


def events_in(file: Path) -> list[TypedEvent]:
    """The events of a recording, each checked to be valid."""
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    events = [judge(line).event for line in text.splitlines()]
    assert text.endswith(b"\n") and None not in events
    return [event for event in events if event is not None]


async def published(redis: Redis, keys: Keys = KEYS) -> list[Event]:
    return [event async for event in events_since(redis, keys)]


def without_times(data: Data) -> dict[str, Any]:
    return {name: value for name, value in data.model_dump(mode="json").items() if not name.endswith("_ms")}


# replay


@pytest.mark.slow
async def test_the_example_class_played_at_once_leaves_the_state_that_its_events_say(redis: Redis) -> None:
    played, began_ms = Played(), now_ms()
    await replay(redis, KEYS, survey(str(EXAMPLE)), some_settings(), AT_ONCE, played)
    recorded, events = events_in(EXAMPLE), await published(redis)
    assert [without_times(event.typed()) for event in events] == [without_times(event.data) for event in recorded]
    assert [event.sequence for event in events] == list(range(1, len(recorded) + 1))
    assert len({event.epoch for event in events}) == 1 and int(events[0].epoch) >= began_ms
    assert {event.source for event in events} == {"/classmood/rooms/algebra"}
    assert all(judge(event.to_json()).event for event in events[-100:])
    check_the_state(await room_state(redis, KEYS), recorded, began_ms)


def check_the_state(state: RoomState, recorded: list[TypedEvent], began_ms: int) -> None:
    """Check that who is there, and how, matches the last event about each."""
    left = {event.subject for event in recorded if isinstance(event.data, ParticipantLeft)}
    assert len(state.participants) == STUDENTS and {each.id for each in state.participants if not each.present} == left
    samples = {event.subject: event.data for event in recorded if isinstance(event.data, EmotionSample)}
    changes = {event.subject: event.data for event in recorded if isinstance(event.data, EmotionChanged)}
    withdrew = {event.subject for event in recorded if isinstance(event.data, ConsentWithdrawn)}
    assert len(withdrew) == 1 and {each.id for each in state.participants if each.consent is False} == withdrew
    for each in state.participants:
        if each.id in withdrew:
            assert (each.emotion, each.scores, each.coverage) == (None, None, "not_consented")
            continue
        assert each.emotion == (changes[each.id].after if each.id in changes else None)
        assert each.scores == (samples[each.id].scores if each.id in samples else None)
        assert began_ms <= each.updated_ms <= now_ms()
        assert each.at_ms is None or began_ms <= each.at_ms <= now_ms()
    last = [event.data for event in recorded if event.type == "classmood.summary"][-1]
    assert state.summary is not None and state.summary.shares == last.shares  # type: ignore[union-attr]
    assert state.bot is None and state.broken == 0


async def test_a_replay_keeps_the_distances_in_time_divided_by_its_speed(redis: Redis, tmp_path: Path) -> None:
    file, played = a_recording(tmp_path / "class.jsonl"), Played()
    seconds = survey(str(file)).seconds
    await replay(redis, KEYS, survey(str(file)), some_settings(), Pace(seconds), played)
    events, recorded = await published(redis), events_in(file)
    took = at(events[-1]) - at(events[0])
    assert 950 <= took <= 2500 and played.events == 150
    for event, was in zip(events, recorded, strict=True):
        assert at(event) - at(events[0]) >= (at(was) - at(recorded[0])) / seconds - 50


def at(event: Event | TypedEvent) -> float:
    return published_ms(event)  # type: ignore[arg-type]  # both have a time


@pytest.mark.parametrize("speed", ["fast", "-1", "nan", "inf"])
def test_a_speed_that_is_none_is_refused_in_one_line(speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["replay", "x.jsonl", f"--speed={speed}"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"argument --speed: {speed} is not a number from 0 on")


@pytest.mark.parametrize(("speed", "least", "most"), [(10, 600, 1563), (1000, 0, 300)])
async def test_a_replayed_status_stands_for_three_heartbeats_as_they_come_and_no_shorter_than_the_settings_say(
    redis: Redis, tmp_path: Path, speed: float, least: int, most: int
) -> None:
    recording = survey(str(a_recording(tmp_path / "class.jsonl")))  # statuses are at most 5.21 seconds apart
    settings = some_settings().model_copy(update={"heartbeat_seconds": 0.1})
    async with background(replay(redis, KEYS, recording, settings, Pace(speed), Played(), loop=True)):
        while (lifetime_ms := await redis.pttl(KEYS.bot)) < 0:
            await asyncio.sleep(0.01)
    assert least < lifetime_ms <= most


async def test_a_history_comes_at_once_with_the_times_of_a_class_that_just_ended(redis: Redis, tmp_path: Path) -> None:
    file = a_recording(tmp_path / "class.jsonl")
    await replay(redis, KEYS, survey(str(file)), some_settings(), Pace(history=True), Played())
    events, recorded = await published(redis), events_in(file)
    assert now_ms() - 5000 < at(events[-1]) <= now_ms()
    shift = at(events[0]) - at(recorded[0])
    for event, was in zip(events, recorded, strict=True):
        assert abs(at(event) - at(was) - shift) <= 2
        data = event.typed()
        if isinstance(data, EmotionSample) and isinstance(was.data, EmotionSample):
            assert abs(data.at_ms - was.data.at_ms - shift) <= 2


async def test_a_replay_leaves_the_audit_stream_what_the_settings_leave_it(redis: Redis, tmp_path: Path) -> None:
    kept = await redis.xadd(KEYS.audit, {"event": "{}"}, id=f"{now_ms() - 200 * 86_400_000}-0")
    settings = Settings(_env_file=None, audit_retention_days=3650)  # type: ignore[call-arg]
    await replay(redis, KEYS, survey(str(a_recording(tmp_path / "class.jsonl"))), settings, AT_ONCE, Played())
    assert (await redis.xrange(KEYS.audit, count=1))[0][0] == kept
    assert await redis.pttl(KEYS.audit) > 3649 * 86_400_000


def test_every_time_in_an_event_is_moved_and_its_distance_shortened() -> None:
    change = EmotionChanged(participant="ada", before=None, after="unknown", since_ms=9_000)
    assert moved(change, 10_000, 50_000, 1).since_ms == 49_000  # type: ignore[union-attr]
    assert moved(change, 10_000, 50_000, 4).since_ms == 49_750  # type: ignore[union-attr]
    assert moved(change, 10_000, 50_000, AS_FAST_AS_POSSIBLE).since_ms == 50_000  # type: ignore[union-attr]


async def test_a_loop_plays_round_after_round_each_as_a_run_of_its_own(redis: Redis, tmp_path: Path) -> None:
    played = Played()
    recording = survey(str(a_recording(tmp_path / "class.jsonl")))
    async with background(replay(redis, KEYS, recording, some_settings(), AT_ONCE, played, loop=True)):
        while played.rounds < 2:
            await asyncio.sleep(0.01)
    runs = Counter(event.epoch for event in await published(redis))
    assert len(runs) >= 2
    state = await room_state(redis, KEYS)
    assert state.present == () and state.bot is None


async def test_a_replay_that_is_cut_short_leaves_nobody_behind(redis: Redis, tmp_path: Path) -> None:
    recording = survey(str(a_recording(tmp_path / "class.jsonl")))
    async with background(replay(redis, KEYS, recording, some_settings(), Pace(1), Played())):
        while not (await room_state(redis, KEYS)).present:
            await asyncio.sleep(0.01)
    state, events = await room_state(redis, KEYS), await published(redis)
    assert state.present == () and state.bot is None
    assert events[-1].typed().state == "stopping"  # type: ignore[union-attr]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


async def test_a_replay_waits_while_redis_is_away_and_loses_nothing(tmp_path: Path) -> None:
    file, played = a_recording(tmp_path / "class.jsonl"), Played()
    with running_redis(SERVER, "--appendonly", "yes", "--appendfsync", "always") as server:
        async with server.client() as redis, asyncio.timeout(30):
            settings = some_settings().model_copy(update={"redis_retry_seconds": 0.1})
            playing = asyncio.create_task(replay(redis, KEYS, survey(str(file)), settings, Pace(20), played))
            while played.events < 40:
                await asyncio.sleep(0.01)
            server.kill()
            await asyncio.sleep(0.3)
            server.start()
            await playing
            events = await published(redis)
    assert [without_times(event.typed()) for event in events] == [without_times(event.data) for event in events_in(file)]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"half": ', "$: EOF while parsing"),
        ("{}", "$.id: Field required"),
        ("future", "$.dataschema: schema version 2 is of the future"),
        ("again", "$.sequence: 2 comes again"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_played(server: RedisServer, tmp_path: Path, line: str, says: str) -> None:
    file = a_recording(tmp_path / "class.jsonl", 0, 1, 2)
    [*_, second, _] = texts = file.read_text().splitlines()
    line = {"future": texts[0].replace("schema:1:", "schema:2:"), "again": second}.get(line, line)
    file.write_text("\n".join([*texts[:2], line, *texts[2:]]))
    with pytest.raises(RecordingUnusable) as told:
        survey(str(file))
    assert str(told.value).startswith(f"{file}:3: {says}")
    assert main(["replay", str(file), "--room", "untouched", "--redis-url", server.url]) == 3
    assert asyncio.run(length(server, "untouched")) == 0


async def length(server: RedisServer, room: str) -> int:
    """How many entries a room's stream has."""
    async with server.client() as redis:
        return int(await redis.xlen(Keys("classmood", room).events))


async def test_gaps_of_erased_events_are_closed(redis: Redis, tmp_path: Path) -> None:
    file = a_recording(tmp_path / "class.jsonl", 1, 2, 4, 9)
    await replay(redis, KEYS, survey(str(file)), some_settings(), AT_ONCE, Played())
    assert [event.sequence for event in await published(redis)] == [1, 2, 3, 4]


def test_a_replay_goes_where_it_was_recorded_or_where_it_is_told_but_never_beside_a_bot(
    server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def prepare() -> None:
        async with server.client() as redis:
            await redis.flushall()
            await redis.set(Keys("classmood", "live").bot, "{}")

    asyncio.run(prepare())
    file = str(a_recording(tmp_path / "class.jsonl", *range(5)))
    play = ["replay", file, "--speed", "max", "--redis-url", server.url]
    assert [main([*play, "--room", room]) for room in ("example", "other", "live")] == [0, 0, 2]
    assert "classmood: a bot is live in room live" in capsys.readouterr().err
    assert main([*play, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 5
    assert main([*play, "--room", "live", "--force"]) == 0
    assert main([*play, "--room", ""]) == 2 and "without a name" in capsys.readouterr().err
    # the first room was played into twice: the second time begins with those whom the first left behind
    assert [asyncio.run(length(server, room)) for room in ("other", "live")] == [5, 5]
    assert asyncio.run(length(server, "example")) > 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replay", "-"], "a recording is read twice"),
        (["replay", "pipe"], "a recording is read twice"),
        (["replay", "two rooms"], "holds the rooms a, b: --room says"),
        (["record", ""], "without a name"),
        (["record", "algebra", "--out", "there.jsonl"], "there.jsonl already exists: --force overwrites it"),
        (["record", "algebra", "--out", "marked.jsonl.gz"], "marked.markers.jsonl already exists: --force overwrites it"),
        (["record", "algebra", "--out", "declared.jsonl"], "declared.basis.jsonl already exists: --force overwrites it"),
        (["record", "algebra", "--out", "."], ". is a folder: name a file in it"),
        (["record", "algebra", "--out", "/", "--force"], "/ is a folder: name a file in it"),
        (["record", "algebra", "--out", "no/such/folder"], "cannot write no/such/folder: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    event = json.loads((FIXTURES / "events/classmood.emotion.changed.json").read_text())
    other = {**event, "id": event["id"] + "0", "sequence": event["sequence"] * 10, "source": "/classmood/rooms/b"}
    Path("two rooms").write_text(json.dumps({**event, "source": "/classmood/rooms/a"}) + "\n" + json.dumps(other))
    os.mkfifo("pipe")
    Path("there.jsonl").write_text("mine")
    Path("marked.markers.jsonl").write_text("of marked.jsonl")
    Path("declared.basis.jsonl").write_text("of declared.jsonl.gz")
    assert main(arguments) in (2, 3)
    [line] = capsys.readouterr().err.splitlines()
    assert says in line and Path("there.jsonl").read_text() == "mine"
    assert Path("marked.markers.jsonl").read_text() == "of marked.jsonl"


# record


async def recording(redis: Redis, recorder: Recorder, *, from_start: bool = False) -> None:
    await record(redis, KEYS, recorder, from_start=from_start, seconds=None, wait_seconds=0.05)


@pytest.mark.parametrize("name", ["class.jsonl", "class.jsonl.gz"])
async def test_what_is_recorded_is_the_stream_word_for_word(redis: Redis, tmp_path: Path, name: str) -> None:
    sender, file = publisher(redis), tmp_path / name
    sender.publish(joined("before"))
    await sender.flush(5)
    with opened_for_lines(file, force=False) as lines:
        recorder = Recorder(lines)
        async with background(recording(redis, recorder, from_start=True)):
            for number in range(600):  # more than a page
                sender.publish(joined(f"s{number}"))
            await sender.flush(20)
            while recorder.events < 601:
                await asyncio.sleep(0.01)
    assert [event.to_json() for event in events_in(file)] == [event.to_json() for event in await published(redis)]
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_recording_begins_now_if_not_told_otherwise(redis: Redis, tmp_path: Path) -> None:
    sender, file = publisher(redis), tmp_path / "class.jsonl"
    sender.publish(joined("before"))
    await sender.flush(5)
    with opened_for_lines(file, force=False) as lines:
        recorder = Recorder(lines)
        async with background(recording(redis, recorder)):
            await asyncio.sleep(0.2)
            sender.publish(joined("after"))
            await sender.flush(5)
            while not recorder.events:
                await asyncio.sleep(0.01)
    assert [event.subject for event in events_in(file)] == ["after"]


def test_a_file_that_is_overwritten_stays_as_it_was_until_the_first_line_and_is_the_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "class.jsonl"
    file.write_text("a class of yesterday, which was much longer than this one\n")
    file.chmod(0o644)
    with pytest.raises(KeyboardInterrupt), opened_for_lines(file, force=True):
        raise KeyboardInterrupt
    assert file.read_text().startswith("a class of yesterday")
    with opened_for_lines(file, force=True) as lines:
        lines.write(b"{}\n")
    assert file.read_bytes() == b"{}\n" and file.stat().st_mode & 0o777 == 0o600


def test_a_new_file_that_stays_empty_is_removed_also_where_a_recording_is_ended(tmp_path: Path) -> None:
    for name in ("class.jsonl", "class.jsonl.gz"):
        with pytest.raises(KeyboardInterrupt), opened_for_lines(tmp_path / name, force=False):
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("appending", [True, False])
def test_a_full_disk_costs_nothing_of_what_stood_before_in_the_output_of_a_shell(tmp_path: Path, appending: bool) -> None:
    path = tmp_path / "all.jsonl"
    path.write_bytes(b"before\n" * 1000)
    with path.open("ab" if appending else "r+b", buffering=0) as output:
        if not appending:
            output.seek(0, os.SEEK_END)  # where the previous program in the same shell stopped
        file = PlainFile(output, "standard output")
        file.write(b"one\n")
        with no_file_longer_than(7010), pytest.raises(RecordingUnusable, match="cannot write standard output"):
            file.write(b"two, which is longer\n")
    assert path.read_bytes() == b"before\n" * 1000 + b"one\n"


async def test_a_lesson_without_marks_leaves_none_of_an_earlier_recording(redis: Redis, tmp_path: Path) -> None:
    recording = tmp_path / "class.jsonl.gz"
    marks_file(recording).write_text("yesterday's\n")
    assert await keep_marks(redis, KEYS, recording, 0) == 0
    assert not marks_file(recording).exists()


async def test_what_is_no_event_is_left_out_and_counted_and_what_is_newer_is_kept(redis: Redis, tmp_path: Path) -> None:
    event = json.loads((FIXTURES / "events/classmood.emotion.changed.json").read_text())
    newer = {**event, "dataschema": "urn:classmood:schema:2:classmood.emotion.changed", "mood": 1}
    file = tmp_path / "class.jsonl"
    with opened_for_lines(file, force=False) as lines:
        recorder = Recorder(lines)
        recorder.add([Entry("1-0", None), Entry("1-1", "hello"), Entry("1-2", json.dumps({**event, "time": 1}))])
        recorder.add([Entry("2-0", json.dumps(newer)), Entry("2-1", json.dumps(event, indent=2))])
    assert (recorder.events, recorder.left_out) == (2, 3)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [newer, event]


async def published_and_recorded(sender: Publisher, recorder: Recorder, ids: list[str]) -> None:
    """Publish that those have joined, and wait until all of it is recorded."""
    wanted = recorder.events + len(ids)
    for each in ids:
        sender.publish(joined(each))
    await sender.flush(10)
    while recorder.events < wanted:
        await asyncio.sleep(0.01)


async def test_a_recording_outlives_a_restart_of_redis_without_a_gap_or_a_repeat(tmp_path: Path) -> None:
    file = tmp_path / "class.jsonl"
    with (
        running_redis(SERVER, "--appendonly", "yes", "--appendfsync", "always") as server,
        opened_for_lines(file, False) as lines,
    ):
        recorder = Recorder(lines)
        async with server.client() as redis, background(recording(redis, recorder, from_start=True)), asyncio.timeout(30):
            sender = publisher(redis)
            for part in range(3):
                await published_and_recorded(sender, recorder, [f"s{part}{number}" for number in range(10)])
                server.kill()
                await asyncio.sleep(0.1)
                server.start()
    assert [event.sequence for event in events_in(file)] == list(range(1, 31))


async def test_a_recording_repeats_nothing_that_a_redis_without_its_newest_entries_still_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "class.jsonl"
    with running_redis(SERVER) as server, opened_for_lines(file, False) as lines:
        recorder = Recorder(lines)
        async with server.client() as redis, background(recording(redis, recorder, from_start=True)), asyncio.timeout(30):
            sender = publisher(redis)
            for part in range(2):
                await published_and_recorded(sender, recorder, [f"s{part}{number}" for number in range(5)])
                if part == 0:
                    await redis.save()
            server.kill()
            server.start()
            while "lost its newest entries" not in caplog.text:
                await asyncio.sleep(0.01)
            sender.publish(joined("after"))
            await sender.flush(10)
            while recorder.events < 22:  # the newcomer, and everybody once more under a new number
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
    assert [event.sequence for event in events_in(file)] == list(range(1, 23))
    assert "from its beginning" not in caplog.text


async def test_a_recording_goes_on_with_a_stream_that_began_anew(tmp_path: Path) -> None:
    file = tmp_path / "class.jsonl"
    with running_redis(SERVER) as server, opened_for_lines(file, False) as lines:
        recorder = Recorder(lines)
        async with server.client() as redis, background(recording(redis, recorder, from_start=True)), asyncio.timeout(30):
            text = (FIXTURES / "events/classmood.emotion.changed.json").read_text()
            for stream_id, so_far in (("9999999999999-0", 1), ("5-0", 2)):  # the server's clock was set back
                await redis.xadd(KEYS.events, {"event": text}, id=stream_id)
                while recorder.events < so_far:
                    await asyncio.sleep(0.01)
                server.kill()
                await asyncio.sleep(0.1)
                server.start()
    assert len(events_in(file)) == 2


async def test_events_that_were_trimmed_before_they_were_read_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    event = json.loads((FIXTURES / "events/classmood.emotion.changed.json").read_text())
    with opened_for_lines(tmp_path / "class.jsonl", False) as lines:
        recorder = Recorder(lines)
        for sequence in (5, 6, 9):
            changed = {**event, "id": f"1-{sequence}", "epoch": "1", "sequence": sequence}
            recorder.add([Entry(f"{sequence}-0", json.dumps(changed))])
    assert (recorder.sequences.missing, recorder.gaps) == (2, 1) and "9 follows 6: 2 missing" in caplog.text


def test_of_many_gaps_the_first_are_told_and_the_rest_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    event = json.loads((FIXTURES / "events/classmood.emotion.changed.json").read_text())
    with opened_for_lines(tmp_path / "class.jsonl", False) as lines:
        recorder = Recorder(lines)
        for sequence in range(1, 2 * MOST_WARNINGS + 4, 2):
            changed = {**event, "id": f"1-{sequence}", "epoch": "1", "sequence": sequence}
            recorder.add([Entry(f"{sequence}-0", json.dumps(changed))])
    assert recorder.gaps == recorder.sequences.missing == MOST_WARNINGS + 1
    assert len(caplog.records) == MOST_WARNINGS


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Behaves like a disk that is full beyond that size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_ends_in_one_line_and_leaves_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "class.jsonl"
    with file.open("wb", buffering=0) as raw:
        plain = PlainFile(raw, "class.jsonl")
        plain.write(b"whole\n")
        with no_file_longer_than(10), pytest.raises(RecordingUnusable, match=r"cannot write class\.jsonl: File too large"):
            plain.write(b"another\nand another\n")
    assert file.read_text() == "whole\n"


def test_ctrl_c_ends_a_recording_with_whole_lines(server: RedisServer, tmp_path: Path) -> None:
    out, url = tmp_path / "class.jsonl.gz", f"--redis-url={server.url}"
    file = str(a_recording(tmp_path / "played.jsonl"))
    with started(tmp_path, "record", "ctrl-c", "--from-start", "--out", str(out), url) as recording:
        assert ended(tmp_path, "replay", file, "--room", "ctrl-c", "--speed", "max", url)[0] == 0
        until(lambda: out.exists() and out.stat().st_size > 0)
        recording.signal(signal.SIGINT)
        assert recording.exit_code() == 130
        assert "events recorded" in recording.err
    sequences = [event.sequence for event in events_in(out)]
    # at least a page; how many more it had time for is not known
    assert sequences == list(range(1, len(sequences) + 1)) and len(sequences) >= 100


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux makes a pipe as small as is wanted")
@pytest.mark.parametrize("name", ["pipe", "pipe.gz"])
def test_a_recording_whose_reader_pauses_can_be_ended(server: RedisServer, tmp_path: Path, name: str) -> None:
    file = str(a_recording(tmp_path / "played.jsonl", *range(1000)))
    assert main(["replay", file, "--room", name, "--speed", "max", "--redis-url", server.url]) == 0
    os.mkfifo(tmp_path / name)
    reader = os.open(tmp_path / name, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    record_it = ("record", name, "--from-start", "--out", name, "--force", "--redis-url", server.url)
    with started(tmp_path, *record_it) as recording:
        until(lambda: waiting_in(reader) == 4096)
        recording.signal(signal.SIGTERM)
        assert recording.exit_code(5) == 0
    os.close(reader)
    assert "0 events recorded" in recording.err and "Traceback" not in recording.err


def waiting_in(pipe: int) -> int:
    """How many bytes are waiting to be read."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def test_at_the_end_it_is_told_how_much_is_missing(
    server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = json.loads((FIXTURES / "events/classmood.emotion.changed.json").read_text())
    events = [json.dumps({**event, "id": f"1-{each}", "epoch": "1", "sequence": each}) for each in (1, 2, 5, 7)]

    async def add() -> None:
        async with server.client() as redis:
            for text in events:
                await redis.xadd(Keys("classmood", "gaps").events, {"event": text})

    asyncio.run(add())
    out = str(tmp_path / "class.jsonl")
    assert main(["record", "gaps", "--from-start", "--seconds", "0.5", "--out", out, "--redis-url", server.url]) == 0
    assert capsys.readouterr().err.endswith("4 events recorded, 3 missing in 2 gaps\n")


def test_a_silent_room_leaves_no_file(server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "class.jsonl"
    assert main(["record", "nowhere", "--seconds", "0.1", "--out", str(out), "--redis-url", server.url]) == 6
    assert capsys.readouterr().err.endswith("classmood: no event arrived in room nowhere\n") and not out.exists()


@pytest.mark.slow
def test_the_example_class_is_what_its_script_makes() -> None:
    with running_redis(SERVER) as server, gzip.open(EXAMPLE, "rt") as lines:
        assert asyncio.run(example_class(server)) == lines.read().splitlines()
