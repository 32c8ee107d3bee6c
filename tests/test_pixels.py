"""What is read from a decoded picture, compared with the same picture turned into RGB first."""

from itertools import islice

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from bot.clips import portrait_pictures
from model.crop import crop_face
from model.detector import BlazeFace
from model.faces import Face, Image
from pipeline.pixels import Converter, Pixels, stretched

FORMATS = ("yuv420p", "yuvj420p", "nv12", "yuv422p", "yuv444p", "yuv420p10le", "rgb24", "bgra", "gray")


@pytest.fixture(scope="module")
def portraits() -> list[Image]:
    return list(islice(portrait_pictures(0), 0, None, 16))


@pytest.fixture(scope="module")
def detector() -> BlazeFace:
    return BlazeFace()


def frame(image: Image, pixel_format: str = "yuv420p") -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)


def pixels(picture: av.VideoFrame) -> Pixels:
    return Converter().pixels(picture)


def as_rgb(picture: av.VideoFrame) -> Image:
    return picture.to_ndarray(format="rgb24").astype(np.uint8)


def apart(one: Image, other: Image) -> float:
    """The mean difference in levels."""
    return float(np.abs(one.astype(int) - other).mean())


def drawn(picture: Pixels, width: int, height: int) -> Image:
    place = np.empty((height, width, 3), np.uint8)
    picture.draw(place)
    return place


def box_shift(one: Face, other: Face) -> float:
    """The largest difference in the boxes' centres and sizes, in widths and heights of the second box."""
    across = abs(one.x + one.width / 2 - other.x - other.width / 2) + abs(one.width - other.width)
    down = abs(one.y + one.height / 2 - other.y - other.height / 2) + abs(one.height - other.height)
    return max(across / other.width, down / other.height)


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_a_crop_of_the_grey_plane_is_the_crop_of_the_rgb_picture(
    portraits: list[Image], detector: BlazeFace, pixel_format: str
) -> None:
    for image in portraits:
        picture = frame(image, pixel_format)
        (face,) = detector.detect(image)
        for size in (40, 48):
            crop = stretched(crop_face(pixels(picture).grey, face, size))
            assert apart(crop, crop_face(as_rgb(picture), face, size)) < 2


def test_a_picture_that_says_it_uses_all_levels_is_not_stretched(portraits: list[Image], detector: BlazeFace) -> None:
    picture = frame(portraits[0], "yuvj420p").reformat(format="yuv420p", dst_color_range=ColorRange.JPEG)
    assert (picture.format.name, picture.color_range) == ("yuv420p", ColorRange.JPEG)
    (face,) = detector.detect(portraits[0])
    crop = stretched(crop_face(pixels(picture).grey, face, 48))
    assert apart(crop, crop_face(portraits[0], face, 48)) < 2


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_colours_are_those_of_the_rgb_picture(portraits: list[Image], pixel_format: str) -> None:
    picture = frame(portraits[0], pixel_format)
    wanted = cv2.resize(as_rgb(picture), (128, 72), interpolation=cv2.INTER_AREA)
    assert apart(drawn(pixels(picture), 128, 72), wanted.astype(np.uint8)) < 4


@pytest.mark.parametrize("size", [(160, 90), (320, 180), (640, 360), (1280, 720), (639, 361)])
def test_faces_are_found_in_the_planes_where_they_are_found_in_the_rgb_picture(
    portraits: list[Image], detector: BlazeFace, size: tuple[int, int]
) -> None:
    for image in portraits:
        picture = frame(cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8))
        (found,), (wanted,) = detector.detect(pixels(picture)), detector.detect(as_rgb(picture))
        assert box_shift(found, wanted) < 0.06


def test_no_colour_matrix_that_a_stream_may_name_keeps_a_picture_from_being_read() -> None:
    for matrix in range(1, 18):
        picture = frame(np.full((48, 64, 3), 90, np.uint8), "yuvj420p")
        picture.colorspace = matrix
        assert abs(pixels(picture).brightness - 90) < 3


@pytest.mark.parametrize("level", [0, 40, 128, 255])
def test_brightness_is_the_mean_level(level: int) -> None:
    assert pixels(frame(np.full((90, 160, 3), level, np.uint8))).brightness == pytest.approx(level, abs=1)


def test_the_grey_plane_is_not_copied() -> None:
    picture = frame(np.full((90, 160, 3), 100, np.uint8))
    seen = pixels(picture)
    before = int(seen.grey[10, 10])
    picture.planes[0].update(bytes([before + 50]) * picture.planes[0].buffer_size)
    assert seen.grey[10, 10] == before + 50


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 90), (17, 901), (321, 181)])
def test_a_picture_of_odd_sides_is_seen_whole(width: int, height: int) -> None:
    image = np.full((height, width, 3), 200, np.uint8)
    seen = pixels(frame(image))
    assert (seen.width, seen.height) == (width, height)
    assert drawn(seen, 64, 36).mean() == pytest.approx(200, abs=3)
