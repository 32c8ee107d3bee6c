"""A room of replayed students: as much of a Janus gateway with its VideoRoom plugin as a participant who only watches needs.

    python -m bot.bench.replayed_room --students 50 --layer simulcast

It prints its port and room as one JSON line on standard output, and ends when its standard input does. Requests for what it
does not have get the errors of Janus.
Source: https://janus.conf.meetecho.com/docs/videoroom.html
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from bot.bench.packets import LAYERS, Layer, Recording, RtpStream, recorded
from bot.bench.replayed_offer import Section, offer_of
from bot.bench.sending import Replay
from bot.rooms.janus_messages import ALREADY_JOINED, INVALID_ELEMENT, NO_SUCH_FEED, NO_SUCH_ROOM, VIDEO_ROOM

ROOM = 4711
FIRST_FEED = 1001
VERSION, VERSION_NAME = 1102, "1.1.2"
UNKNOWN_REQUEST, NO_SUCH_SESSION, NO_SUCH_HANDLE, NO_SUCH_PLUGIN = 423, 458, 459, 460
PRIORITY = -10
LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024

Reply = dict[str, Any]


class Refused(Exception):
    """The answer to a request that cannot be fulfilled; `code` is Janus's error code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Room:
    """Who is in the room, what each of them sends, and what has been counted."""

    students: int
    recording: Recording
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def feeds(self) -> range:
        """The students' ids."""
        return range(FIRST_FEED, FIRST_FEED + self.students)

    def publishers(self) -> list[Reply]:
        """Everybody, as Janus describes publishers."""
        layers = {"simulcast": True} if self.recording.layer == "simulcast" else {}
        stream = {"type": "video", "mindex": 0, "mid": "0", "codec": "vp8", **layers}
        return [{"id": feed, "display": name_of(feed), "streams": [stream], "talking": False} for feed in self.feeds]

    def participants(self) -> list[Reply]:
        """Everybody, as Janus lists them."""
        return [{"id": feed, "display": name_of(feed), "publisher": True, "talking": False} for feed in self.feeds]


def name_of(feed: int) -> str:
    """The display name of a student."""
    return f"student {feed - FIRST_FEED + 1}"


