"""Talking to a Janus gateway over its WebSocket: one session, and handles of plugins in it.

Source: https://janus.conf.meetecho.com/docs/rest.html#WS
"""

import asyncio
import json
import logging
import os
import secrets
import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from bot.errors import RoomRefused
from bot.rooms.janus_messages import Envelope, read_envelope
from bot.rooms.waiting import in_time
from bot.tasks import alone, background

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
KEEPALIVE_SECONDS = 20.0
"""Time between keepalive messages: Janus ends a session from which it has heard nothing for 60 s."""

PING_SECONDS = 5.0
"""Time between pings of the WebSocket itself: a server that silently vanished is noticed within one and a half times this."""

GOODBYE_SECONDS = 2.0
MAX_EVENTS = 10_000
"""Most events that may wait at a handle. More end the session, because losing one would leave a wrong picture of the room."""

LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024
"""Largest message that is accepted; an offer for 200 participants takes about 200 kB."""

FIRST_MULTISTREAM_VERSION = 1000
NO_SUCH_SESSION = 458


HINTS = {
    403: "; see CLASSMOOD_JANUS_API_SECRET and CLASSMOOD_JANUS_TOKEN",
    429: "; see CLASSMOOD_JANUS_PIN",
    433: "; see CLASSMOOD_JANUS_PIN and CLASSMOOD_JANUS_TOKEN",
}
"""The settings that an error code is about."""


class Unreachable(RoomRefused):
    """The server does not answer, or no longer; it may do so later."""


class SessionOver(Unreachable):
    """A server that no longer has the session."""


class JanusRefused(RoomRefused):
    """Janus answered a request with an error; `code` is its number for it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"janus refuses ({code}): {' '.join(reason.split())[:200]}{HINTS.get(code, '')}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Access:
    """The address of a gateway and the secrets it wants, which `repr` leaves out."""

    url: str
    token: str = field(default="", repr=False)
    api_secret: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None

    @property
    def place(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class _Question:
    """A request that waits for its answer, which a plugin sends after an acknowledgement."""

    answer: asyncio.Future[Envelope]
    acknowledgement_is_enough: bool


class JanusHandle:
    """A plugin's handle, which sends requests and receives events; `notify` is called when there is an event to `pop`."""

    def __init__(self, session: "JanusSession", handle_id: int, notify: Callable[[], None]) -> None:
        self.id = handle_id
        self._session = session
        self._notify = notify
        self._events: deque[Envelope] = deque()

    async def request(self, body: Mapping[str, Any], jsep: Mapping[str, Any] | None = None) -> Envelope:
        """The plugin's answer to a request; raises JanusRefused with its error, or Unreachable if no answer comes."""
        extra: dict[str, Any] = {"handle_id": self.id, "body": body} | ({"jsep": jsep} if jsep else {})
        answer = await self._session.request("message", **extra)
        code = answer.plugin_data.get("error_code")
        if isinstance(code, int):
            raise JanusRefused(code, str(answer.plugin_data.get("error", "no reason given")))
        return answer

    def pop(self) -> Envelope | None:
        """Take the oldest event that waits; None if there is none."""
        return self._events.popleft() if self._events else None

    async def detach(self) -> None:
        """Give the handle back; does nothing more if the session is lost already."""
        self._session.forget(self)
        with suppress(RoomRefused):
            await self._session.request("detach", handle_id=self.id)

    def put(self, event: Envelope) -> bool:
        """Add an event; returns whether there was room for it."""
        if len(self._events) >= MAX_EVENTS:
            return False
        self._events.append(event)
        self._notify()
        return True

    def wake(self) -> None:
        """Wake whoever waits for an event, though there is none, because the session is lost."""
        self._notify()


