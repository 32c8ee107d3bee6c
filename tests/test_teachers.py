"""What networks see in the training faces, and how another network learns from it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.card import SHIPPED_WEIGHTS
from model.dataset import Split, parts_of
from model.errors import DataUnusable, ModelUnusable
from model.provenance import TRAINING_FILE
from model.splits import read_splits, read_training
from model.teachers import read_scores, seen_by, seen_without, write_scores
from tests.synthetic import synthetic_split, write_split


def answers(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(7), count).astype(np.float32)


def test_what_teachers_saw_is_read_as_it_was_written_on_the_average(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_scores(tmp_path / f"{seed}.csv", answers(5, seed))
    read = read_scores([tmp_path / "1.csv", tmp_path / "2.csv"], 5)
    assert read == pytest.approx((answers(5, 1) + answers(5, 2)) / 2, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("angry,disgust,fear,happy,sad,surprise,neutral\n1,0,0,0,0,0,0\n", "has lines for 1 faces, not for the 2"),
        ("angry,disgust,fear,happy,sad,surprise\n1,0,0,0,0,0\n1,0,0,0,0,0\n", "has no column neutral: it is not what"),
        ("angry,disgust,fear,happy,sad,surprise,neutral\n1,0,0,0,0,0,x\n", "could not convert string to float"),
        ("angry,disgust,fear,happy,sad,surprise,neutral\n" + "1,0,0,0,0,0,0.5\n" * 2, "do not add up to 1"),
        ("angry,disgust,fear,happy,sad,surprise,neutral\n" + "1.5,-0.5,0,0,0,0,0\n" * 2, "negative"),
        ("", "has no column angry"),
    ],
)
def test_answers_that_are_none_are_refused_in_one_line_that_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "answers.csv").write_text(text)
    with pytest.raises(DataUnusable) as refusal:
        read_scores([tmp_path / "answers.csv"], 2)
    assert str(tmp_path / "answers.csv") in str(refusal.value) and says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_answers_stay_with_their_faces_when_repeats_are_left_out(tmp_path: Path) -> None:
    training, test = synthetic_split(40, seed=1), synthetic_split(7, seed=2)
    training.pixels[3] = test.pixels[0]
    write_split(training, tmp_path, "training")
    write_split(test, tmp_path, "public-test")
    write_scores(tmp_path / "answers.csv", answers(40))
    kept, _ = read_splits(tmp_path, [tmp_path / "answers.csv"])
    assert len(read_training(tmp_path)) == 40 and len(kept) == 39
    assert kept.taught == pytest.approx(np.delete(answers(40), 3, axis=0), abs=1e-4)


def taught(split: Split) -> Split:
    return replace(split, taught=answers(len(split)))


def test_parts_of_a_split_keep_their_teachers_answers() -> None:
    split = taught(synthetic_split(20))
    rest, held = split.parted(0.25, seed=1)
    assert rest.taught is not None and held.taught is not None
    for part in (rest, held):
        for face, answer in zip(part.pixels, part.taught, strict=True):
            (row,) = [row for row, pixels in enumerate(split.pixels) if np.array_equal(pixels, face)]
            assert np.array_equal(answer, answers(20)[row])


def test_a_split_without_each_of_its_parts_in_turn_leaves_out_every_face_once() -> None:
    split = synthetic_split(60)
    left = [split.without_part(number, 3) for number in (1, 2, 3)]
    assert all(0 < len(each) < 60 for each in left)
    assert sorted(face.tobytes() for each in left for face in each.pixels) == sorted(
        face.tobytes() for face in split.pixels for _ in "12"
    )


def test_a_face_that_comes_twice_is_in_one_part() -> None:
    faces = synthetic_split(20).pixels
    assert np.array_equal(parts_of(np.concatenate([faces, faces]), 5), np.tile(parts_of(faces, 5), 2))


def trained_without(part: list[int] | None, weights: str, folder: Path) -> Path:
    """A shipped classifier that claims to have been trained without that part."""
    shutil.copytree(SHIPPED_WEIGHTS / weights, folder)
    (folder / TRAINING_FILE).write_text(json.dumps({"without_part": part}))
    (file,) = folder.glob("*.tflite")
    return file


def test_networks_of_parts_are_each_asked_about_the_faces_that_they_were_trained_without(tmp_path: Path) -> None:
    second = trained_without([2, 2], "emotion", tmp_path / "second")
    first = trained_without([1, 2], "custom_cnn", tmp_path / "first")
    faces = synthetic_split(12).pixels
    of_first = parts_of(faces, 2)[:, None] == 1
    assert of_first.any() and not of_first.all()
    expected = np.where(of_first, seen_by(first, faces), seen_by(second, faces))
    assert seen_without([second, first], faces) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([[1, 2], None], "second.* without no part"),
        ([[1, 2], [1, 2]], "second.* without part 1/2"),
        ([[1, 3], [2, 3]], "first.* without part 1/3: each of 2 networks"),
        ([[1, 2], [3, 2]], r"second.* left out the part \[3, 2\], which is none"),
        ([[1, 2], "2/2"], "second.* left out the part 2/2, which is none"),
    ],
)
def test_networks_that_did_not_leave_out_a_part_each_are_refused_in_one_line(tmp_path: Path, parts: list, says: str) -> None:
    files = [trained_without(part, "emotion", tmp_path / name) for name, part in zip(("first", "second"), parts, strict=True)]
    with pytest.raises(ModelUnusable, match=says):
        seen_without(files, synthetic_split(4).pixels)
