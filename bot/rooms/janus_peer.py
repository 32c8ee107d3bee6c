"""One subscriber's connection to a Janus room: its offers, our answers, and whose camera each m-line carries."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.sdp import SessionDescription

from bot.orientation import heard_of
from bot.peers import close_peer
from bot.receiver import BoundReceiver, can_rebind, can_receive, can_receive_directly, rebind, retire, take_short_cuts
from bot.rooms.datagrams import sockets_of, widen
from bot.rooms.janus_api import JanusHandle
from bot.rooms.janus_messages import Description, RoomEvent
from bot.rooms.janus_roster import Camera
from bot.rooms.offer import UNUSABLE_SDP
from bot.rooms.server_watch import ServerWatch

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 15.0

UPDATE_SECONDS = 5.0
"""How long to wait for an offer that Janus has promised."""


class Broken(Exception):
    """The connection is of no more use; a new one is needed."""


class CannotAnswer(Broken):
    """An offer contains streams that cannot be received, those of `cameras`."""

    def __init__(self, cameras: list[Camera]) -> None:
        super().__init__(f"{len(cameras)} cameras send what cannot be received")
        self.cameras = cameras


@dataclass(frozen=True, slots=True)
class _Source:
    """What an m-line carries: a camera, and the SSRCs that it sends with."""

    camera: Camera
    ssrcs: tuple[int, ...]


class SubscriberPeer:
    """A handle and its peer connection; `bound` maps each camera to its m-line, as Janus last reported."""

    def __init__(
        self,
        handle: JanusHandle,
        configuration: RTCConfiguration,
        servers: ServerWatch,
        arrived: Callable[[Camera, MediaStreamTrack], None],
        changed: Callable[[], None],
    ) -> None:
        self.handle = handle
        self.bound: dict[Camera, str] = {}
        self.joined = False
        self._peer = RTCPeerConnection(configuration)
        self._peer.on("connectionstatechange", changed)
        self._servers = servers
        self._arrived = arrived
        self._sources: dict[str, _Source] = {}
        self._promised_at: float | None = None
        self._formers: dict[BoundReceiver, RTCRtpReceiver] = {}
        """Receivers that were replaced, by their replacements; the connection itself no longer knows them."""

    @property
    def updating(self) -> bool:
        """Whether Janus has promised an offer that has not come yet."""
        return self._promised_at is not None

    def check(self) -> None:
        """Raise Broken if the connection has ended, or if a promised offer is overdue."""
        if self.joined and self._peer.connectionState in ("failed", "closed"):
            raise Broken(f"its connection is {self._peer.connectionState}")
        if self._promised_at is not None and self._now() - self._promised_at > UPDATE_SECONDS:
            raise Broken("the offer that janus promised does not come")

    def note(self, event: RoomEvent) -> None:
        """Note whose camera each m-line carries now, and whether an offer is to come."""
        if event.videoroom == "updating":
            self._promised_at = self._now()
        elif event.videoroom in ("attached", "updated"):
            self._promised_at = None
        if event.streams:  # unused m-lines have entries too
            self.bound = {
                Camera(stream.feed_id, stream.feed_mid): stream.mid
                for stream in event.streams
                if stream.active and stream.feed_id is not None and stream.feed_mid is not None
            }

    def shut_out_all_but(self, cameras: Iterable[Camera]) -> None:
        """Take no more packets of other cameras, for good: an m-line that gets another camera also gets another receiver."""
        wanted = set(cameras)
        for transceiver in self._peer.getTransceivers():
            source, receiver = self._sources.get(transceiver.mid or ""), transceiver.receiver
            if source is not None and source.camera not in wanted and isinstance(receiver, BoundReceiver):
                receiver.shut = True

    def forget(self, cameras: list[Camera]) -> None:
        """Count cameras as no longer bound, because they were just unsubscribed."""
        for camera in cameras:
            self.bound.pop(camera, None)

    async def answer(self, offer: Description) -> None:
        """Answer an offer, and hand on the track of each m-line whose source has changed.

        Raises CannotAnswer if it contains streams that cannot be received, and Broken if no connection is established.
        """
        sources = self._offered(offer)
        changed = {mid: source for mid, source in sources.items() if self._sources.get(mid) != source}
        if not can_rebind() and any(mid in self._known_mids() for mid in changed):
            raise Broken("an m-line changed hands, and this aiortc needs a new connection for that")
        try:
            await self._apply(offer, changed, sources)
        except UNUSABLE_SDP as error:
            raise Broken(f"the offer cannot be applied: {type(error).__name__}") from None
        jsep = {"type": "answer", "sdp": self._answer_to(offer), "trickle": False}
        await self.handle.request({"request": "start"}, jsep)
        await self._connected()
        # before retiring, so that the end of an old track is not taken for a camera that sends nothing
        self._hand_on(changed)
        await self._retire()

    async def close(self) -> None:
        """End the connection, here and at the server."""
        try:
            for former in self._formers.values():
                await former.stop()
            await close_peer(self._peer)
        except UNUSABLE_SDP as error:
            # aiortc cannot fully close a connection that an offer left half made
            logger.info("a connection could not be closed completely: %s", type(error).__name__)
        finally:
            await self.handle.detach()

    async def _apply(self, offer: Description, changed: Iterable[str], sources: dict[str, _Source]) -> None:
        await self._peer.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        if can_rebind():
            self._formers |= dict(rebind(self._peer, mid) for mid in changed)
            for former in self._formers.values():
                if isinstance(former, BoundReceiver):
                    former.shut = True
        # only now: until here, shutting out a camera must reach its old receiver, not the new one in its place
        self._sources = sources
        await self._peer.setLocalDescription(await self._peer.createAnswer())
        self._servers.note(self._peer.localDescription.sdp)
        sockets = sockets_of(self._peer)
        for each in sockets:
            widen(each)
        take_short_cuts(self._peer, sockets)

    def _answer_to(self, offer: Description) -> str:
        answer = self._peer.localDescription.sdp
        if not can_receive_directly():  # then nobody reads orientations, and Janus sends none unless asked
            return answer
        answer, orientations = heard_of(answer, offer.sdp)
        for transceiver in self._peer.getTransceivers():
            if isinstance(transceiver.receiver, BoundReceiver):
                transceiver.receiver.orientations = orientations
        return answer

    async def _retire(self) -> None:
        """Stop the receivers that were replaced; raises Broken if a replacement did not start."""
        while self._formers:
            fresh, former = next(iter(self._formers.items()))
            bound = await retire(fresh, former)
            del self._formers[fresh]
            if not bound:
                raise Broken("a receiver did not start")

    def _offered(self, offer: Description) -> dict[str, _Source]:
        try:
            media = SessionDescription.parse(offer.sdp).media
        except UNUSABLE_SDP as error:
            raise Broken(f"the offer cannot be read: {type(error).__name__}") from None
        # by direction, because a camera that was just turned off may still be listed as active
        sections = {each.rtp.muxId: each for each in media if each.direction in ("sendonly", "sendrecv")}
        cameras = {mid: camera for camera, mid in self.bound.items() if mid in sections}
        if bad := [camera for mid, camera in cameras.items() if not can_receive(sections[mid])]:
            raise CannotAnswer(bad)
        return {mid: _Source(camera, tuple(each.ssrc for each in sections[mid].ssrc)) for mid, camera in cameras.items()}

    def _known_mids(self) -> set[str | None]:
        return {transceiver.mid for transceiver in self._peer.getTransceivers()}

    def _hand_on(self, changed: dict[str, _Source]) -> None:
        tracks = {each.mid: each.receiver.track for each in self._peer.getTransceivers()}
        for mid, source in changed.items():
            self._arrived(source.camera, tracks[mid])

    async def _connected(self) -> None:
        """Wait until connected, because an offer that overtakes the handshake would leave new m-lines without media."""
        settled = asyncio.Event()
        changed = settled.set
        self._peer.on("connectionstatechange", changed)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                while self._peer.connectionState not in ("connected", "failed", "closed"):
                    await settled.wait()
                    settled.clear()
        except TimeoutError:
            raise Broken(f"no media path was found in {CONNECT_SECONDS:.0f} s") from None
        finally:
            self._peer.remove_listener("connectionstatechange", changed)
        if self._peer.connectionState != "connected":
            raise Broken(f"its connection is {self._peer.connectionState}")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