class JanusSession:
    """A session with a gateway; `lost` is set when it has ended, `skipped` counts messages that could not be used."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, access: Access) -> None:
        self.lost = asyncio.Event()
        self.why = ""
        self.skipped: Counter[str] = Counter()
        self._error: type[Unreachable] = Unreachable
        self._socket = socket
        self._access = access
        self._id: int | None = None
        self._handles: dict[int, JanusHandle] = {}
        self._waiting: dict[str, _Question] = {}

    async def start(self, claimed: int | None = None) -> Self:
        """Check that Janus 1.0 or later answers, and open the session, or take over the one with the id `claimed`.

        Raises RoomRefused otherwise, and SessionOver if there is no session to take over.
        """
        info = await self._first_answer()
        if info.janus != "server_info" or info.version is None:
            raise RoomRefused(f"{self._access.place} is not a Janus gateway")
        if info.version < FIRST_MULTISTREAM_VERSION:
            raise RoomRefused(f"{self._access.place} is Janus {info.version_string}: 1.0 or later is needed")
        if claimed is None:
            self._id = (await self.request("create")).id_of_new
        else:
            self._id = claimed
            await self.request("claim")
        return self

    @property
    def id(self) -> int | None:
        """The number that Janus knows the session by; None before it is open."""
        return self._id

    async def _first_answer(self) -> Envelope:
        try:
            return await self.request("info")
        except Unreachable:
            if self.skipped["unreadable"]:
                raise RoomRefused(f"{self._access.place} is not a Janus gateway: its answer cannot be read") from None
            raise

    async def attach(self, plugin: str, notify: Callable[[], None] = lambda: None) -> JanusHandle:
        """A new handle of a plugin; raises JanusRefused if the gateway does not have the plugin."""
        handle_id = (await self.request("attach", plugin=plugin)).id_of_new
        if handle_id is None:
            raise RoomRefused(f"{self._access.place} attached no handle")
        return self.handle(handle_id, notify)

    def handle(self, handle_id: int, notify: Callable[[], None] = lambda: None) -> JanusHandle:
        """A handle that the session has in Janus already."""
        handle = self._handles[handle_id] = JanusHandle(self, handle_id, notify)
        return handle

    async def request(self, janus: str, *, seconds: float = ANSWER_SECONDS, **extra: Any) -> Envelope:
        """The answer to a request; raises JanusRefused with the gateway's error, or Unreachable if no answer comes."""
        transaction = secrets.token_hex(8)
        answer: asyncio.Future[Envelope] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = _Question(answer, janus == "keepalive")
        try:
            async with asyncio.timeout(seconds):
                await self._send({"janus": janus, "transaction": transaction, **extra})
                return await answer
        except TimeoutError:
            self.lose(f"no answer in {seconds:.0f} s")
            raise self._gone() from None
        finally:
            del self._waiting[transaction]

    def lose(self, why: str, error: type[Unreachable] = Unreachable) -> None:
        """Give the session up, and raise `error` for everybody who waits for it; does nothing if it is lost already."""
        if self.lost.is_set():
            return
        self.why, self._error = why, error
        self.lost.set()
        for question in self._waiting.values():
            if not question.answer.done():
                question.answer.set_exception(self._gone())
        for handle in self._handles.values():
            handle.wake()

    def forget(self, handle: JanusHandle) -> None:
        """Hand no more events to a handle."""
        self._handles.pop(handle.id, None)

    async def read(self) -> None:
        """Handle what the gateway says, until the connection ends."""
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.take(message.data)
        code = self._socket.close_code
        self.lose(f"the connection ended ({code})" if code else "the connection was cut")

    def take(self, text: str) -> None:
        """Handle one message; one that cannot be read or belongs to no handle is counted and skipped."""
        envelope = read_envelope(text)
        if envelope is None:
            self.skipped["unreadable"] += 1
            if self._id is None:
                self.lose("it cannot be understood")
        elif envelope.janus == "timeout" or (envelope.error and envelope.error.code == NO_SUCH_SESSION):
            self.lose("the session timed out", SessionOver)
        elif not self._answered(envelope):
            self._deliver(envelope)

    async def keepalive(self) -> None:
        """Tell the gateway every KEEPALIVE_SECONDS that the session is still in use, until it is lost."""
        while not await in_time(self.lost, KEEPALIVE_SECONDS):
            with suppress(RoomRefused):
                await self.request("keepalive")

    async def destroy(self) -> None:
        """End the session at the gateway too, so that it does not linger until its timeout."""
        with suppress(RoomRefused):
            await self.request("destroy", seconds=GOODBYE_SECONDS)
        self.lose("ended")

    def _answered(self, envelope: Envelope) -> bool:
        """Pass the message to the request that it answers; returns whether it needs no further handling."""
        question = self._waiting.get(envelope.transaction or "")
        if question is None or question.answer.done():
            return envelope.janus in ("ack", "success", "error")  # answers to an abandoned request
        if envelope.error is not None:
            question.answer.set_exception(JanusRefused(envelope.error.code, envelope.error.reason))
        elif envelope.janus != "ack" or question.acknowledgement_is_enough:
            question.answer.set_result(envelope)
        return True

    def _deliver(self, envelope: Envelope) -> None:
        handle = self._handles.get(envelope.sender or 0)
        if handle is None:
            self.skipped["nobody's"] += 1
        elif not handle.put(envelope):
            self.lose(f"{MAX_EVENTS} events were not read in time")

    async def _send(self, message: dict[str, Any]) -> None:
        if self.lost.is_set():
            raise self._gone()
        if self._id is not None:
            message["session_id"] = self._id
        message |= {"token": self._access.token} if self._access.token else {}
        message |= {"apisecret": self._access.api_secret} if self._access.api_secret else {}
        try:
            await self._socket.send_str(json.dumps(message))
        except (ConnectionError, aiohttp.ClientError) as error:
            self.lose(f"the connection was cut: {type(error).__name__}")
            raise self._gone() from None

    def _gone(self) -> Unreachable:
        return self._error(f"{self._access.place} is gone: {self.why}")


