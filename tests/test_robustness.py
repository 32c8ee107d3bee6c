"""Crops other than FER-2013's squares, and the bot's whole path."""

import numpy as np
import pytest

from bot.judging import evenly, robustness
from bot.on_video import BITS_PER_SECOND, FACE_PIXELS, FRAMES_PER_FACE, PICTURE, on_video
from model.crop import BOX_BELOW_SQUARE, BOX_PER_SQUARE, crop_face
from model.dataset import Split
from model.detector import BlazeFace
from model.evaluate import Candidate, load_candidate
from model.faces import Face, FaceDetector, Image, Picture
from model.robustness import (
    CROPS,
    ENLARGED,
    MARGIN,
    TILTS,
    crop_table,
    cut_otherwise,
    detected,
    places,
    roomy,
    tilt_table,
    tilted,
)
from pipeline.pixels import stretched
from tests.squares import portrait_squares
from tests.synthetic import synthetic_split


class Scripted(FaceDetector):
    """A detector that finds what it is told to, and records what it was shown."""

    def __init__(self, *faces: Face) -> None:
        self._faces = list(faces)
        self.shown: list[Image] = []

    def detect(self, picture: Picture | Image) -> list[Face]:
        # a decoder's picture is valid only until the next one
        self.shown.append(picture if isinstance(picture, np.ndarray) else stretched(picture.grey))
        return self._faces


def remembering(split: Split) -> Candidate:
    """A candidate that knows the faces of the split by heart, and takes all others for angry."""
    known = {face.tobytes(): label for face, label in zip(split.pixels, split.labels, strict=True)}

    def predict(faces: Image) -> np.ndarray:
        return np.eye(7, dtype=np.float32)[[known.get(face.tobytes(), 0) for face in faces]]

    return Candidate(predict, size=48, parameters=None, file_bytes=0)


def test_the_square_itself_is_cut_pixel_for_pixel() -> None:
    faces = synthetic_split(3).pixels
    assert np.array_equal(cut_otherwise(faces, 1.0, 0.0, 0.0), faces)


def test_a_crop_to_the_right_and_down_shows_what_lies_there_and_repeats_the_edge() -> None:
    (face,) = synthetic_split(1).pixels
    (cut,) = cut_otherwise(face[None], 1.0, 3 / 48, 5 / 48)
    assert np.array_equal(cut[:43, :45], face[5:, 3:])
    assert (cut[:43, 45:] == face[5:, 47:]).all() and (cut[43:, :45] == face[47:, 3:]).all()


@pytest.mark.parametrize("crop", [0.5, 1.5])
def test_a_crop_keeps_its_middle(crop: float) -> None:
    face = np.zeros((1, 48, 48), np.uint8)
    face[:, 16:32, 16:32] = 200
    (cut,) = cut_otherwise(face, crop, 0.0, 0.0)
    assert np.array_equal(cut, cut[::-1, ::-1])
    assert (cut > 100).sum() == pytest.approx((16 / crop) ** 2, rel=0.15)


def test_each_crop_tells_what_it_loses_against_the_square() -> None:
    split = synthetic_split(70)
    table = crop_table(remembering(split), split)
    assert [(row["crop"], row["right"], row["down"]) for row in table] == list(CROPS)
    assert (table[0]["accuracy"], table[0]["lost"]) == (1.0, 0.0)
    assert all(row["accuracy"] == pytest.approx(1 / 7) and row["lost"] == pytest.approx(6 / 7) for row in table[1:])


def test_places_are_in_widths_of_the_square_from_its_middle() -> None:
    side = ENLARGED + 2 * MARGIN
    # a box half as wide as the square, with its centre a tenth of that to the left and a fifth down; the eyes are tilted
    middle_x, middle_y, width = MARGIN + 0.4 * ENLARGED, MARGIN + 0.7 * ENLARGED, 0.5 * ENLARGED
    eyes = ((MARGIN + 0.3 * ENLARGED, MARGIN + 0.4 * ENLARGED), (MARGIN + 0.6 * ENLARGED, MARGIN + 0.7 * ENLARGED))
    keypoints = tuple((x / side, y / side) for x, y in eyes)
    face = Face((middle_x - width / 2) / side, (middle_y - width / 2) / side, width / side, width / side, 0.9, keypoints)
    found = {name: place["median"] for name, place in places([face] * 3).items()}
    assert (found["box_width"], found["box_right"], found["box_down"]) == pytest.approx((0.5, -0.1, 0.2))
    assert (found["eyes_down"], found["eye_distance"], found["tilt"]) == pytest.approx((0.05, 0.3 * 2**0.5, 45.0))
    assert found["crop"] == pytest.approx(0.5 / BOX_PER_SQUARE)
    # the square is shifted towards the forehead, which in a head tilted so is up and to the right
    towards = BOX_BELOW_SQUARE * found["crop"] / 2**0.5
    assert (found["crop_right"], found["crop_down"]) == pytest.approx((-0.1 + towards, 0.2 - towards))