class Subscriber:
    """A subscriber: the m-lines that it was offered, and whose stream each of them carries."""

    def __init__(self, room: Room, tell: Callable[[Reply], Awaitable[None]]) -> None:
        self._room = room
        self._tell = tell
        self._replay = Replay(room.recording, room.counts)
        self._feeds: list[int | None] = []
        self._streams: list[RtpStream | None] = []
        self._fresh: list[RtpStream] = []
        self._version = 0
        self._gathered = False
        self._task: asyncio.Task[None] | None = None

    async def subscribe(self, wishes: list[Any]) -> None:
        """Put streams on free m-lines, or on new ones; raises Refused if one of the feeds does not exist."""
        feeds = [self._checked(wish) for wish in wishes]
        for feed in feeds:
            if feed not in self._feeds:
                self._put(feed)
        if not self._gathered:
            await self._replay.gather()
            self._gathered = True

    def unsubscribe(self, wishes: list[Any]) -> None:
        """Free m-lines, which are named by their mid or by their feed."""
        for wish in wishes:
            for place, feed in enumerate(self._feeds):
                if feed is not None and (wish.get("sub_mid") == str(place) or wish.get("feed") == feed):
                    self._free(place)

    def configure(self, wishes: list[Any]) -> None:
        """Pause or resume streams."""
        for wish in wishes:
            place = int(wish.get("mid", -1))
            stream = self._streams[place] if 0 <= place < len(self._streams) else None
            if stream is not None and "send" in wish:
                self._replay.pause(stream.ssrc, not wish["send"])

    def start(self, answer: str) -> None:
        """Take the answer to the last offer, and send the streams that are new in it; the first answer starts the connection."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(answer))
            self._task.add_done_callback(_end_if_failed)
        elif self._replay.connected:
            self._play()

    def attached(self) -> list[Reply]:
        """Whose stream each m-line carries, as Janus reports it."""
        return [self._stream_of(place) for place in range(len(self._feeds))]

    def offer(self) -> Reply:
        """The session description that offers the present m-lines."""
        self._version += 1
        sections = [Section(str(place), stream) for place, stream in enumerate(self._streams)]
        return {"type": "offer", "sdp": offer_of(sections, self._replay.transport_lines, id(self), self._version)}

    async def close(self) -> None:
        """Stop sending, and close the connection."""
        await self._replay.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, answer: str) -> None:
        if await self._replay.connect(answer):
            await self._tell({"janus": "webrtcup"})
            self._play()
            await self._replay.run()
        await self._tell({"janus": "hangup", "reason": "DTLS alert" if self._replay.connected else "ICE failed"})

    def _play(self) -> None:
        self._replay.play(self._fresh)
        self._fresh = []

    def _checked(self, wish: Any) -> int:
        feed = wish.get("feed")
        if feed not in self._room.feeds:
            raise Refused(NO_SUCH_FEED, f"No such feed ({feed})")
        if self._room.recording.layer == "simulcast" and (wish.get("substream", 0) or wish.get("temporal", 0)):
            raise Refused(INVALID_ELEMENT, "of the layers, only the lowest was recorded")
        return int(feed)

    def _put(self, feed: int) -> None:
        if None not in self._feeds:
            self._feeds.append(None)
            self._streams.append(None)
        place = self._feeds.index(None)
        ssrc, rtx_ssrc, number = (secrets.randbits(bits) for bits in (32, 32, 15))
        stream = RtpStream(self._room.recording.layer, str(place), ssrc, rtx_ssrc, sequence_number=number)
        self._feeds[place], self._streams[place] = feed, stream
        self._fresh.append(stream)

    def _free(self, place: int) -> None:
        stream = self._streams[place]
        if stream is not None:
            self._replay.stop(stream.ssrc)
            self._fresh = [each for each in self._fresh if each is not stream]
        self._feeds[place] = self._streams[place] = None

    def _stream_of(self, place: int) -> Reply:
        feed = self._feeds[place]
        mline = {"mindex": place, "mid": str(place), "type": "video", "active": feed is not None}
        if feed is None:
            return mline
        source = {"feed_id": feed, "feed_mid": "0", "feed_display": name_of(feed)}
        return {**mline, **source, "send": True, "ready": False, "codec": "vp8"}


def _end_if_failed(task: asyncio.Task[None]) -> None:
    """End the process if sending has failed: otherwise the room would be measured as a quiet one."""
    if not task.cancelled() and (error := task.exception()):
        raise SystemExit("the room of replayed students failed") from error


class Handle:
    """One handle of the plugin, which belongs to a participant, to a subscriber, or to neither yet."""

    def __init__(self, room: Room, tell: Callable[[Reply], Awaitable[None]]) -> None:
        self._room = room
        self._tell = tell
        self._subscriber: Subscriber | None = None
        self._joined = False

    async def answer(self, body: Reply, jsep: Reply | None) -> tuple[Reply, Reply | None]:
        """The answer to a request: data, and a session description if there is one; raises Refused."""
        match body.get("request"), self._subscriber:
            case "join", None if not self._joined:
                return await self._join(body)
            case "join", _:
                raise Refused(ALREADY_JOINED, "Already in as a participant on this handle")
            case "listparticipants", _:
                return {"videoroom": "participants", "room": ROOM, "participants": self._room.participants()}, None
            case (("leave" | "configure"), None):
                return {"videoroom": "event", "room": ROOM, "configured": "ok"}, None
            case "start", Subscriber() as subscriber:
                if jsep is not None:
                    subscriber.start(str(jsep["sdp"]))
                return {"videoroom": "event", "room": ROOM, "started": "ok"}, None
            case "configure", Subscriber() as subscriber:
                subscriber.configure(body.get("streams", [body]))
                return {"videoroom": "event", "room": ROOM, "configured": "ok"}, None
            case ("update" | "subscribe" | "unsubscribe") as request, Subscriber() as subscriber:
                return await self._update(subscriber, body if request == "update" else {request: body.get("streams", [])})
        raise Refused(UNKNOWN_REQUEST, f"Unknown request '{body.get('request')}'")

    async def close(self) -> None:
        """Close the handle's connection, if it has one."""
        if self._subscriber is not None:
            await self._subscriber.close()

    async def _join(self, body: Reply) -> tuple[Reply, Reply | None]:
        if body.get("room") != ROOM:
            raise Refused(NO_SUCH_ROOM, f"No such room ({body.get('room')})")
        if body.get("ptype") == "publisher":
            self._joined = True
            us = {"id": secrets.randbits(48), "private_id": secrets.randbits(31)}
            publishers = self._room.publishers()
            return {"videoroom": "joined", "room": ROOM, "description": "replayed", **us, "publishers": publishers}, None
        subscriber = Subscriber(self._room, self._tell)
        await subscriber.subscribe(body.get("streams", []))
        self._subscriber = subscriber
        return {"videoroom": "attached", "room": ROOM, "streams": subscriber.attached()}, subscriber.offer()

    async def _update(self, subscriber: Subscriber, body: Reply) -> tuple[Reply, Reply | None]:
        subscriber.unsubscribe(body.get("unsubscribe", []))
        await subscriber.subscribe(body.get("subscribe", []))
        return {"videoroom": "updated", "room": ROOM, "streams": subscriber.attached()}, subscriber.offer()