@asynccontextmanager
async def janus_session(access: Access, claimed: int | None = None) -> AsyncIterator[JanusSession]:
    """A session with the gateway while the block runs: a new one, or the one with the id `claimed`, taken over.

    Raises Unreachable if no server answers, SessionOver if Janus does not have the claimed session, RoomRefused if the server is
    not Janus.
    """
    with alone(RoomRefused):
        async with AsyncExitStack() as stack:
            yield await _opened(stack, access, claimed)


async def _opened(stack: AsyncExitStack, access: Access, claimed: int | None) -> JanusSession:
    client = await stack.enter_async_context(aiohttp.ClientSession())
    socket = await stack.enter_async_context(await _connected(client, access))
    session = JanusSession(socket, access)
    await stack.enter_async_context(background(session.read(), session.keepalive()))
    stack.push_async_callback(session.destroy)
    return await session.start(claimed)


async def _connected(client: aiohttp.ClientSession, access: Access) -> aiohttp.ClientWebSocketResponse:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            socket = await client.ws_connect(
                access.url,
                protocols=("janus-protocol",),
                heartbeat=PING_SECONDS,
                max_msg_size=LARGEST_MESSAGE_BYTES,
                ssl=access.tls or True,
            )
    except TimeoutError:  # before OSError, because it is a subclass
        raise Unreachable(f"no server answers at {access.place} in {ANSWER_SECONDS:.0f} s") from None
    except aiohttp.WSServerHandshakeError as error:
        if error.status >= 500:  # from a proxy whose Janus is down
            raise Unreachable(f"no Janus behind {access.place}: it answered {error.status}") from None
        raise RoomRefused(f"{access.place} is not a Janus WebSocket: it answered {error.status}") from None
    except aiohttp.ClientSSLError as error:
        raise RoomRefused(f"no TLS with {access.place}: {_first_line(error)}") from None
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"no server answers at {access.place}: {_first_line(error)}") from None
    if socket.protocol != "janus-protocol":
        await socket.close()
        raise RoomRefused(f"{access.place} is not a Janus WebSocket: it does not speak janus-protocol")
    return socket


def _first_line(error: BaseException) -> str:
    """What is wrong in one line, without the address and objects that aiohttp adds."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    text = str(cause)
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and (cause.errno or 0) > 0:
        text = os.strerror(cause.errno or 0)  # its own text repeats the address
    return (text.splitlines() or [""])[0] or type(error).__name__