def test_the_detector_is_given_room_around_the_square() -> None:
    split, detector = synthetic_split(2), Scripted()
    found = detected(remembering(split), split, detector)
    assert found == {"faces": 2, "found": 0.0}
    assert np.array_equal(detector.shown[0], roomy(split.pixels[0]))
    assert detector.shown[0].shape == (ENLARGED + 2 * MARGIN, ENLARGED + 2 * MARGIN, 3)


def test_a_picture_is_tilted_clockwise_and_repeats_its_edge() -> None:
    picture = np.full((21, 21, 3), 90, np.uint8)
    picture[:, 10] = 200
    quarter = tilted(picture, 90)
    assert np.array_equal(quarter, picture.swapaxes(0, 1))
    picture[3, 10] = 255
    assert tilted(picture, 90)[10, 17].tolist() == [255] * 3
    assert (tilted(np.full((9, 9, 3), 70, np.uint8), 33) == 70).all()


@pytest.mark.parametrize("degrees", [-30, -15, 15, 30])
def test_a_tilted_head_is_cut_more_like_the_upright_one_if_levelled(degrees: float) -> None:
    detector, picture = BlazeFace(), roomy(portrait_squares(1).pixels[0])
    turned = tilted(picture, degrees)
    (upright,), (leaning,) = detector.detect(picture), detector.detect(turned)
    wanted = crop_face(picture, upright, 48).astype(int)
    levelled, left = (np.abs(crop_face(turned, leaning, 48, level) - wanted).mean() for level in (True, False))
    assert levelled < left / 1.5


def test_tilted_heads_are_judged_levelled_and_as_they_are() -> None:
    table = tilt_table(load_candidate(None), portrait_squares(6), BlazeFace())
    assert [row["tilt"] for row in table] == list(TILTS)
    assert all(row.keys() == {"tilt", "found", "levelled", "as_it_is"} and row["found"] == 1.0 for row in table)


def test_tilted_heads_that_nobody_finds_have_no_accuracy() -> None:
    split = synthetic_split(2)
    assert tilt_table(remembering(split), split, Scripted()) == [{"tilt": degrees, "found": 0.0} for degrees in TILTS]


def test_what_the_detector_does_not_find_is_no_error_of_the_video() -> None:
    split = synthetic_split(2)
    found = on_video(remembering(split), split, Scripted())
    assert (found["found"], found["coverage"]) == (0.0, {"no_face": 2}) and "accuracy" not in found


def test_each_face_of_the_video_is_looked_at_once_in_its_place() -> None:
    split, detector = synthetic_split(3), Scripted()
    on_video(remembering(split), split, detector)
    assert [grey.shape for grey in detector.shown] == [(PICTURE[1], PICTURE[0])] * 3
    side = FACE_PIXELS // 2  # certainly within the square
    left, top = (PICTURE[0] - side) // 2, (PICTURE[1] - side) // 2
    for grey, face in zip(detector.shown, split.pixels, strict=True):
        assert grey[top : top + side, left : left + side].mean() == pytest.approx(face[14:34, 14:34].mean(), abs=12)


def test_a_real_face_comes_through_a_poor_connection_and_is_read() -> None:
    split = portrait_squares(6)
    found = robustness(load_candidate(None), split, BlazeFace())
    assert found["faces"] == 6 and found["squares"]["found"] == found["video"]["found"] == 1.0
    assert found["video"]["coverage"] == {"ok": 6}
    assert 0.6 < found["squares"]["places"]["box_width"]["median"] < 1.1
    # the first picture of a video costs much, and only a few follow it
    assert found["video"]["kbit_per_second"] * 1000 < 2 * BITS_PER_SECOND
    assert FRAMES_PER_FACE > 1 and len(found["crops"]) == len(CROPS)


def test_a_subset_comes_from_all_over_the_split() -> None:
    split = synthetic_split(101)
    assert np.array_equal(evenly(split, 3).pixels, split.pixels[[0, 50, 100]])
    assert len(evenly(split, 500)) == 101 and len(evenly(split, 1)) == 1
