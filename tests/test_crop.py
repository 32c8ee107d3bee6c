"""The square that is cut out around a face."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from model.crop import BOX_BELOW_SQUARE, BOX_PER_SQUARE, crop_face, square
from model.faces import Face, Image
from model.robustness import tilted


def face_at(x: float, y: float, width: float, height: float) -> Face:
    return Face(x, y, width, height, 0.9, ())


def face_around(left: float, top: float, side: float, image: Image) -> Face:
    """The face whose square this is, given in pixels of the image."""
    height, width = image.shape[:2]
    box = side * BOX_PER_SQUARE
    centre_x, centre_y = left + side / 2, top + side / 2 + BOX_BELOW_SQUARE * side
    return face_at((centre_x - box / 2) / width, (centre_y - box / 2) / height, box / width, box / height)


def noise(width: int, height: int) -> Image:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_square_is_wider_than_the_box_and_reaches_higher() -> None:
    found = square(face_at(0.4, 0.4, 0.17, 0.34), width=1000, height=500)
    assert found.side == pytest.approx(200)
    assert (found.middle_x, found.middle_y) == pytest.approx((485, 285 - 16))
    assert found.turn == 0


def test_a_square_of_the_wanted_size_is_cut_out_pixel_for_pixel() -> None:
    image = noise(100, 80)
    crop = crop_face(image, face_around(20, 10, 48, image), 48)
    assert np.abs(crop.astype(int) - cv2.cvtColor(image[10:58, 20:68], cv2.COLOR_RGB2GRAY)).max() <= 1


def test_a_grey_picture_is_cut_as_a_coloured_one() -> None:
    image = noise(320, 180)
    face = face_at(0.3, 0.3, 0.2, 0.35)
    crop = crop_face(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), face, 48)
    assert np.abs(crop.astype(int) - crop_face(image, face, 48)).mean() < 1


@pytest.mark.parametrize("times", [2, 3, 5, 8])
def test_a_large_face_is_averaged_down_and_not_sampled(times: int) -> None:
    image = noise(600, 500)
    crop = crop_face(image, face_around(30, 20, 48 * times, image), 48)
    window = image[20 : 20 + 48 * times, 30 : 30 + 48 * times]
    wanted = cv2.cvtColor(cv2.resize(window, (48, 48), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    assert np.abs(crop.astype(int) - wanted).max() <= 4


def test_a_huge_face_in_noise_is_grey() -> None:
    image = noise(2400, 2400)
    crop = crop_face(image, face_around(0, 0, 2400, image), 48)
    assert crop.std() < noise(48, 48).std() / 5


def test_a_small_face_is_enlarged_smoothly() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, 50:] = 200
    crop = crop_face(image, face_around(45, 45, 10, image), 48)
    assert (np.diff(crop[24].astype(int)) >= 0).all()
    assert len(np.unique(crop[24])) > 3


def test_the_edge_is_repeated_where_the_square_reaches_over_it() -> None:
    image = np.full((60, 60, 3), 180, np.uint8)
    assert (crop_face(image, face_around(-40, -30, 90, image), 32) == 180).all()


def test_a_square_beside_the_picture_is_the_edge() -> None:
    image = np.full((60, 60, 3), 33, np.uint8)
    assert (crop_face(image, face_around(500, -900, 50, image), 48) == 33).all()


def tilted_face(degrees: float, side: float, width: int, height: int) -> Face:
    """A face in the middle of the picture whose head is tilted clockwise, with both its eyes."""
    box = side * BOX_PER_SQUARE
    turn = math.radians(degrees)
    across, down = 0.18 * side * math.cos(turn) / width, 0.18 * side * math.sin(turn) / height
    eyes = ((0.5 - across, 0.5 - down), (0.5 + across, 0.5 + down))
    return Face(0.5 - box / width / 2, 0.5 - box / height / 2, box / width, box / height, 0.9, eyes)


@pytest.mark.parametrize("degrees", [-40, -10, 0, 25])
def test_a_tilted_head_is_cut_as_an_upright_one(degrees: float) -> None:
    rows, columns = np.mgrid[:180, :320]
    room = np.stack([columns * 0.8, rows * 1.4, 255 - columns * 0.5 - rows * 0.3], axis=-1).astype(np.uint8)
    upright = crop_face(room, tilted_face(0, 70, 320, 180), 48)
    crop = crop_face(tilted(room, degrees), tilted_face(degrees, 70, 320, 180), 48)
    assert np.abs(crop.astype(int) - upright).max() <= 3


def test_a_head_tilted_clockwise_has_its_square_to_the_right_of_its_box() -> None:
    found = square(tilted_face(30, 100, 320, 180), 320, 180)
    assert (found.middle_x, found.middle_y) == pytest.approx((160 + 8 * 0.5, 90 - 8 * 0.75**0.5))
    assert found.turn == pytest.approx(math.pi / 6)


def test_a_head_that_lies_on_its_side_is_turned_as_far_as_its_eyes_tell() -> None:
    found = square(Face(0.4, 0.3, 0.2, 0.2, 0.9, ((0.48, 0.35), (0.52, 0.55))), 320, 180)
    assert found.turn == pytest.approx(math.atan2(0.2 * 180, 0.04 * 320))


@pytest.mark.parametrize(
    "eyes",
    [
        pytest.param(((0.5, 0.4), (0.51, 0.45)), id="of a face from the side"),
        pytest.param(((0.5, 0.4), (0.5, 0.4)), id="in one place"),
        pytest.param(((0.55, 0.4), (0.45, 0.42)), id="the wrong way round"),
    ],
)
def test_eyes_that_tell_no_tilt_turn_nothing(eyes: tuple[tuple[float, float], ...]) -> None:
    assert square(Face(0.4, 0.3, 0.2, 0.2, 0.9, eyes), 320, 180).turn == 0


def test_a_square_that_is_not_to_be_levelled_is_upright() -> None:
    face = tilted_face(30, 100, 320, 180)
    assert square(face, 320, 180, level=False) == square(replace(face, keypoints=()), 320, 180)
    assert square(face, 320, 180, level=False).turn == 0


@pytest.mark.parametrize("size", [24, 32, 48, 64])
def test_the_crop_has_the_size_that_is_asked_for(size: int) -> None:
    crop = crop_face(noise(320, 180), face_at(0.3, 0.3, 0.2, 0.35), size)
    assert crop.shape == (size, size)
    assert crop.dtype == np.uint8


def test_red_weighs_as_the_first_channel() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[..., 0] = 255
    assert crop_face(image, face_around(5, 5, 48, image), 48).mean() == pytest.approx(0.299 * 255, abs=1)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 300), (300, 1)])
def test_a_picture_of_one_line_can_be_cut(width: int, height: int) -> None:
    assert crop_face(noise(width, height), face_at(0.1, 0.1, 0.8, 0.8), 48).shape == (48, 48)
