"""Simulated students in a Janus room: each is a publisher with a session of its own, as a browser would be.

Source: https://janus.conf.meetecho.com/docs/videoroom.html
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from bot.clip_track import CONNECT_SECONDS, Sending, sending
from bot.clips import Recording
from bot.errors import RoomRefused
from bot.rooms.janus import enter, janus_access, join_request
from bot.rooms.janus_api import JanusHandle, JanusSession, janus_session
from bot.rooms.janus_messages import VIDEO_ROOM, Envelope
from bot.rooms.waiting import in_time
from bot.settings import Settings
from bot.tasks import background
from bot.together import Enter, student_name

CONSENTS = {"consent": True}
"""The metadata that simulated students send; Debian's Janus 1.1.2 does not pass it on."""

HANG_UP_SECONDS = 2.0
"""How long to wait for Janus to report that a connection has ended, before closing our end anyway."""


class JanusStudent:
    """A student in a room, who can turn the camera on and off; made by `janus_student`.

    `id` is the room's id for them while they stay; `lost` is set when the connection to the room is lost.
    """

    def __init__(self, session: JanusSession, handle: JanusHandle, woken: asyncio.Event, feed_id: str) -> None:
        self.id = feed_id
        self.lost = asyncio.Event()
        self._session = session
        self._handle = handle
        self._woken = woken
        self._camera: Sending | None = None
        self._closing = AsyncExitStack()
        self._up = asyncio.Event()
        self._hung_up = asyncio.Event()

    async def publish(self, recording: Recording) -> None:
        """Send a recording until `unpublish`, in place of an earlier one; raises RoomRefused with the room's own reason."""
        await self.unpublish()
        self._up.clear()
        self._hung_up.clear()
        async with AsyncExitStack() as stack:
            camera = await stack.enter_async_context(sending(recording))
            answer = await self._handle.request({"request": "publish"}, await _offer(camera))
            await camera.answered(_answer_in(answer), "the room")
            await camera.until_connected("the room")
            # our end is connected a little before theirs, and Janus does not unpublish before then
            if not await in_time(self._up, CONNECT_SECONDS):
                raise RoomRefused(f"the room did not say in {CONNECT_SECONDS:.0f} s that the media path stands")
            self._camera, self._closing = camera, stack.pop_all()
            camera.peer.on("connectionstatechange", self._woken.set)
            self._woken.set()  # it may have broken since it was connected

    async def unpublish(self) -> None:
        """Turn the camera off but stay in the room; does nothing if it is off already."""
        if self._camera is None:
            return
        self._camera = None
        try:
            if await self._said("unpublish"):
                # Janus answers before it ends the connection. If our end closes meanwhile, Janus tears the connection down twice,
                # the second time with its successor in place, which then finds no media path.
                await in_time(self._hung_up, HANG_UP_SECONDS)
        finally:
            await self._closing.aclose()

    async def pause(self, paused: bool) -> None:
        """Pause or resume sending by a new offer, without publishing again, as a browser may do.

        Raises RoomRefused if the camera is off, or with the room's own reason.
        """
        if self._camera is None:
            raise RoomRefused("a camera that is off cannot pause")
        (transceiver,) = self._camera.peer.getTransceivers()
        transceiver.direction = "inactive" if paused else "sendonly"
        answer = await self._handle.request({"request": "configure"}, await _offer(self._camera))
        await self._camera.answered(_sdp_in(answer), "the room")

    async def leave(self) -> None:
        """Leave the room; a room that cannot be told notices the end of the session instead."""
        self._camera = None
        try:
            await self._said("leave")
        finally:
            await self._closing.aclose()

    async def attend(self) -> None:
        """Wait until the session, the place in the room or the camera's connection is lost, and set `lost`."""
        while not self._is_over():
            await self._woken.wait()
            self._woken.clear()
        self.lost.set()

    def _is_over(self) -> bool:
        events = list(iter(self._handle.pop, None))  # all of them must be taken, or they pile up
        said = {event.janus for event in events}
        if "webrtcup" in said:
            self._up.set()
        if "hangup" in said:
            self._hung_up.set()
        broken = self._camera is not None and self._camera.lost.is_set()
        return any(map(_is_farewell, events)) or broken or self._session.lost.is_set()

    async def _said(self, request: str) -> bool:
        """Send a request and return whether the room accepted it: it cannot once we were removed or the server is gone."""
        try:
            await self._handle.request({"request": request})
        except RoomRefused:
            return False
        return True


def _is_farewell(event: Envelope) -> bool:
    """Whether the event says that the room is closed or that we are no longer in it."""
    data = event.plugin_data
    return data.get("videoroom") == "destroyed" or data.get("leaving") == "ok" or event.janus == "detached"


async def _offer(camera: Sending) -> dict[str, object]:
    """The camera's offer, which already contains all candidates."""
    return {"type": "offer", "sdp": await camera.offer(), "trickle": False}


def _answer_in(event: Envelope) -> str:
    """The SDP of the room's answer to an offer; raises RoomRefused if there is none or the room does not take VP8."""
    sdp = _sdp_in(event)
    if "m=video 0 " in sdp or "a=inactive" in sdp:
        raise RoomRefused("the room takes no video in VP8")
    return sdp


def _sdp_in(event: Envelope) -> str:
    if event.jsep is None or event.jsep.type != "answer":
        raise RoomRefused("the room did not answer the offer of video")
    return event.jsep.sdp


@asynccontextmanager
async def janus_student(room_url: str, name: str, settings: Settings) -> AsyncIterator[JanusStudent]:
    """A student in a room while the block runs, at first with the camera off; raises RoomRefused with the room's reason."""
    access, room = janus_access(room_url, settings)
    async with janus_session(access) as session:
        woken = asyncio.Event()
        handle = await session.attach(VIDEO_ROOM, woken.set)
        _, joined = await enter(handle, room, join_request("publisher", settings) | {"display": name, "metadata": CONSENTS})
        student = JanusStudent(session, handle, woken, joined.id or "")
        async with background(student.attend()):
            try:
                yield student
            finally:
                await student.leave()


@asynccontextmanager
async def janus_entrance(room_url: str, settings: Settings) -> AsyncIterator[Enter]:
    """The way into a Janus room."""
    yield lambda number: janus_student(room_url, student_name(number), settings)
