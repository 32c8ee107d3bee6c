"""The faces that a generator learns from: clear, frontal, complete, and all in the same place."""

import cv2
import numpy as np
import pytest

from model.aligned_faces import (
    DEVIATION,
    LEFT_EYE,
    MEAN,
    MOUTH,
    RIGHT_EYE,
    align,
    aligned_faces,
    clear,
    oval,
    placing,
    similarity,
)
from model.crop import crop_face
from model.dataset import VOTES, Split
from model.detector import BlazeFace
from model.faces import EMOTIONS, Emotion, Image
from tests.videos import portrait

PLACES = np.array([RIGHT_EYE, LEFT_EYE, (24.0, 29.1), MOUTH])


@pytest.fixture(scope="module")
def face() -> Image:
    """The astronaut, cut as FER-2013's faces are."""
    picture = portrait(480, 360)
    return crop_face(picture, BlazeFace().detect(picture)[0], 48)


def turned(face: Image, degrees: float, scale: float = 1.0) -> Image:
    move = cv2.getRotationMatrix2D((24, 24), degrees, scale)
    return cv2.warpAffine(face, move, (48, 48), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)


def test_a_turned_and_a_smaller_face_come_out_nearly_alike_and_evenly_lit(face: Image) -> None:
    detector = BlazeFace()
    one, other = align(face, detector), align(turned(face, 9, 0.95), detector)
    assert one is not None and other is not None
    inside = oval() > 0
    for aligned in (one, other):
        assert aligned[inside].mean() == pytest.approx(MEAN, abs=6) and aligned[inside].std() == pytest.approx(DEVIATION, abs=8)
    assert np.corrcoef(one[inside], other[inside])[0, 1] > 0.9


def test_no_face_a_cut_face_and_one_from_the_side_are_left_out(face: Image) -> None:
    detector = BlazeFace()
    assert align(np.full((48, 48), 90, np.uint8), detector) is None
    half = np.full_like(face, face.mean())
    half[:, :20] = face[:, 28:]
    assert align(half, detector) is None
    aside = PLACES.copy()
    aside[2, 0] += 6
    assert placing(aside) is None and placing(PLACES) is not None


def test_the_similarity_brings_points_where_they_belong() -> None:
    away = (PLACES @ np.array([[0.8, 0.6], [-0.6, 0.8]]) * 1.7) + (5, -3)
    move = similarity(away, [tuple(point) for point in PLACES])
    assert np.allclose(np.column_stack([away, np.ones(4)]) @ move.T, PLACES)


def split(votes: dict[str, int], label: Emotion, face: Image) -> Split:
    row = np.array([[votes.get(name, 0) for name in VOTES]], np.float32)
    return Split(face[None], np.array([EMOTIONS.index(label)]), row)


def test_a_picture_counts_only_if_enough_of_the_crowd_see_what_its_label_says(face: Image) -> None:
    assert clear(split({"happiness": 8, "neutral": 2}, Emotion.HAPPY, face)).all()
    assert not clear(split({"happiness": 5, "neutral": 5}, Emotion.HAPPY, face)).any()
    assert not clear(split({"happiness": 8, "not_face": 2}, Emotion.HAPPY, face)).any()
    assert clear(split({"disgust": 2, "anger": 8}, Emotion.DISGUST, face)).all()


def test_the_faces_of_a_split_keep_their_labels_and_a_split_without_any_has_none(face: Image) -> None:
    detector = BlazeFace()
    kept = aligned_faces(split({"happiness": 9}, Emotion.HAPPY, face), detector)
    assert (len(kept), kept.labels.tolist()) == (1, [EMOTIONS.index(Emotion.HAPPY)])
    none = aligned_faces(split({"happiness": 9}, Emotion.HAPPY, np.zeros((48, 48), np.uint8)), detector)
    assert len(none) == 0 and none.pixels.shape == (0, 48, 48)
