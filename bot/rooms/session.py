"""One publisher's connection, from the answered offer to its end."""

import asyncio
import secrets

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import OperationError

from bot.peers import SETTLE_SECONDS, close_peer
from bot.receiver import can_rebind, rebind
from bot.rooms import Arrival, Participant, Unseen
from bot.rooms.billboard import Billboard
from bot.rooms.fragment import Fragment
from bot.rooms.offer import MAX_CANDIDATES, Offer, OfferUnacceptable
from pipeline.coverage import Coverage

NEEDED = "VP8 or H264 baseline with packetization-mode 1 is needed, and opus or G.711 where there is audio"

NEVER_CONNECTED = "never connected"

GOODBYE_SECONDS = 0.5
"""How long a connection that came to its end waits for its publisher's DELETE, which goes another way and may come later."""


class WhipSession:
    """A WHIP session (RFC 9725, section 2); who knows its secret may steer it."""

    def __init__(self, participant: Participant, offer: Offer, configuration: RTCConfiguration) -> None:
        self.participant = participant
        self.offer = offer
        self.secret = secrets.token_urlsafe(24)
        self.etag = f'"{secrets.token_urlsafe(9)}"'
        self.mood = Billboard()
        self.reason = ""
        self.candidates = 0
        self._peer = RTCPeerConnection(configuration)
        self._peer.on("connectionstatechange", self._note_state)
        self._camera: MediaStreamTrack | None = None
        self._settled = asyncio.Event()
        self._ended = asyncio.Event()
        self._goodbye: asyncio.TimerHandle | None = None

    @property
    def ended(self) -> bool:
        """Whether the connection is at its end; it may still be closing."""
        return self._ended.is_set()

    async def answer(self) -> str:
        """The SDP answer, with all of the room's candidates; raises OfferUnacceptable if no codec fits."""
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(self.offer.sdp, "offer"))
        except OperationError:
            raise OfferUnacceptable(f"{NEEDED}; offered: {', '.join(self.offer.codecs) or 'none'}") from None
        self._take_the_camera()
        await self._peer.setLocalDescription(await self._peer.createAnswer())
        return self._peer.localDescription.sdp

    def happening(self) -> Arrival | Unseen:
        """What the room tells of this publisher's coming."""
        if self._camera is None:
            return Unseen(self.participant, Coverage.NOT_CONSENTED)
        return Arrival(self.participant, self._camera)

    async def trickle(self, fragment: Fragment) -> None:
        """Take in more of the publisher's candidates, up to a bound; the rest are ignored."""
        for candidate in fragment.candidates[: MAX_CANDIDATES - self.candidates]:
            self.candidates += 1
            # all sections share the transport of the first
            candidate.sdpMid = self.offer.mids[0]
            await self._peer.addIceCandidate(candidate)
        if fragment.complete:
            await self._peer.addIceCandidate(None)

    def end(self, reason: str) -> None:
        """Let the connection end; the first reason stands."""
        if self._goodbye is not None:
            self._goodbye.cancel()
        if not self.ended:
            self.reason = reason
            self._ended.set()
            self.mood.close()

    async def over(self, connect_seconds: float) -> None:
        """Wait for the end; a connection that is not up in time ends by itself."""
        deadline = asyncio.get_running_loop().call_later(connect_seconds, self._give_up)
        try:
            await self._ended.wait()
        finally:
            deadline.cancel()

    async def close(self) -> None:
        """Close the connection, whatever its state."""
        await close_peer(self._peer, 0 if self.reason == NEVER_CONNECTED else SETTLE_SECONDS)

    def _take_the_camera(self) -> None:
        """Receive the camera, if there is consent, and nothing else: what is inactive is never decoded."""
        for transceiver in self._peer.getTransceivers():
            if transceiver.mid == self.offer.camera_mid and self.participant.consent:
                if can_rebind():
                    # not strict: some publishers send with another SSRC than they offered, and nobody else is here
                    rebind(self._peer, transceiver.mid, strict=False)
                self._camera = transceiver.receiver.track
            else:
                transceiver.direction = "inactive"

    def _give_up(self) -> None:
        if not self._settled.is_set():
            self.end(NEVER_CONNECTED)

    def _note_state(self) -> None:
        state = self._peer.connectionState
        if state in ("failed", "closed"):
            self._lose()
        if state in ("connected", "failed", "closed"):
            self._settled.set()

    def _lose(self) -> None:
        if not self._settled.is_set():
            self.end(NEVER_CONNECTED)
        elif not self.ended and self._goodbye is None:
            loop = asyncio.get_running_loop()
            self._goodbye = loop.call_later(GOODBYE_SECONDS, self.end, "connection lost")
