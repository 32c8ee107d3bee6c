"""The Redis server that comes with the package: it is real, it is ours, and it leaves nothing behind."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.embedded_redis import embedded_redis, find_server
from bot.errors import Trouble
from tests.redis_servers import PROGRAMS

needs_server = pytest.mark.skipif(PROGRAMS["packaged"] is None, reason="no redis-server")

HOLDER = """
import asyncio
from redis.asyncio import Redis
from bot.embedded_redis import embedded_redis

async def main():
    async with embedded_redis() as url, Redis.from_url(url) as redis:
        info = await redis.info("server")
        folder = (await redis.config_get("dir"))["dir"]
        print(info["process_id"], url.split(":")[-1].split("/")[0], folder, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def is_running(process_id: int) -> bool:
    stat = Path(f"/proc/{process_id}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # what it waits for sends no event
            await asyncio.sleep(0.01)


async def whereabouts(url: str) -> tuple[int, int, Path]:
    """A server's process id, port and folder."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        info = await redis.info("server")
        return info["process_id"], info["tcp_port"], Path((await redis.config_get("dir"))["dir"])


@needs_server
async def test_it_serves_on_loopback_and_leaves_nothing_behind() -> None:
    async with embedded_redis() as url:
        process_id, port, folder = await whereabouts(url)
        async with Redis.from_url(url, decode_responses=True) as redis:
            assert await redis.set("key", "value") and await redis.get("key") == "value"
            settings = await redis.config_get("*")
        assert (settings["bind"], settings["protected-mode"], settings["save"], settings["appendonly"]) == (
            "127.0.0.1",
            "yes",
            "",
            "no",
        )
        assert is_running(process_id) and folder.is_dir()
    assert not is_running(process_id) and not answers(port) and not folder.exists()


@needs_server
async def test_two_of_them_do_not_meet() -> None:
    async with embedded_redis() as one, embedded_redis() as other:
        assert one != other


@needs_server
async def test_cancellation_leaves_nothing_behind() -> None:
    found: asyncio.Future[tuple[int, int, Path]] = asyncio.get_running_loop().create_future()

    async def hold() -> None:
        async with embedded_redis() as url:
            found.set_result(await whereabouts(url))
            await asyncio.sleep(60)

    holding = asyncio.create_task(hold())
    process_id, port, folder = await found
    holding.cancel()
    await asyncio.wait([holding])
    assert not is_running(process_id) and not answers(port) and not folder.exists()


@pytest.fixture
def holder() -> Iterator[tuple[subprocess.Popen[str], int, int, Path]]:
    """Another process that holds a server, with the server's process id, port and folder."""
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, text=True
    ) as process:
        assert process.stdout is not None
        process_id, port, folder = process.stdout.readline().split(maxsplit=2)
        yield process, int(process_id), int(port), Path(folder.strip())
        process.kill()
    shutil.rmtree(folder.strip(), ignore_errors=True)


@needs_server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_a_signal_to_the_whole_process_group_leaves_no_server(
    holder: tuple[subprocess.Popen[str], int, int, Path], number: signal.Signals
) -> None:
    if number is signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux ends a child with its parent")
    process, process_id, port, folder = holder
    assert is_running(process_id) and answers(port)
    os.killpg(process.pid, number)
    await asyncio.to_thread(process.wait)
    await until(lambda: not is_running(process_id) and not answers(port))
    assert folder.exists() == (number is signal.SIGKILL)


def test_without_a_server_program_one_line_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Trouble, match=r"^no Redis server: pip install [^\n]*$"):
        find_server(packaged=())


def test_a_server_on_the_path_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server(packaged=[("no_such_package", "bin/redis-server")]) == program


async def test_a_server_that_does_not_start_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(Trouble, match="redis-server does not start: it said nothing"):
        async with embedded_redis(broken):
            raise AssertionError("it cannot start")
