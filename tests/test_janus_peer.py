"""Offers of a Janus server that are not as they should be: the connection is given up, and nothing else happens."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc.mediastreams import VideoStreamTrack

from bot.errors import RoomRefused
from bot.rooms.janus_messages import Description, RoomEvent, Subscribed
from bot.rooms.janus_peer import Broken, CannotAnswer, SubscriberPeer
from bot.rooms.janus_roster import Camera
from bot.rooms.server_watch import ServerWatch

NOWHERE = RTCConfiguration(iceServers=[])
JUNK = ("x", "", "1 2 3", "999999 y")
LINES = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup", "a=mid", "a=group", "a=rtpmap", "a=fmtp", "a=ssrc", "c=", "m=")


class Refusing:
    """A gateway's handle that refuses every request, but can be detached."""

    def __init__(self) -> None:
        self.detached = False

    async def request(self, body: Mapping[str, Any], jsep: Mapping[str, Any] | None = None) -> None:
        raise RoomRefused("no")

    async def detach(self) -> None:
        self.detached = True


@pytest.fixture
async def offer() -> AsyncIterator[str]:
    """A valid offer of two cameras, on the m-lines 0 and 1."""
    sender = RTCPeerConnection(NOWHERE)
    for _ in range(2):
        sender.addTransceiver(VideoStreamTrack(), direction="sendonly")
    await sender.setLocalDescription(await sender.createOffer())
    yield sender.localDescription.sdp
    await sender.close()


class Starting(Refusing):
    """A gateway's handle that accepts every answer."""

    async def request(self, body: Mapping[str, Any], jsep: Mapping[str, Any] | None = None) -> None:
        pass


async def answered(sdp: str, handle: Refusing | None = None, configuration: RTCConfiguration = NOWHERE) -> None:
    """Answer an offer with a connection of its own, which is closed and detached in any case; nobody may arrive."""
    handle, arrived = handle or Refusing(), list[Camera]()
    servers = ServerWatch(configuration)
    peer = SubscriberPeer(handle, configuration, servers, lambda camera, track: arrived.append(camera), lambda: None)  # type: ignore[arg-type]  # as much as is needed
    streams = tuple(Subscribed(mid=mid, feed_id=f"feed{mid}", feed_mid="0") for mid in ("0", "1"))
    peer.note(RoomEvent(videoroom="attached", streams=streams))
    try:
        await peer.answer(Description(type="offer", sdp=sdp))
    finally:
        await peer.close()
        assert handle.detached
        assert not arrived


async def test_a_sound_offer_is_answered(offer: str) -> None:
    with pytest.raises(RoomRefused, match=r"^no$"):
        await answered(offer)


async def test_a_turn_server_that_gives_no_relay_is_told(offer: str, caplog: pytest.LogCaptureFixture) -> None:
    turn = RTCIceServer("turn:127.0.0.1:9?transport=tcp", "class", "s3cret")
    with pytest.raises(RoomRefused):
        await answered(offer, configuration=RTCConfiguration(iceServers=[turn]))
    assert "the first server in CLASSMOOD_TURN_URLS gives the bot no relay" in caplog.text and "s3cret" not in caplog.text


@pytest.mark.parametrize("start", LINES)
async def test_an_offer_with_broken_lines_ends_the_connection_at_most(offer: str, start: str) -> None:
    lines = offer.split("\r\n")
    without = [line for line in lines if not line.startswith(start)]
    broken = [[f"{start}:{junk}" if line.startswith(start) else line for line in lines] for junk in JUNK]
    assert len(without) < len(lines)
    for changed in (without, *broken):
        with pytest.raises((Broken, RoomRefused)):
            await answered("\r\n".join(changed))


async def test_a_camera_in_a_codec_that_cannot_be_read_is_named(offer: str) -> None:
    first, second = offer.split("m=video")[1:]
    odd = second.replace("VP8/90000", "AV1/90000").replace("H264/90000", "VP9/90000")
    with pytest.raises(CannotAnswer) as cannot:
        await answered("m=video".join([offer.split("m=video")[0], first, odd]))
    assert cannot.value.cameras == [Camera("feed1", "0")]


async def test_a_connection_that_never_began_is_closed() -> None:
    with pytest.raises(Broken, match=r"^the offer cannot be read: "):
        await answered("v=0\r\nm=video\r\n")


async def test_nobody_arrives_by_a_first_connection_that_fails(offer: str) -> None:
    lines = [line.replace(" udp ", " tcp ") if line.startswith("a=candidate") else line for line in offer.split("\r\n")]
    with pytest.raises(Broken, match=r"^its connection is failed$"):
        await answered("\r\n".join(lines), Starting())
