"""The HTTP connections of a room, with limits on their number and on how long each may be silent."""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from bot.rooms.headers import protect
from bot.rooms.refusals import Refusals
from bot.rooms.waiting import in_time
from bot.tasks import background
from dashboard.proxies import Network, address_from, is_within, network_of

logger = logging.getLogger(__name__)

IDLE_SECONDS = 20.0
"""How long a connection may wait before a further request."""

LINGERING_SECONDS = 0.5
"""How long the rest of a refused body is discarded: if cut at once, its sender might not learn why it was refused."""

SHUTDOWN_SECONDS = 2.0
BREATH_SECONDS = 0.2

NO_PLACE = "connection_place"
"""The reason under which connections without a place are counted."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may take.

    `request_seconds` is for its TLS handshake, and then again for the headers of its first request. `reading_seconds` is for
    reading enough of an answer when the transport's buffer is full, and for reading the rest at the end.
    """

    request_seconds: float = 10.0
    reading_seconds: float = 20.0


class Visit(web.RequestHandler):
    """One HTTP connection, which is cut if its first request does not come in time or its answers are not read in time."""

    def __init__(self, server: web.Server, patience: Patience) -> None:
        # bodies are not decompressed: an offer is small anyway, and a decompression bomb would not be
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            # an access log would contain names and session secrets
            access_log=None,  # type: ignore[arg-type]  # the base class accepts None
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGERING_SECONDS,
            auto_decompress=False,
        )
        self._lost = asyncio.Event()
        self._answered = asyncio.Event()
        self._patience = patience
        self._abort: Callable[[], None] | None = None
        self._request_deadline: asyncio.TimerHandle | None = None
        self._reading_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop, after the TLS handshake."""
        super().connection_made(transport)
        # a cast, because uvloop's transports are not subclasses of asyncio's
        self._abort = cast(asyncio.Transport, transport).abort
        self._request_deadline = self._cut_in(self._patience.request_seconds)

    def request_came(self) -> None:
        """Note that the headers of a request are complete."""
        if self._request_deadline is not None:
            self._request_deadline.cancel()

    def pause_writing(self) -> None:
        """Called by the event loop when the transport's buffer is full."""
        super().pause_writing()
        self._reading_deadline = self._cut_in(self._patience.reading_seconds)

    def resume_writing(self) -> None:
        """Called by the event loop when enough of the buffer has been sent."""
        super().resume_writing()
        self._was_read()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop."""
        self.request_came()
        self._was_read()
        self._abort = None
        super().connection_lost(exc)
        self._lost.set()

    async def start(self) -> None:
        """Answer request after request, in a task of aiohttp that may outlive the connection."""
        try:
            await super().start()
        finally:
            self._answered.set()
            # a connection that is being closed lasts until everything is sent
            self._was_read()
            self._reading_deadline = self._cut_in(self._patience.reading_seconds)

    async def over(self) -> None:
        """Wait until the connection is lost and no answer is being worked on any more."""
        await self._lost.wait()
        await self._answered.wait()

    def _cut_in(self, seconds: float) -> asyncio.TimerHandle | None:
        """A timer that cuts the connection; None if it is lost already."""
        return self._abort and asyncio.get_running_loop().call_later(seconds, self._abort)

    def _was_read(self) -> None:
        if self._reading_deadline is not None:
            self._reading_deadline.cancel()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer a request that is not valid HTTP, or at which a handler failed.

        Unlike aiohttp's own, neither the answer nor the log repeats the request, because a malformed header may contain a token.
        """
        if status == 500:
            logger.error("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was already under way")
        text = "the room failed at this request" if status == 500 else "this is no HTTP request that the room understands"
        response = web.Response(status=status, text=text)
        protect(response)
        response.force_close()
        return response


class Front:
    """Accepts connections and holds each until it ends."""

    def __init__(
        self,
        server: web.Server,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        limit: int,
        proxies: tuple[Network, ...],
        patience: Patience,
    ) -> None:
        self._refusals = Refusals()
        self._server = server
        self._listener = listener
        self._tls = tls
        self._limit = limit
        self._proxies = proxies
        self._patience = patience
        self._closing = False
        self._visits: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return self._visits.total()

    @property
    def refused(self) -> int:
        """How many connections were refused because there was no place."""
        return self._refusals[NO_PLACE]

    async def close(self, runner: web.AppRunner) -> None:
        """Accept no more connections, and let the open ones finish; those that take too long are cut when `run` is cancelled."""
        self._closing = True
        await runner.cleanup()
        await in_time(self._empty, SHUTDOWN_SECONDS)

    async def run(self) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        async with asyncio.TaskGroup() as visits:
            while True:
                try:
                    connection, (host, *_) = await loop.sock_accept(self._listener)
                except OSError as error:
                    # the connection was gone before it was accepted, or no file descriptor is left
                    logger.warning("a connection could not be accepted: %s", error.strerror)
                    await asyncio.sleep(BREATH_SECONDS)
                    continue
                self._admit(visits, connection, host)

    def _admit(self, visits: asyncio.TaskGroup, connection: socket.socket, host: str) -> None:
        address = address_from(host)
        network = network_of(address)
        if self._closing or not self._has_place(network, is_proxy=is_within(address, self._proxies)):
            self._refusals.note(NO_PLACE)
            connection.close()
            return
        self._visits[network] += 1
        self._empty.clear()
        visits.create_task(self._hold(connection, network))

    def _has_place(self, network: str, *, is_proxy: bool) -> bool:
        # one network gets at most two thirds of the places
        theirs = self._limit if is_proxy else 2 * self._limit // 3
        return len(self) < self._limit and self._visits[network] < theirs

    async def _hold(self, connection: socket.socket, network: str) -> None:
        visit = Visit(self._server, self._patience)
        try:
            transport = await self._open(connection, visit)
            if transport is not None:
                await self._until_over(visit, transport)
        finally:
            self._visits[network] -= 1
            if not self._visits[network]:
                del self._visits[network]
            if not self._visits:
                self._empty.set()

    async def _open(self, connection: socket.socket, visit: Visit) -> asyncio.Transport | None:
        """The connection's transport; None if the TLS handshake failed or took too long."""
        loop = asyncio.get_running_loop()
        handshake_seconds = self._patience.request_seconds if self._tls else None
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: visit, connection, ssl=self._tls, ssl_handshake_timeout=handshake_seconds
            )
        except OSError:
            connection.close()
            return None
        return transport

    async def _until_over(self, visit: Visit, transport: asyncio.Transport) -> None:
        try:
            await visit.over()
        finally:
            transport.abort()


@asynccontextmanager
async def serving(
    application: web.Application,
    listener: socket.socket,
    tls: ssl.SSLContext | None,
    *,
    limit: int,
    proxies: tuple[Network, ...] = (),
    patience: Patience = Patience(),
) -> AsyncIterator[Front]:
    """Serve an application on a listening socket while the block runs, to at most `limit` connections at a time."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    assert runner.server is not None, "it is set up"
    front = Front(runner.server, listener, tls, limit, proxies, patience)
    async with background(front.run()):
        try:
            yield front
        finally:
            await front.close(runner)
