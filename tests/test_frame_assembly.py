"""Putting frames together from packets that come late, twice, never, or with only padding in them."""

import random

import pytest

from bot.frame_assembly import (
    MOST_PARTS,
    MOST_WAITING,
    PATIENCE_SECONDS,
    EncodedFrame,
    FrameAssembler,
    Piece,
    is_h264_keyframe,
    is_vp8_keyframe,
    vp8_payload,
)

KEY, DELTA = b"K", b"D"
FIRST = 65_500
"""The first packet's sequence number; the numbers wrap to 0 after 65,535."""


def assembler() -> FrameAssembler:
    return FrameAssembler(lambda frame: frame.startswith(KEY))


def frame(number: int, size: int = 3, *, key: bool = False, at: int = 0, marked: bool = True) -> list[Piece]:
    """The pieces of the source's frame `number`; its first packet is the source's packet `at`."""
    texts = [(KEY if key else DELTA) + b"%d" % number, *[b"."] * (size - 1)]
    return [
        Piece((FIRST + at + place) % 65_536, number * 3000, place == 0, marked and place == size - 1, text)
        for place, text in enumerate(texts)
    ]


def source(count: int = 30, keys: int = 10, *, marked: bool = True) -> list[Piece]:
    """The pieces of frames of 1 to 4 packets, with a keyframe every `keys` frames."""
    pieces: list[Piece] = []
    for number in range(count):
        pieces += frame(number, 1 + number % 4, key=number % keys == 0, at=len(pieces), marked=marked)
    return pieces


def taken(into: FrameAssembler, pieces: list[Piece], step_seconds: float = 0.01) -> list[EncodedFrame]:
    return [whole for place, piece in enumerate(pieces) for whole in into.add(piece, place * step_seconds)]


