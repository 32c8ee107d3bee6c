"""Reading RTP headers: with the same result as aiortc, whatever they contain."""

import random
import struct

import pytest
from aiortc.rtp import RtpPacket

from bot.rtp_header import parse_rtp


def generated(chance: random.Random) -> bytes:
    """A packet with any sources, extension, payload and padding, put together by hand."""
    sources, extended, padding = chance.randrange(16), chance.random() < 0.5, chance.choice((0, 0, 1, 4, 255))
    first = 0x80 | (0x20 if padding else 0) | (0x10 if extended else 0) | sources
    numbers = chance.randrange(256), chance.randrange(65_536), chance.randrange(1 << 32), chance.randrange(1 << 32)
    header = struct.pack("!BBHLL", first, *numbers) + chance.randbytes(4 * sources)
    if extended:
        words = chance.randrange(5)
        header += struct.pack("!HH", 0xABCD, words) + chance.randbytes(4 * words)
    fill = bytes(padding - 1) + bytes([padding]) if padding else b""
    return header + chance.randbytes(chance.choice((0, 1, 20, 1200))) + fill


def told_by_both(packet: bytes) -> list[tuple[int, int, int, int, int, bytes]]:
    """What both parsers say of a packet."""
    return [
        (each.payload_type, each.marker, each.sequence_number, each.timestamp, each.ssrc, each.payload)
        for each in (parse_rtp(packet), RtpPacket.parse(packet))
    ]


@pytest.mark.parametrize("seed", range(4))
def test_a_header_is_read_as_aiortc_reads_it(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(500):
        ours, theirs = told_by_both(generated(chance))
        assert ours == theirs


@pytest.mark.parametrize("seed", range(4))
def test_a_packet_that_is_cut_short_is_refused_where_aiortc_refuses_it(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(500):
        packet = generated(chance)
        cut = packet[: chance.randrange(len(packet))]
        try:
            RtpPacket.parse(cut)
        except ValueError:
            with pytest.raises(ValueError, match="RTP"):
                parse_rtp(cut)
        else:
            ours, theirs = told_by_both(cut)
            assert ours == theirs


def test_of_any_bytes_nothing_comes_but_a_header_or_a_refusal() -> None:
    chance, refused = random.Random(1), 0
    for _ in range(20_000):
        garbage = chance.choice((b"", b"\x80", b"\xb0")) + chance.randbytes(chance.randrange(40))
        try:
            assert len(parse_rtp(garbage).payload) < len(garbage)
        except ValueError:
            refused += 1
    assert 0 < refused < 20_000


@pytest.mark.parametrize("length", [0, 255])
def test_padding_of_an_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        parse_rtp(struct.pack("!BBHLL", 0xA0, 96, 1, 2, 3) + bytes([length]))
