"""The parts of an RTP packet that receiving needs, parsed in one go (RFC 3550, section 5.1)."""

from dataclasses import dataclass
from struct import Struct, unpack_from

FIXED_BYTES = 12
_FIXED = Struct("!BBHLL")


@dataclass(slots=True)
class RtpHeader:
    """A packet's header fields, named as in aiortc, its payload without padding, and its header extension unparsed."""

    payload_type: int
    marker: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes
    extension: bytes = b""


def is_media(data: bytes) -> bool:
    """Whether a datagram of at least two bytes is RTP or RTCP, encrypted or not (RFC 7983, section 7)."""
    return 127 < data[0] < 192


def is_report(data: bytes) -> bool:
    """Whether a datagram that `is_media` is RTCP (RFC 5761, section 4)."""
    return 63 < data[1] & 0x7F < 96


def parse_rtp(data: bytes) -> RtpHeader:
    """Parse a packet, but not the content of its header extension; raises ValueError if it is not RTP, or is cut short."""
    if len(data) < FIXED_BYTES:
        raise ValueError("an RTP packet is cut short")
    first, second, number, timestamp, ssrc = _FIXED.unpack_from(data)
    start, end = FIXED_BYTES + 4 * (first & 0x0F), len(data)
    extended = start
    if first & 0x10:
        if end < start + 4:
            raise ValueError("an RTP header extension is cut short")
        start += 4 + 4 * int(unpack_from("!H", data, start + 2)[0])
    if first & 0x20:
        end -= data[-1]
    if first >> 6 != 2 or end < start or (first & 0x20 and not data[-1]):
        raise ValueError("an RTP packet has lengths that do not fit")
    return RtpHeader(second & 0x7F, second >> 7, number, timestamp, ssrc, data[start:end], data[extended:start])
