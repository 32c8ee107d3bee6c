"""Strict reading of SDP offers: an offer that passes can be answered without surprises."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiortc import RTCIceCandidate, RTCIceParameters
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.sdp import GroupDescription, MediaDescription, SessionDescription, candidate_from_sdp

from bot.rooms.reach import PUBLIC, CandidateGate, Reach

BROKEN_SDP = (ValueError, AssertionError, KeyError, IndexError, TypeError, AttributeError, StopIteration)
"""What aiortc's parser raises for malformed SDP; the tests fuzz it."""

UNUSABLE_SDP = (*BROKEN_SDP, RuntimeError, OperationError, InvalidStateError, InvalidAccessError)
"""What aiortc raises for SDP that it cannot parse or apply; the tests fuzz it."""

MAX_LINES = 1000
"""Most lines of an offer; browsers write 100 to 300, and some of aiortc's steps take time in the square of their number."""

MAX_SECTIONS = 8
"""Most media sections of an offer; a camera and a microphone are two."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}")
_ICE_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_ICE_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_NOT_MEDIA = {"rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "cn"}


class OfferMalformed(Exception):
    """The SDP cannot be parsed, or offers no camera; the text is the reason in one line."""


class OfferUnacceptable(Exception):
    """The offer is well formed, but for something that the room does not take; the text is the reason in one line."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer of one camera, as one bundled transport."""

    sdp: str
    camera_mid: str
    mids: tuple[str, ...]
    ice_ufrag: str
    ice_pwd: str
    codecs: tuple[str, ...]
    gate: CandidateGate
    """Decides which candidates are taken, also of those that come later."""


def read_offer(text: str, reach: Reach = PUBLIC) -> Offer:
    """Parse and check an SDP offer whose candidates may have this reach; raises OfferMalformed or OfferUnacceptable."""
    _check_size(text)
    description = _parse(text)
    _check_kinds(description.media)
    for media in description.media:
        _check_section(media)
    _check_bundle(description)
    camera = _camera(description.media)
    gate = CandidateGate(reach)
    _unite(description, gate)
    _simplify(description)
    ice_ufrag, ice_pwd = _ice_credentials(description.media[0])
    return Offer(
        sdp=_serialise(description),
        camera_mid=camera.rtp.muxId,
        mids=tuple(media.rtp.muxId for media in description.media),
        ice_ufrag=ice_ufrag,
        ice_pwd=ice_pwd,
        codecs=_codecs(description.media),
        gate=gate,
    )


def read_candidates(values: Iterable[str]) -> list[RTCIceCandidate]:
    """The candidates in the values of `a=candidate:` lines, wherever they point; raises OfferMalformed for a malformed one."""
    try:
        return [candidate_from_sdp(value) for value in values]
    except BROKEN_SDP:
        raise OfferMalformed("a line of candidates is not well formed") from None


def _check_size(text: str) -> None:
    if not text.strip():
        raise OfferMalformed("the body holds no SDP")
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise OfferMalformed(f"the SDP has more than {MAX_LINES} lines")
    if sum(line.startswith("m=") for line in lines) > MAX_SECTIONS:
        raise OfferMalformed(f"the SDP has more than {MAX_SECTIONS} media sections")


def _parse(text: str) -> SessionDescription:
    try:
        description = SessionDescription.parse(text)
    except BROKEN_SDP:
        raise OfferMalformed("the SDP is not well formed") from None
    if not description.media:
        raise OfferMalformed("the SDP has no media section")
    return description


def _serialise(description: SessionDescription) -> str:
    try:
        text = str(description)
        SessionDescription.parse(text)
    except BROKEN_SDP:
        raise OfferMalformed("the SDP is not well formed") from None
    return text


def _check_kinds(sections: list[MediaDescription]) -> None:
    # one unacceptable section makes the whole offer so: RFC 9725, section 4.4.3
    if any(media.kind not in ("audio", "video") for media in sections):
        raise OfferUnacceptable("only audio and video sections are taken, no data channels")


def _check_section(media: MediaDescription) -> None:
    if not _TOKEN.fullmatch(media.rtp.muxId or ""):
        raise OfferMalformed(f"the {media.kind} section has no usable a=mid")
    ufrag, pwd = _ice_credentials(media)
    if not _ICE_UFRAG.fullmatch(ufrag) or not _ICE_PWD.fullmatch(pwd):
        raise OfferMalformed(f"the {media.kind} section has no usable a=ice-ufrag and a=ice-pwd")
    if media.dtls is None or not media.dtls.fingerprints:
        raise OfferMalformed(f"the {media.kind} section has no a=setup and a=fingerprint")
    if not media.rtcp_mux:
        raise OfferMalformed(f"the {media.kind} section has no a=rtcp-mux (RFC 9725, section 4.4.1)")


def _ice_credentials(media: MediaDescription) -> tuple[str, str]:
    ice = media.ice or RTCIceParameters()
    return ice.usernameFragment or "", ice.password or ""


def _check_bundle(description: SessionDescription) -> None:
    mids = [media.rtp.muxId for media in description.media]
    if len(set(mids)) != len(mids):
        raise OfferMalformed("two media sections have the same a=mid")
    bundles = [set(group.items) for group in description.group if group.semantic == "BUNDLE"]
    if len(mids) > 1 and set(mids) not in bundles:
        raise OfferMalformed("all media sections must be in one BUNDLE group (RFC 9725, section 4.4.1)")


def _camera(sections: list[MediaDescription]) -> MediaDescription:
    for media in sections:
        media.direction = media.direction or "sendrecv"  # the default: RFC 8866, section 6.7
    cameras = [media for media in sections if media.kind == "video" and media.direction in ("sendonly", "sendrecv")]
    if not cameras:
        raise OfferMalformed("the offer has no video that is sent")
    return cameras[0]


def _unite(description: SessionDescription, gate: CandidateGate) -> None:
    """Give all sections the one transport that they share, with the candidates that the gate takes.

    Otherwise aiortc would keep only the last section's candidates, and stop the shared transport if the group named another
    section first.
    """
    sections = description.media
    candidates = gate.take(candidate for media in sections for candidate in media.ice_candidates)
    # a publisher whose candidates were left out may still be found by its own check, which a complete list would rule out
    complete = any(media.ice_candidates_complete for media in sections) and not gate.left_out
    for media in sections:
        media.ice_candidates, media.ice_candidates_complete = candidates, complete
        # without a port aiortc would write no a=rtcp-mux; port 9 means none
        media.rtcp_port = media.rtcp_port or 9
    description.group = [GroupDescription("BUNDLE", [media.rtp.muxId for media in sections])]


def _simplify(description: SessionDescription) -> None:
    """Leave out what the room does not need, and what aiortc would fail at later."""
    for media in description.media:
        media.msid = None
        media.ssrc = [each for each in media.ssrc if 0 <= each.ssrc < 1 << 32]
        # a publisher that leaves the choice becomes the DTLS client: only from a client does aiortc accept the RSA certificates
        # of GStreamer's publishers, and RFC 9725, section 4.4, expects the WHIP server to be the DTLS server
        if media.dtls is not None and media.dtls.role == "auto":
            media.dtls.role = "client"


def _codecs(sections: list[MediaDescription]) -> tuple[str, ...]:
    names = {codec.name for media in sections for codec in media.rtp.codecs}
    return tuple(sorted(name for name in names if name.lower() not in _NOT_MEDIA and _TOKEN.fullmatch(name)))[:16]