def numbers(frames: list[EncodedFrame]) -> list[int]:
    return [each.timestamp // 3000 for each in frames]


def test_a_frame_is_whole_with_its_last_packet() -> None:
    into, pieces = assembler(), frame(0, 3, key=True)
    assert [into.add(piece, 0) for piece in pieces] == [[], [], [EncodedFrame(b"K0..", 0)]]


def test_where_no_packet_says_it_is_the_last_a_frame_is_whole_with_the_next_ones_first() -> None:
    assert numbers(taken(assembler(), source(marked=False))) == list(range(29))


@pytest.mark.parametrize("seed", range(20))
def test_packets_in_any_near_order_and_twice_give_the_same_frames(seed: int) -> None:
    chance = random.Random(seed)
    pieces = source()
    late = sorted(range(len(pieces)), key=lambda place: place + chance.uniform(0, 6) * (place > 4))
    shuffled = [pieces[place] for place in late for _ in range(chance.choice((1, 1, 2)))]
    assert taken(assembler(), shuffled) == taken(assembler(), source())


def test_padding_is_part_of_no_frame() -> None:
    pieces = source()
    padded: list[Piece] = []
    for piece in pieces:
        for data in (piece.data, b""):
            number = (FIRST + len(padded)) % 65_536
            padded.append(
                Piece(number, piece.timestamp + (not data), bool(data) and piece.begins, bool(data) and piece.ends, data)
            )
    assert taken(assembler(), padded) == taken(assembler(), pieces)


def test_nothing_is_handed_on_before_a_keyframe() -> None:
    into, pieces = assembler(), source()
    later = [piece for piece in pieces if piece.timestamp >= 4 * 3000]
    assert numbers(taken(into, later)) == list(range(10, 30))
    assert into.lost == 6


def test_a_source_joined_in_the_middle_of_a_keyframe_waits_for_the_next_one() -> None:
    pieces = [*frame(0, 3, key=True)[1:], *frame(1, 1, at=3), *frame(2, 2, key=True, at=4)]
    disguised = [Piece(pieces[0].number, 0, False, False, b"K?"), *pieces[1:]]
    assert numbers(taken(assembler(), disguised)) == [2]


def test_a_lost_packet_that_comes_in_time_costs_nothing() -> None:
    pieces = source()
    late = [*pieces[:8], *pieces[9:20], pieces[8], *pieces[20:]]
    assert numbers(taken(assembler(), late, PATIENCE_SECONDS / 20)) == list(range(30))


def test_a_lost_packet_that_never_comes_costs_the_frames_to_the_next_keyframe() -> None:
    into, pieces = assembler(), source()
    hole = next(place for place, piece in enumerate(pieces) if piece.timestamp == 3 * 3000)
    frames = taken(into, pieces[:hole] + pieces[hole + 1 :], PATIENCE_SECONDS / 5)
    assert numbers(frames) == [0, 1, 2, *range(10, 30)]
    assert into.lost == 7 and not into.broken


def test_a_frame_that_was_lost_behind_the_assembler_costs_the_same() -> None:
    into, pieces = assembler(), source()
    fifth = next(place for place, piece in enumerate(pieces) if piece.timestamp == 5 * 3000)
    before = taken(into, pieces[:fifth])
    into.lose()
    assert numbers(before + taken(into, pieces[fifth:])) == [*range(5), *range(10, 30)]


def test_a_source_that_jumps_begins_anew_with_a_keyframe() -> None:
    into = assembler()
    assert numbers(taken(into, source(5))) == list(range(5))
    assert into.add(Piece((FIRST + 20_000) % 65_536, 90_000, True, True, b"D"), 1) == []
    assert into.broken
    assert numbers(into.add(Piece((FIRST + 20_001) % 65_536, 93_000, True, True, b"K"), 1)) == [31]


def test_a_second_gap_has_its_own_time() -> None:
    into = assembler()
    taken(into, frame(0, 1, key=True))
    packets = [frame(number, 1, at=number)[0] for number in range(1, 6)]
    step = 0.7 * PATIENCE_SECONDS
    # the first packet is late, and before it comes, the third goes missing as well
    assert numbers(into.add(packets[1], 0)) == []
    assert numbers(into.add(packets[3], step)) == []
    assert numbers(into.add(packets[0], 1.1 * PATIENCE_SECONDS - 0.2)) == [1, 2]
    assert numbers(into.add(packets[4], 1.7 * PATIENCE_SECONDS - 0.2)) == []
    assert numbers(into.add(packets[2], 1.8 * PATIENCE_SECONDS - 0.2)) == [3, 4, 5]


def test_a_frame_without_an_end_is_given_up() -> None:
    into = assembler()
    endless = [Piece((FIRST + place) % 65_536, 0, place == 0, False, KEY) for place in range(3 * MOST_PARTS)]
    for piece in endless:
        assert into.add(piece, 0) == []
        assert len(into._parts) < MOST_PARTS
    assert into.broken and into.lost == 3
    assert numbers(taken(into, frame(1, 2, key=True, at=len(endless)))) == [1]


def test_another_codec_begins_with_a_keyframe_of_its_own() -> None:
    into = assembler()
    assert numbers(taken(into, frame(0, 1, key=True))) == [0]
    into.use(lambda whole: whole.startswith(DELTA))
    assert numbers(taken(into, frame(1, 1, key=True, at=1))) == []
    assert numbers(taken(into, frame(2, 1, at=2))) == [2]


def test_what_waits_is_bounded() -> None:
    into = assembler()
    taken(into, frame(0, 1, key=True))
    for place in range(2, 3 * MOST_WAITING):
        into.add(Piece((FIRST + place) % 65_536, place, True, True, b"D"), 0)
        assert len(into._waiting) < MOST_WAITING


@pytest.mark.parametrize(
    ("payload", "begins", "data"),
    [
        (b"\x10data", True, b"data"),
        (b"\x00data", False, b"data"),
        (b"\x11data", False, b"data"),
        (b"\x90\x80\x07data", True, b"data"),
        (b"\x90\x80\x87\x01data", True, b"data"),
        (b"\x90\xe0\x87\x01\x05\x20data", True, b"data"),
        (b"\x90\x20\x20data", True, b"data"),
        (b"\x90\x10\x20data", True, b"data"),
    ],
)
def test_the_descriptor_of_a_vp8_packet_is_read(payload: bytes, begins: bool, data: bytes) -> None:
    assert vp8_payload(payload) == (begins, data)


@pytest.mark.parametrize("payload", [b"", b"\x90", b"\x90\x80"])
def test_a_descriptor_that_is_cut_short_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="cut short"):
        vp8_payload(payload)


def test_keyframes_are_known_by_their_first_bytes() -> None:
    assert is_vp8_keyframe(b"\x10\x02\x00") and not is_vp8_keyframe(b"\x11\x02\x00")
    parameters, keyframe, other = b"\0\0\0\1\x67\x42", b"\0\0\0\1\x65\x88", b"\0\0\0\1\x41\x9a"
    assert is_h264_keyframe(parameters + keyframe) and is_h264_keyframe(keyframe)
    assert not is_h264_keyframe(other) and not is_h264_keyframe(parameters) and not is_h264_keyframe(b"\0\0\1")
    second_slice = b"\0\0\0\1\x65\x48"
    assert is_h264_keyframe(keyframe + second_slice) and not is_h264_keyframe(second_slice), "its beginning was lost"
