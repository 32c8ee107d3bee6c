"""What a bot at work writes, and where: events to Redis, lines to its log, and no picture anywhere; Linux only."""

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from bot.together import student_name
from tests.commands import Running, started, until
from tests.redis_servers import RedisServer, free_port, needs_redis
from tests.videos import portrait, write_video

LONGEST_VALUE = 2000
"""Bytes; as a JPEG, even a webcam's picture of 64 by 48 pixels has more."""

PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"/9j/", b"iVBORw0KGgo", b"UklGR", b"ftypavif")
"""The first bytes of picture files, raw and in base64."""

ESTABLISHED = "01"
"""The state of an open connection in /proc/net/tcp."""

EVENTS = "classmood:{algebra}:events"

pytestmark = [
    needs_redis,
    pytest.mark.skipif(sys.platform != "linux", reason="what a process has open is in /proc on Linux alone"),
]


def descriptors(pid: int) -> Iterator[tuple[str, int, int]]:
    """What a process has open: path, mode, and the flags that it was opened with."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            details = dict(line.split(":") for line in Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text().splitlines()[:3])
            yield str(entry.readlink()), entry.stat().st_mode, int(details["flags"].strip(), 8)


def opened_for_writing(pid: int) -> set[str]:
    """The regular files that a process has open for writing, including deleted ones and those only in memory."""
    return {path for path, mode, flags in descriptors(pid) if stat.S_ISREG(mode) and flags & os.O_ACCMODE != os.O_RDONLY}


def connections(pid: int) -> set[tuple[int, int]]:
    """The local and remote ports of a process' TCP connections."""
    sockets = {path for path, _, _ in descriptors(pid)}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]
    return {(_port(row[1]), _port(row[2])) for row in rows if f"socket:[{row[9]}]" in sockets and row[3] == ESTABLISHED}


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def values(client: Any) -> Iterator[bytes]:
    """Every key of a Redis and everything that it holds, piece by piece."""
    for key in client.scan_iter("*"):
        yield key
        match client.type(key):
            case b"stream":
                yield from (part for _, fields in client.xrange(key) for pair in fields.items() for part in pair)
            case b"hash":
                yield from (part for pair in client.hgetall(key).items() for part in pair)
            case b"zset":
                yield from client.zrange(key, 0, -1)
            case b"string":
                yield client.get(key)
            case other:
                pytest.fail(f"nobody looks into a {other!r}")


def test_the_watch_sees_a_file_that_is_written_and_none_that_is_read(tmp_path: Path) -> None:
    with (tmp_path / "frame.jpg").open("wb"):
        assert str(tmp_path / "frame.jpg") in opened_for_writing(os.getpid())
    with (tmp_path / "frame.jpg").open("rb"):
        assert str(tmp_path / "frame.jpg") not in opened_for_writing(os.getpid())
    hidden = os.memfd_create("frame")
    assert any("memfd:frame" in path for path in opened_for_writing(os.getpid()))
    os.close(hidden)


@pytest.mark.slow
def test_a_bot_at_work_writes_to_its_log_and_to_redis_and_no_picture_to_either(tmp_path: Path, server: RedisServer) -> None:
    client: Any = Redis.from_url(server.url)
    client.flushall()
    clip, port = write_video(tmp_path / "ada.mkv", (320, 180), 10, 2, portrait(320, 180)), free_port()
    publish = ("simulate", "local://algebra", "--students", "2", "--video", str(clip), "--port", str(port))
    (bots := tmp_path / "bot").mkdir()
    with started(bots, "join", "local://algebra", "--port", str(port), CLASSMOOD_REDIS_URL=server.url) as bot:
        until(lambda: client.exists(EVENTS) == 1)
        (others := tmp_path / "students").mkdir()
        with started(others, *publish):
            watch(bot, bots, client, {port, server.port})
        pages, events = list(values(client)), [json.loads(fields[b"event"]) for _, fields in client.xrange(EVENTS)]
        log = bot.out + bot.err
    client.close()
    assert max(map(len, pages)) <= LONGEST_VALUE
    told = [*pages, log.encode()]
    assert not [start for start in PICTURES if any(start in page for page in told)]
    assert not [page for page in told for number in range(2) if student_name(number).encode() in page]
    named = {event["data"]["name"] for event in events if event["type"] == "classmood.participant.joined"}
    assert len(named) == 2 and not [name for name in named if name in log]


def watch(bot: Running, folder: Path, client: Any, ports: set[int]) -> None:
    """Check again and again what the bot has open, until it has read both students for a while."""
    log, reached = {str(path) for path in folder.glob("0.*")}, set[tuple[int, int]]()

    def has_read_enough() -> bool:
        assert opened_for_writing(bot.pid) <= log
        reached.update(connections(bot.pid))
        return sum(b'"classmood.emotion.sample"' in fields[b"event"] for _, fields in client.xrange(EVENTS)) >= 8

    until(has_read_enough)
    assert reached and not [pair for pair in reached if not ports.intersection(pair)]
    assert {path.name for path in folder.rglob("*")} == {"0.out", "0.err", "tmp"}
