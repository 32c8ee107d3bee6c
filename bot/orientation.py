"""The orientation of a sender's pictures: phones send them as the sensor sees them, and say how to turn them (3GPP TS 26.114)."""

from collections.abc import Iterator
from struct import unpack_from

import av
import numpy as np
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters
from aiortc.sdp import SessionDescription

from pipeline.pixels import planes

URI = "urn:3gpp:video-orientation"

_ONE_BYTE, _TWO_BYTES = 0xBEDE, 0x1000
"""The two forms of a header extension; the last four bits of the second profile are free (RFC 8285, section 4)."""
_LAST = 15
"""The id in the one-byte form after which nothing may be read."""
_TURNABLE = ("yuv420p", "yuvj420p")
"""The pixel formats from the decoders of VP8 and H.264; pictures in any other are not turned."""


def heard_of(answer: str, offer: str) -> tuple[str, frozenset[int]]:
    """The answer with every offered orientation extension accepted, and the extension's ids in packets.

    Janus uses the first m-line's id in the packets of all m-lines, so each id is accepted everywhere, unless some m-line uses it
    for another extension.
    """
    if URI not in offer:  # saves parsing, which takes long for the descriptions of a large class
        return answer, frozenset()
    answered, offered = SessionDescription.parse(answer), SessionDescription.parse(offer)
    extensions = [extension for section in offered.media for extension in section.rtp.headerExtensions]
    taken = {each.id for each in extensions if each.uri != URI}
    numbers = frozenset(each.id for each in extensions if each.uri == URI) - taken
    for section, wanted in zip(answered.media, offered.media, strict=True):
        for each in wanted.rtp.headerExtensions:
            if section.kind == "video" and section.port and each.uri == URI and each.id in numbers:
                section.rtp.headerExtensions.append(RTCRtpHeaderExtensionParameters(id=each.id, uri=URI))
    return (str(answered) if numbers else answer), numbers


def quarter_turns(extension: bytes, numbers: frozenset[int]) -> int | None:
    """By how many quarters to turn the pictures clockwise from now on; None if the packet does not say.

    `extension` is a packet's header extension including its first four bytes (RFC 8285), and `numbers` are the ids of the
    orientation extension. Mirroring is ignored, because a mirrored face shows the same emotion.
    """
    for number, value in _elements(extension):
        if number in numbers and value:
            return value[0] & 3
    return None


def _elements(extension: bytes) -> Iterator[tuple[int, bytes]]:
    """The ids and values in a header extension; stops where it is cut short."""
    if len(extension) < 4:
        return
    (profile,) = unpack_from("!H", extension)
    two_bytes = profile & 0xFFF0 == _TWO_BYTES
    if not two_bytes and profile != _ONE_BYTE:
        return
    at = 4
    while at + 1 < len(extension):
        if not extension[at]:  # padding
            at += 1
            continue
        number, length = (extension[at], extension[at + 1]) if two_bytes else (extension[at] >> 4, (extension[at] & 15) + 1)
        at += 2 if two_bytes else 1
        if number == _LAST and not two_bytes:
            return
        yield number, extension[at : at + length]
        at += length


def upright(picture: av.VideoFrame, turns: int) -> av.VideoFrame:
    """The picture turned clockwise by `turns` quarters; unchanged if its pixel format is not one of `_TURNABLE`."""
    if not turns or picture.format.name not in _TURNABLE:
        return picture
    width, height = (picture.height, picture.width) if turns % 2 else (picture.width, picture.height)
    turned = av.VideoFrame(width, height, picture.format.name)
    turned.colorspace, turned.color_range = picture.colorspace, picture.color_range
    for rows, wanted in zip(planes(picture), planes(turned), strict=True):
        wanted[:] = np.rot90(rows, -turns)
    return turned
