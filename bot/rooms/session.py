"""One publisher's connection, from the answered offer to its end."""

import asyncio
import logging
import secrets
from dataclasses import replace

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import OperationError

from bot.peers import SETTLE_SECONDS, close_peer
from bot.receiver import Gate
from bot.rooms import Arrival, Participant, Unseen
from bot.rooms.allowance import Allowance
from bot.rooms.billboard import Billboard
from bot.rooms.datagrams import DatagramGuard, guard_datagrams
from bot.rooms.fragment import Fragment
from bot.rooms.offer import Offer, OfferUnacceptable
from pipeline.coverage import Coverage

logger = logging.getLogger(__name__)

NEEDED = "VP8 or H264 baseline with packetization-mode 1 is needed, and opus or G.711 where there is audio"

NEVER_CONNECTED = "never connected"

GOODBYE_SECONDS = 0.5
"""How long after a connection has ended its publisher's DELETE is waited for, which takes another path and may come later."""


YESES_AT_ONCE, YESES_PER_SECOND = 20, 0.1
"""How often a publisher may change their mind to a yes: each yes is recorded for a long time, and needs a new decoder."""


class WhipSession:
    """A WHIP session (RFC 9725, section 2); whoever knows its `secret` may control it.

    The camera is negotiated whether its owner consents or not, so that they can change their mind; without consent it is behind
    a closed gate. `may_be_read` says whether their consent counts in this room, `network` where their HTTP request came from.
    """

    def __init__(
        self,
        participant: Participant,
        offer: Offer,
        configuration: RTCConfiguration,
        *,
        may_be_read: bool = True,
        network: str = "",
    ) -> None:
        self.participant = participant
        self.may_be_read = may_be_read
        self.offer = offer
        self.secret = secrets.token_urlsafe(24)
        self.etag = f'"{secrets.token_urlsafe(9)}"'
        self.mood = Billboard()
        self.reason = ""
        self.network = network
        self.one_mind_at_a_time = asyncio.Lock()
        self.yeses = Allowance(YESES_PER_SECOND, YESES_AT_ONCE, asyncio.get_running_loop().time())
        self._peer = RTCPeerConnection(configuration)
        self._peer.on("connectionstatechange", self._note_state)
        self._gate: Gate | None = None
        self._camera: MediaStreamTrack | None = None
        self._datagrams: list[DatagramGuard] = []
        self._settled = asyncio.Event()
        self._ended = asyncio.Event()
        self._goodbye: asyncio.TimerHandle | None = None

    @property
    def ended(self) -> bool:
        """Whether the connection has ended, though it may still be closing."""
        return self._ended.is_set()

    @property
    def connecting(self) -> bool:
        """Whether the connection is not up yet and has not ended."""
        return not self._settled.is_set() and not self.ended

    @property
    def datagrams_dropped(self) -> int:
        """How many datagrams the guards of the connection's sockets have dropped."""
        return sum(guard.dropped for guard in self._datagrams)

    async def answer(self) -> str:
        """The SDP answer, with all candidates of the room; raises OfferUnacceptable if no offered codec can be used."""
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(self.offer.sdp, "offer"))
        except OperationError:
            raise OfferUnacceptable(f"{NEEDED}; offered: {', '.join(self.offer.codecs) or 'none'}") from None
        await self._take_the_camera()
        await self._peer.setLocalDescription(await self._peer.createAnswer())
        self._datagrams = guard_datagrams(self._peer)
        return self._peer.localDescription.sdp

    def happening(self) -> Arrival | Unseen:
        """The happening that describes this publisher at present."""
        if self._camera is None:
            return Unseen(self.participant, Coverage.NOT_CONSENTED)
        return Arrival(self.participant, self._camera)

    async def begin_to_read(self) -> None:
        """Open the gate for the camera, as its owner consents; raises InvalidStateError if the connection has ended."""
        assert self._gate is not None, "there is an answer"
        self._camera = await self._gate.open()
        self.participant = replace(self.participant, consent=True)

    async def end_reading(self) -> None:
        """Shut the camera out from this moment on, as its owner no longer consents; returns once its decoder has ended."""
        assert self._gate is not None, "there is an answer"
        self._camera = None
        self.participant = replace(self.participant, consent=False)
        await self._gate.close()

    async def trickle(self, fragment: Fragment) -> None:
        """Add those of the publisher's further candidates that the offer's gate takes."""
        for candidate in self.offer.gate.take(fragment.candidates):
            # all sections share the transport of the first
            candidate.sdpMid = self.offer.mids[0]
            await self._peer.addIceCandidate(candidate)
        if fragment.complete and not self.offer.gate.left_out:
            await self._peer.addIceCandidate(None)

    def end(self, reason: str) -> None:
        """Let the connection end; only the first reason is kept."""
        if self._goodbye is not None:
            self._goodbye.cancel()
        if not self.ended:
            self.reason = reason
            self._ended.set()
            self.mood.close()

    async def over(self, connect_seconds: float) -> None:
        """Wait until the connection has ended; one that is not up after `connect_seconds` is ended."""
        deadline = asyncio.get_running_loop().call_later(connect_seconds, self._give_up)
        try:
            await self._ended.wait()
        finally:
            deadline.cancel()

    async def close(self) -> None:
        """Close the connection, whatever its state."""
        if self.datagrams_dropped:
            logger.info("participant %s: %d datagrams were dropped", self.participant.id, self.datagrams_dropped)
        await close_peer(self._peer, 0 if self.reason == NEVER_CONNECTED else SETTLE_SECONDS)

    async def _take_the_camera(self) -> None:
        """Put the camera behind a gate, open if there is consent; all else is made inactive, and so is never decoded."""
        for transceiver in self._peer.getTransceivers():
            if transceiver.mid == self.offer.camera_mid:
                self._gate = Gate(self._peer, transceiver.mid)
            else:
                transceiver.direction = "inactive"
        if self.participant.consent:
            await self.begin_to_read()

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
