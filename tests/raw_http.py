"""HTTP as no well-behaved client speaks it: raw bytes over a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bot.rooms.local import LocalRoom


@asynccontextmanager
async def connected(port: int, source: str = "127.0.0.1") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection between two addresses of this machine, from `source` to a port, while the block runs."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def exchange(room: LocalRoom, request: str) -> str:
    """Send the request, and read until the room has nothing more to say."""
    async with connected(port_of(room)) as (reader, writer):
        writer.write(request.encode("latin-1"))
        return await until_cut(reader)


async def until_cut(reader: asyncio.StreamReader, seconds: float = 10) -> str:
    """What arrives until the other side closes the connection."""
    said = b""
    async with asyncio.timeout(seconds):
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                said += data
    return said.decode("latin-1")


def port_of(room: LocalRoom) -> int:
    """The TCP port that the room listens on."""
    return int(room.url.rpartition(":")[2])
