"""How a sender's pictures are oriented: what its packets say, and what that does to a picture."""

import random
import struct

import av
import numpy as np
import pytest
from aiortc.sdp import SessionDescription

from bot.orientation import URI, heard_of, quarter_turns, upright

ONE_BYTE, TWO_BYTES = 0xBEDE, 0x1000
NUMBERS = frozenset({4, 9})


def extension(profile: int, elements: bytes) -> bytes:
    """A header extension as it appears in a packet, padded to whole words."""
    elements += bytes(-len(elements) % 4)
    return struct.pack("!HH", profile, len(elements) // 4) + elements


@pytest.mark.parametrize("turns", range(4))
def test_the_word_is_found_among_others_in_both_forms(turns: int) -> None:
    # number 1 with three bytes, padding, and number 9, which also carries the camera's side and mirroring
    assert quarter_turns(extension(ONE_BYTE, bytes([0x12, 1, 2, 3, 0, 0x90, 0b1100 | turns])), NUMBERS) == turns
    assert quarter_turns(extension(TWO_BYTES, bytes([1, 3, 1, 2, 3, 0, 9, 1, 0b1100 | turns])), NUMBERS) == turns


@pytest.mark.parametrize(
    ("profile", "elements"),
    [
        (ONE_BYTE, b""),
        (ONE_BYTE, bytes([0x51, 1, 2])),  # only others
        (ONE_BYTE, bytes([0xF0, 1, 0x40, 1])),  # after the end of the list
        (TWO_BYTES, bytes([4, 0, 0, 0])),  # without a value
        (0xABCD, bytes([0x40, 1, 0, 0])),  # of an unknown form
    ],
)
def test_a_packet_that_does_not_say_leaves_things_as_they_are(profile: int, elements: bytes) -> None:
    assert quarter_turns(extension(profile, elements), NUMBERS) is None


def test_of_any_bytes_nothing_comes_but_a_turn_or_none() -> None:
    chance, found = random.Random(1), set[int | None]()
    for _ in range(20_000):
        garbage = chance.choice((b"", b"\xbe\xde\0\1", b"\x10\0\0\1")) + chance.randbytes(chance.randrange(12))
        found.add(quarter_turns(garbage, NUMBERS))
    assert found == {None, 0, 1, 2, 3}


@pytest.mark.parametrize("size", [(64, 48), (33, 17)])
@pytest.mark.parametrize("turns", range(4))
def test_a_picture_is_turned_clockwise_with_its_colours(turns: int, size: tuple[int, int]) -> None:
    width, height = size
    picture = av.VideoFrame(width, height, "yuv420p")
    picture.color_range = av.video.reformatter.ColorRange.JPEG
    chance = np.random.default_rng(1)
    before = [chance.integers(0, 256, (plane.height, plane.width), np.uint8) for plane in picture.planes]
    for plane, values in zip(picture.planes, before, strict=True):
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width] = values
    turned = upright(picture, turns)
    assert (turned.width, turned.height) == (size if turns % 2 == 0 else size[::-1])
    assert turned.color_range == picture.color_range
    for plane, values in zip(turned.planes, before, strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        assert np.array_equal(rows, np.rot90(values, -turns))


MID = "urn:ietf:params:rtp-hdrext:sdes:mid"


def description(*sections: tuple[str, int, tuple[int, ...]]) -> str:
    """An SDP whose sections each have a kind, a port, and extensions that say how pictures are oriented."""
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    for mid, (kind, port, numbers) in enumerate(sections):
        lines += [f"m={kind} {port} UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", f"a=mid:{mid}", "a=recvonly"]
        lines += ["a=ice-ufrag:user", "a=ice-pwd:a-password-of-ice-for-tests", "a=setup:active", "a=rtpmap:96 VP8/90000"]
        lines += [f"a=extmap:1 {MID}", *(f"a=extmap:{number} {URI}" for number in numbers)]
    return "\r\n".join([*lines, ""])


def test_an_answer_takes_up_each_offer_to_tell_how_pictures_lie() -> None:
    offer = description(("video", 9, (4,)), ("video", 9, ()), ("video", 9, (13,)), ("video", 9, (1,)))
    answer = description(("video", 9, ()), ("video", 9, ()), ("video", 9, ()), ("video", 9, ()))
    taken_up, numbers = heard_of(answer, offer)
    assert numbers == {4, 13}  # 1 is the extension that tells m-lines apart
    told = [{each.id for each in section.rtp.headerExtensions} for section in SessionDescription.parse(taken_up).media]
    assert told == [{1, 4}, {1}, {1, 13}, {1}]


def test_what_is_turned_down_takes_up_nothing() -> None:
    taken_up, _ = heard_of(description(("video", 0, ()), ("audio", 9, ())), description(("video", 0, (7,)), ("audio", 9, (7,))))
    assert URI not in taken_up


def test_an_answer_to_an_offer_without_it_stays_as_it_is() -> None:
    answer = description(("video", 9, ()))
    assert heard_of(answer, answer) == (answer, frozenset())
