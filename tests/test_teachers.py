"""What networks see in the training faces, and how another one learns from it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.dataset import Split
from model.errors import DataUnusable
from model.splits import read_splits, read_training
from model.teachers import read_scores, write_scores
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
