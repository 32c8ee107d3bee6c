"""The mark by which tests tell whom a frame shows: it must survive what a bad line does to video, and never become another's."""

import av
import cv2
import numpy as np
import pytest

from model.faces import Image
from tests.fakes import picture
from tests.marks import LARGEST_MARK, mark_in, mark_of, marked, marked_clip, marked_pictures


def grey(image: Image) -> Image:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def smaller(image: Image, size: tuple[int, int]) -> Image:
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def frames_of(packets: tuple[bytes, ...]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("vp8", "r")
    return [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]


@pytest.mark.slow
def test_every_number_reads_as_itself_at_every_size() -> None:
    plain = np.full((360, 640, 3), 127, np.uint8)
    for number in range(LARGEST_MARK + 1):
        large = marked(plain, number)
        for size in ((320, 180), (98, 54)):
            assert mark_in(smaller(grey(large), size)) == number


@pytest.mark.parametrize("number", [0, 165])
def test_every_frame_of_a_clip_carries_its_mark_after_vp8(number: int) -> None:
    frames = frames_of(marked_clip(number, (160, 90), seconds=1).packets)
    assert [mark_of(frame) for frame in frames] == [number] * 10


def test_a_picture_without_a_mark_has_none() -> None:
    assert mark_of(picture(320, 180)) is None
    noise = np.random.default_rng(1).integers(0, 256, (180, 320), dtype=np.uint8)
    assert mark_in(noise) is None


def test_a_mix_of_two_students_is_nobody() -> None:
    one, other = (next(marked_pictures(number, (320, 180), 1)) for number in (3, 5))
    half = cv2.addWeighted(one, 0.5, other, 0.5, 0).astype(np.uint8, copy=False)
    assert mark_in(grey(half)) is None
