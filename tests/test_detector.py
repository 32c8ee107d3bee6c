"""BlazeFace on a real portrait, and on pictures that nobody would send on purpose."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from model.card import SHIPPED_WEIGHTS, fingerprint
from model.detector import BlazeFace, anchors, merge, overlap, sigmoid
from model.errors import ModelUnusable
from model.faces import Face, Image

PORTRAIT = Path(__file__).parent.parent / "bot" / "astronaut.jpg"


@pytest.fixture(scope="module")
def detector() -> BlazeFace:
    return BlazeFace()


@pytest.fixture(scope="module")
def portrait() -> Image:
    """512x512 RGB: a face in the upper middle, with its eyes near (204, 101) and (248, 108)."""
    return np.ascontiguousarray(cv2.imread(str(PORTRAIT))[..., ::-1])


def frame_with(pictures: list[tuple[Image, int, int]], width: int, height: int) -> Image:
    """A grey frame with pictures placed at x, y."""
    frame = np.full((height, width, 3), 90, np.uint8)
    for picture, x, y in pictures:
        frame[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return frame


def shrunk(picture: Image, size: int) -> Image:
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)


def centre(face: Face) -> tuple[float, float]:
    return face.x + face.width / 2, face.y + face.height / 2


def test_the_face_of_a_portrait_is_found_where_it_is(detector: BlazeFace, portrait: Image) -> None:
    (face,) = detector.detect(portrait)
    assert centre(face) == pytest.approx((0.44, 0.25), abs=0.02)
    assert face.width == pytest.approx(0.18, abs=0.03)
    assert face.score > 0.8


def test_the_key_points_lie_on_eyes_nose_and_mouth(detector: BlazeFace, portrait: Image) -> None:
    (face,) = detector.detect(portrait)
    right_eye, left_eye, nose, mouth, right_ear, left_ear = face.keypoints
    assert right_eye == pytest.approx((204 / 512, 101 / 512), abs=0.015)
    assert left_eye == pytest.approx((248 / 512, 108 / 512), abs=0.015)
    assert right_ear[0] < right_eye[0] < nose[0] < left_eye[0] < left_ear[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < mouth[1] < face.y + face.height


@pytest.mark.parametrize(("width", "height"), [(320, 180), (180, 320), (640, 480), (300, 300), (1920, 1080), (151, 201)])
def test_a_face_is_found_at_its_place_whatever_the_format(detector: BlazeFace, portrait: Image, width: int, height: int) -> None:
    size = min(width, height)
    left, top = (width - size) // 2, (height - size) // 2
    (face,) = detector.detect(frame_with([(shrunk(portrait, size), left, top)], width, height))
    x, y = centre(face)
    assert ((x * width - left) / size, (y * height - top) / size) == pytest.approx((0.44, 0.25), abs=0.03)
    assert face.width * width == pytest.approx(face.height * height, rel=0.1)


def test_three_faces_are_told_apart_and_the_largest_comes_first(detector: BlazeFace, portrait: Image) -> None:
    head = portrait[10:250, 105:345]
    pasted = [(shrunk(head, 160), 15, 10), (shrunk(head, 220), 190, 5), (shrunk(head, 190), 105, 210)]
    faces = detector.detect(frame_with(pasted, 420, 420))
    assert [centre(face)[0] * 420 for face in faces] == pytest.approx([190 + 110, 105 + 95, 15 + 80], abs=12)
    assert [face.area for face in faces] == sorted((face.area for face in faces), reverse=True)


@pytest.mark.parametrize(("x", "y"), [(5, 60), (170, 130), (345, 20)])
def test_a_face_of_a_twelfth_of_a_wide_picture_is_found_once(detector: BlazeFace, portrait: Image, x: int, y: int) -> None:
    (face,) = detector.detect(frame_with([(shrunk(portrait[0:300, 75:375], 130), x, y)], 480, 270))
    wanted = (x + (0.44 * 512 - 75) * 130 / 300, y + 0.25 * 512 * 130 / 300)
    assert (centre(face)[0] * 480, centre(face)[1] * 270) == pytest.approx(wanted, abs=6)
    assert face.width * 480 == pytest.approx(face.height * 270, rel=0.1)


def test_a_small_face_is_found_in_a_tall_picture(detector: BlazeFace, portrait: Image) -> None:
    (face,) = detector.detect(frame_with([(shrunk(portrait[0:300, 75:375], 130), 60, 340)], 270, 480))
    assert centre(face)[1] * 480 == pytest.approx(340 + 0.25 * 512 * 130 / 300, abs=6)


@pytest.mark.parametrize(("width", "height"), [(320, 180), (180, 320), (320, 240), (300, 200)])
@pytest.mark.parametrize("share", [0.8, 1.0])
def test_a_picture_shows_the_same_alone_and_within_a_square(
    detector: BlazeFace, portrait: Image, width: int, height: int, share: float
) -> None:
    size = round(min(width, height) * share)
    left, top = (width - size) // 2, (height - size) // 3
    picture = frame_with([(shrunk(portrait[0:300, 75:375], size), left, top)], width, height)
    side = max(width, height)
    square = np.zeros((side, side, 3), np.uint8)
    across, down = (side - width) // 2, (side - height) // 2
    square[down : down + height, across : across + width] = picture
    (face,), (wanted,) = detector.detect(picture), detector.detect(square)
    x, y = centre(wanted)
    shift = np.array(centre(face)) - ((x * side - across) / width, (y * side - down) / height)
    assert (np.abs(shift) < 0.08 * np.array([face.width, face.height])).all()
    assert face.width * width == pytest.approx(wanted.width * side, rel=0.08)


def test_a_face_too_far_away_is_not_made_up(detector: BlazeFace, portrait: Image) -> None:
    assert detector.detect(frame_with([(shrunk(portrait, 24), 100, 100)], 640, 360)) == []


@pytest.mark.parametrize("level", [0, 127, 255])
@pytest.mark.parametrize(("width", "height"), [(320, 180), (1, 1), (1, 4000), (4000, 3)])
def test_nothing_is_found_in_an_even_picture(detector: BlazeFace, level: int, width: int, height: int) -> None:
    assert detector.detect(np.full((height, width, 3), level, np.uint8)) == []


def test_nothing_is_found_in_noise(detector: BlazeFace) -> None:
    random = np.random.default_rng(7)
    assert [detector.detect(random.integers(0, 256, (180, 320, 3), dtype=np.uint8)) for _ in range(20)] == [[]] * 20


def test_a_picture_without_pixels_has_no_face(detector: BlazeFace) -> None:
    assert detector.detect(np.zeros((0, 320, 3), np.uint8)) == []


def test_one_picture_leaves_nothing_behind_for_the_next(detector: BlazeFace, portrait: Image) -> None:
    wide = frame_with([(shrunk(portrait, 180), 70, 0)], 320, 180)
    before = detector.detect(wide)
    detector.detect(np.full((512, 100, 3), 255, np.uint8))
    assert detector.detect(wide) == before


def test_a_picture_cut_out_of_a_larger_one_needs_no_copy(detector: BlazeFace, portrait: Image) -> None:
    window = portrait[40:300, 60:400]
    assert detector.detect(window) == detector.detect(np.ascontiguousarray(window))


def test_pictures_of_several_formats_show_together_what_each_shows_alone(detector: BlazeFace, portrait: Image) -> None:
    small = shrunk(portrait[0:300, 75:375], 130)
    pictures = [
        portrait,
        np.zeros((0, 320, 3), np.uint8),
        frame_with([(small, 170, 130)], 480, 270),  # found only by a closer look
        np.full((180, 320, 3), 90, np.uint8),
        frame_with([(shrunk(portrait, 180), 70, 0)], 320, 180),
        frame_with([(small, 60, 340)], 270, 480),
    ]
    found = detector.detect_each(pictures)
    assert found == [detector.detect(picture) for picture in pictures]
    assert [len(faces) for faces in found] == [1, 0, 1, 0, 1, 1]


def test_a_face_that_is_less_sure_than_the_threshold_is_left_out(portrait: Image) -> None:
    (face,) = BlazeFace().detect(portrait)
    assert BlazeFace(threshold=face.score + 0.01).detect(portrait) == []


def test_there_are_896_anchors_row_by_row() -> None:
    centres = anchors(128, 128)
    assert centres.shape == (896, 2)
    assert centres[:4] == pytest.approx(np.array([[4, 4], [4, 4], [12, 4], [12, 4]]))
    assert centres[512:518] == pytest.approx(np.full((6, 2), 8))
    assert centres[-1] == pytest.approx(np.array([120, 120]))


def test_a_wide_input_has_anchors_as_close_as_a_square_one() -> None:
    centres = anchors(128, 80)
    assert centres.shape == (16 * 10 * 2 + 8 * 5 * 6, 2)
    assert (centres.min(axis=0) == (4, 4)).all() and (centres.max(axis=0) == (124, 76)).all()
    assert centres[30:34] == pytest.approx(np.array([[124, 4], [124, 4], [4, 12], [4, 12]]))


def rows(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    """Rows whose boxes have these corners, each with a key point in the lower right one."""
    numbers = np.zeros((len(boxes), 16), np.float32)
    for row, (left, top, right, bottom) in zip(numbers, boxes, strict=True):
        row[:6] = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top, right, bottom
    return numbers


def test_overlap_is_shared_area_over_covered_area() -> None:
    others = [(0, 0, 2, 2), (1, 0, 3, 2), (5, 5, 6, 6), (3, 3, 3, 3)]
    assert [overlap((0, 0, 2, 2), other) for other in others] == pytest.approx([1, 1 / 3, 0, 0])


def test_overlapping_boxes_are_blended_by_their_scores() -> None:
    (first, second) = merge(rows((0, 0, 4, 4), (1, 0, 5, 4), (8, 8, 9, 9)), [0.6, 0.9, 0.7])
    assert first[0][:6] == pytest.approx([2.6, 2, 4, 4, 4.6, 4]) and first[1] == 0.9
    assert second[0][:6] == pytest.approx([8.5, 8.5, 1, 1, 9, 9]) and second[1] == 0.7


def test_a_box_turned_inside_out_is_no_face() -> None:
    assert merge(rows((4, 4, 1, 1)), [0.9]) == []


def test_no_rows_are_no_faces() -> None:
    assert merge(rows(), []) == []


@pytest.mark.parametrize(("log_odds", "wanted"), [(-1e6, 0), (0, 0.5), (1e6, 1)])
def test_a_sigmoid_survives_any_score(log_odds: float, wanted: float) -> None:
    assert sigmoid(log_odds) == pytest.approx(wanted)


def test_another_graph_with_an_honest_card_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(SHIPPED_WEIGHTS / "blazeface_short_range", tmp_path / "weights")
    card = json.loads((folder / "card.json").read_text())
    (folder / card["file"]).write_bytes(b"no graph at all")
    (folder / "card.json").write_text(json.dumps(card | {"sha256": fingerprint(b"no graph at all")}))
    with pytest.raises(ModelUnusable, match=r"face_detection_short_range\.tflite is not a graph"):
        BlazeFace(folder)
