"""Everybody's cameras over one peer connection: a single task makes all requests and answers all offers."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiortc import MediaStreamTrack, RTCConfiguration

from bot.errors import RoomRefused
from bot.rooms.janus_api import JanusRefused, JanusSession
from bot.rooms.janus_messages import NO_SUCH_FEED, VIDEO_ROOM, Envelope, read_room_event
from bot.rooms.janus_peer import Broken, CannotAnswer, SubscriberPeer
from bot.rooms.janus_roster import Camera
from bot.rooms.server_watch import ServerWatch

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
"""How long to wait before asking again for a camera that Janus did not give, though its publisher was announced."""

FIRST_REBUILD_SECONDS, LAST_REBUILD_SECONDS = 0.1, 3.0
PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How to join a room as a subscriber, and which layers of each stream to ask for."""

    room: int | str
    join: dict[str, Any]
    substream: int
    temporal: int

    def stream(self, camera: Camera) -> dict[str, Any]:
        """A camera as a request names it."""
        numeric = isinstance(self.room, int) and camera.feed_id.isdecimal() and len(camera.feed_id) < 20
        feed = int(camera.feed_id) if numeric else camera.feed_id
        return {"feed": feed, "mid": camera.mid, "substream": self.substream, "temporal": self.temporal}


class Subscription:
    """Receives the cameras that are wanted; `arrived` gets each one's track, and again whenever it has a new one.

    `unreadable` is called for a camera whose stream cannot be received. `counts` is how often a connection was rebuilt, Janus did
    not know a camera, and an offer could not be answered.
    """

    def __init__(
        self,
        session: JanusSession,
        terms: Terms,
        configuration: RTCConfiguration,
        arrived: Callable[[Camera, MediaStreamTrack], None],
        unreadable: Callable[[Camera], None],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._session = session
        self._terms = terms
        self._configuration = configuration
        self._servers = ServerWatch(configuration)
        self._arrived = arrived
        self._unreadable = unreadable
        self._wanted: dict[str, Camera] = {}
        self._put_off: dict[Camera, float] = {}
        self._stale: set[str] = set()
        self._let_go: set[Camera] = set()
        self._negotiating = False
        self._changed = asyncio.Event()
        self._peer: SubscriberPeer | None = None

    def want(self, camera: Camera) -> None:
        """Receive this camera from now on, in place of any other from the same publisher."""
        self._wanted[camera.feed_id] = camera
        self._changed.set()

    def drop(self, feed_id: str) -> None:
        """Receive nothing more from this publisher."""
        if camera := self._wanted.pop(feed_id, None):
            self._stale.discard(feed_id)
            self._let_go.add(camera)
            self._shut_out_unwanted()
            self._changed.set()

    def renew(self, feed_id: str) -> None:
        """Subscribe again to a camera that sends nothing; if no camera sends anything, over a new connection.

        Does nothing while an offer is being answered, which takes seconds in a large class: until then, nothing can have come.
        """
        if feed_id in self._wanted and not self._negotiating:
            self._stale.add(feed_id)
            self._changed.set()

    async def run(self) -> None:
        """Keep receiving what is wanted, until the session is lost."""
        loop, wait_seconds = asyncio.get_running_loop(), FIRST_REBUILD_SECONDS
        while not self._session.lost.is_set():
            started = loop.time()
            try:
                await self._one_connection()
            except (Broken, RoomRefused) as error:
                self.counts["rebuilt"] += 1
                logger.info("the subscription is set up again: %s", error)
            lasted = loop.time() - started > LAST_REBUILD_SECONDS
            wait_seconds = FIRST_REBUILD_SECONDS if lasted else min(2 * wait_seconds, LAST_REBUILD_SECONDS)
            await asyncio.sleep(wait_seconds)

    async def _one_connection(self) -> None:
        while not self._due():
            await self._something_changes()
        self._stale.clear()
        self._let_go.clear()
        handle = await self._session.attach(VIDEO_ROOM, self._changed.set)
        self._peer = peer = SubscriberPeer(handle, self._configuration, self._servers, self._arrived, self._changed.set)
        try:
            await self._join(peer)
            while not self._session.lost.is_set():
                await self._keep_up(peer)
                await self._something_changes()
        finally:
            self._peer = None
            await peer.close()

    def _shut_out_unwanted(self) -> None:
        """Decode nothing more from cameras that are not wanted, however long the server goes on sending them."""
        if self._peer is not None:
            self._peer.shut_out_all_but(self._wanted.values())

    async def _join(self, peer: SubscriberPeer) -> None:
        """Join the room with the cameras that are due, which establishes the connection."""
        while not peer.joined:
            cameras = self._due()
            if not cameras:
                raise Broken("the cameras were gone before they could be subscribed to")
            streams = [self._terms.stream(camera) for camera in cameras]
            join = {"request": "join", "ptype": "subscriber", "autoupdate": True, "streams": streams, **self._terms.join}
            peer.joined = await self._asked(peer, join, cameras)

    async def _keep_up(self, peer: SubscriberPeer) -> None:
        """Answer the room's offers, and ask for what is wanted, until nothing is left to do."""
        while True:
            peer.check()
            if event := peer.handle.pop():
                await self._take(peer, event)
            elif peer.updating:
                return
            elif leave := self._unwanted(peer):
                await self._leave(peer, leave)
            elif come := [camera for camera in self._due() if camera not in peer.bound]:
                await self._asked(peer, {"request": "update", "subscribe": list(map(self._terms.stream, come))}, come)
            else:
                return

    def _unwanted(self, peer: SubscriberPeer) -> list[Camera]:
        """The cameras to unsubscribe from: those that are not wanted, and those that are to be subscribed to again.

        Raises Broken if no camera at all sends anything.
        """
        stale = [camera for camera in peer.bound if camera.feed_id in self._stale]
        if stale and len(stale) == len(peer.bound):
            raise Broken("no camera sends anything")
        wanted = set(self._wanted.values())
        # including a camera that went off and on again at once: its track is no longer read, so a new one is needed
        leave = [camera for camera in peer.bound if camera in self._let_go or camera not in wanted]
        self._stale.clear()
        self._let_go.clear()
        return list(dict.fromkeys(stale + leave))

    async def _leave(self, peer: SubscriberPeer, cameras: list[Camera]) -> None:
        streams = [{"sub_mid": peer.bound[camera]} for camera in cameras]
        answer = await peer.handle.request({"request": "update", "unsubscribe": streams})
        peer.forget(cameras)
        await self._take(peer, answer)

    async def _asked(self, peer: SubscriberPeer, body: dict[str, Any], cameras: list[Camera]) -> bool:
        """Request cameras, and return whether Janus knew them all; those that it does not give are put off until later."""
        try:
            answer = await peer.handle.request(body)
        except JanusRefused as refused:
            if refused.code != NO_SUCH_FEED:
                raise
            self._put_off_unknown(cameras, str(refused))
            return False
        await self._take(peer, answer)
        # even if an offer is promised: the next one may be for something else, such as somebody's leaving at the same moment
        self._later([camera for camera in cameras if camera not in peer.bound])
        return True

    def _put_off_unknown(self, cameras: list[Camera], reason: str) -> None:
        """Put off the camera that Janus named as unknown; if it named none, all but the first, to find out which it is."""
        self.counts["no_such_feed"] += 1
        named = [camera for camera in cameras if f"({camera.feed_id})" in reason]
        self._later(named or cameras[1:] or cameras)

    def _later(self, cameras: list[Camera]) -> None:
        due = asyncio.get_running_loop().time() + RETRY_SECONDS
        self._put_off |= dict.fromkeys(cameras, due)

    async def _take(self, peer: SubscriberPeer, event: Envelope) -> None:
        if event.janus in ("hangup", "detached"):
            raise Broken(f"janus let go of it: {event.reason or event.janus}")
        peer.note(read_room_event(event.plugin_data))
        if event.jsep is None:
            return
        self._negotiating = True
        try:
            await peer.answer(event.jsep)
        except CannotAnswer as error:
            self.counts["cannot_answer"] += 1
            for camera in error.cameras:
                self.drop(camera.feed_id)
                self._unreadable(camera)
            raise
        finally:
            self._negotiating = False
        self._shut_out_unwanted()  # those who left while the offer was being answered

    def _due(self) -> list[Camera]:
        now = asyncio.get_running_loop().time()
        self._put_off = {camera: due for camera, due in self._put_off.items() if due > now}
        return [camera for camera in self._wanted.values() if camera not in self._put_off]

    async def _something_changes(self) -> None:
        """Wait until something else is wanted, an event comes, or a camera that was put off is due; at most PATIENCE_SECONDS."""
        now = asyncio.get_running_loop().time()
        seconds = min([PATIENCE_SECONDS, *(due - now for due in self._put_off.values())])
        try:
            async with asyncio.timeout(max(seconds, 0.01)):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()