class Gateway:
    """One connection to the gateway, with its session and handles."""

    def __init__(self, room: Room, socket: web.WebSocketResponse) -> None:
        self._room = room
        self._socket = socket
        self._session: int | None = None
        self._handles: dict[int, Handle] = {}

    async def serve(self) -> None:
        """Answer requests until the connection ends."""
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    await self._take(json.loads(message.data))
        finally:
            for handle in self._handles.values():
                await handle.close()

    async def _take(self, request: Reply) -> None:
        try:
            await self._answer(request)
        except Refused as refused:
            error = {"code": refused.code, "reason": str(refused)}
            await self._say({"janus": "error", "transaction": request.get("transaction"), "error": error})

    async def _answer(self, request: Reply) -> None:
        kind, to = request.get("janus"), {"transaction": request.get("transaction")}
        if kind in ("info", "create"):
            await self._say({**self._greeting(str(kind)), **to})
            return
        if request.get("session_id") != self._session:
            raise Refused(NO_SUCH_SESSION, f"No such session {request.get('session_id')}")
        match kind:
            case "attach":
                await self._say({"janus": "success", **to, "data": {"id": self._attach(request)}})
            case "keepalive":
                await self._say({"janus": "ack", **to})
            case "destroy":
                await self._say({"janus": "success", **to})
            case "detach":
                await self._handle(request).close()
                del self._handles[request["handle_id"]]
                await self._say({"janus": "success", **to})
            case "message":
                await self._message(request, to)
            case _:
                raise Refused(UNKNOWN_REQUEST, f"Unknown request '{kind}'")

    async def _message(self, request: Reply, to: Reply) -> None:
        handle = self._handle(request)
        body = request["body"]
        # Janus answers at once what needs no thread of the plugin, and first acknowledges all else
        at_once = body.get("request") == "listparticipants"
        if not at_once:
            await self._say({"janus": "ack", **to})
        try:
            data, jsep = await handle.answer(body, request.get("jsep"))
        except Refused as refused:
            data, jsep = {"videoroom": "event", "error_code": refused.code, "error": str(refused)}, None
        reply = {"janus": "success" if at_once else "event", "sender": request["handle_id"], **to}
        plugin = {"plugin": VIDEO_ROOM, "data": data}
        await self._say({**reply, "plugindata": plugin, **({"jsep": jsep} if jsep else {})})

    def _greeting(self, kind: str) -> Reply:
        if kind == "info":
            return {"janus": "server_info", "name": "replayed", "version": VERSION, "version_string": VERSION_NAME}
        self._session = secrets.randbits(48)
        return {"janus": "success", "data": {"id": self._session}}

    def _attach(self, request: Reply) -> int:
        if request.get("plugin") != VIDEO_ROOM:
            raise Refused(NO_SUCH_PLUGIN, f"No such plugin '{request.get('plugin')}'")
        handle_id = secrets.randbits(48)

        async def tell(message: Reply) -> None:
            await self._say({**message, "sender": handle_id})

        self._handles[handle_id] = Handle(self._room, tell)
        return handle_id

    def _handle(self, request: Reply) -> Handle:
        try:
            return self._handles[request["handle_id"]]
        except KeyError:
            raise Refused(NO_SUCH_HANDLE, f"No such handle {request.get('handle_id')}") from None

    async def _say(self, message: Reply) -> None:
        if self._session is not None:
            message = {**message, "session_id": self._session}
        if not self._socket.closed:
            await self._socket.send_str(json.dumps(message))


@asynccontextmanager
async def replayed_room(students: int, recording: Recording) -> AsyncIterator[int]:
    """Serve a room of `students` while the block runs, on a free loopback port, which it yields."""
    room = Room(students, recording)

    async def gateway(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("janus-protocol",), max_msg_size=LARGEST_MESSAGE_BYTES)
        await socket.prepare(request)
        await Gateway(room, socket).serve()
        return socket

    async def counts(request: web.Request) -> web.Response:
        return web.json_response(room.counts)

    application = web.Application()
    application.add_routes([web.get("/", gateway), web.get("/counts", counts)])
    runner = web.AppRunner(application, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _serve(students: int, layer: Layer) -> None:
    async with replayed_room(students, recorded(layer)) as port:
        sys.stdout.write(json.dumps({"port": port, "room": ROOM}) + "\n")
        sys.stdout.flush()
        # standard input ends when the process that started us closes it or dies
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _come_first() -> None:
    """Take precedence over the bot, if permitted: in a real class, packets come from machines that the bot does not slow down."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)


def main() -> None:
    """Serve as the command line says, until standard input ends."""
    import uvloop

    parser = argparse.ArgumentParser(description="A room of replayed students.")
    parser.add_argument("--students", type=int, default=50)
    parser.add_argument("--layer", choices=LAYERS, default=LAYERS[0])
    arguments = parser.parse_args()
    _come_first()
    uvloop.run(_serve(arguments.students, arguments.layer))


if __name__ == "__main__":
    main()
