"""Judging a classifier: what is counted, and what the user sees of it."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from bot.cli import main
from bot.model_commands import SPLITS
from model.card import SHIPPED_WEIGHTS, read_card
from model.evaluate import Candidate, confusion, crowd_recall, evaluate, macro_f1, majority_agreement, per_class
from model.faces import EMOTIONS, Image
from model.splits import JUDGED
from tests.commands import ROOT
from tests.synthetic import synthetic_split, write_fer2013_csv, write_split

LABELS = np.array([0, 0, 0, 3, 3, 6])
PREDICTED = np.array([0, 0, 3, 3, 3, 0])


class Steps:
    """A clock that advances by two milliseconds each time it is read."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 0.002
        return self._now


def knowing(right: int) -> Candidate:
    """A candidate that knows the first faces of `synthetic_split(70)` by heart, and takes the others for the next emotion."""
    split = synthetic_split(70)
    answers = {
        face.tobytes(): label if i < right else (label + 1) % 7
        for i, (face, label) in enumerate(zip(split.pixels, split.labels, strict=True))
    }

    def predict(faces: Image) -> np.ndarray:
        return np.eye(7, dtype=np.float32)[[answers[face.tobytes()] for face in faces]] * 0.9 + 0.1 / 7

    return Candidate(predict, size=48, parameters=5, file_bytes=20)


def test_rows_of_the_confusion_are_labels_and_columns_predictions() -> None:
    table = confusion(LABELS, PREDICTED)
    assert (table[0, 0], table[0, 3], table[3, 3], table[6, 0], table.sum()) == (2, 1, 2, 1, 6)


def test_recall_and_precision_are_counted_per_emotion() -> None:
    found = per_class(confusion(LABELS, PREDICTED))
    assert found["angry"] == {"recall": pytest.approx(2 / 3), "precision": pytest.approx(2 / 3), "n": 3}
    assert found["happy"] == {"recall": 1.0, "precision": pytest.approx(2 / 3), "n": 2}
    assert found["disgust"] == {"recall": None, "precision": None, "n": 0}


def test_macro_f1_is_the_mean_over_the_emotions_that_occur() -> None:
    assert macro_f1(confusion(LABELS, PREDICTED)) == pytest.approx((2 / 3 + 0.8 + 0) / 3)


def test_only_faces_with_a_clear_majority_are_asked_of_the_crowd() -> None:
    split = synthetic_split(3)
    split.votes[1] = 0
    split.votes[1, :2] = 5
    assert majority_agreement(split, np.array([0, 1, 0])) == 0.5


def test_an_evaluation_counts_what_was_right() -> None:
    split = synthetic_split(70)
    found = evaluate(knowing(63), split, training=split.pixels[:7], clock=Steps())
    assert found["n"] == 70
    assert found["accuracy"] == pytest.approx(0.9)
    assert found["ferplus_majority_agreement"] == pytest.approx(0.9)
    assert found["ms_per_face"] == pytest.approx(2.0)
    assert (found["parameters"], found["file_bytes"]) == (5, 20)
    assert np.array(found["confusion"]).sum() == 70
    assert list(found["per_class"]) == [str(emotion) for emotion in EMOTIONS]


def test_repeats_are_left_out_where_the_training_faces_are_named() -> None:
    split = synthetic_split(70)
    random = np.random.default_rng(8)
    split.pixels[:] = random.integers(0, 256, split.pixels.shape, dtype=np.uint8)
    right = np.arange(70) < 35
    answers = iter([np.where(right, split.labels, (split.labels + 1) % 7)])
    candidate = Candidate(lambda faces: np.eye(7, dtype=np.float32)[next(answers, np.zeros(len(faces), int))], 48, None, 0)
    found = evaluate(candidate, split, training=split.pixels[:20])
    assert found["accuracy"] == pytest.approx(35 / 70)
    assert found["accuracy_without_repeats"] == pytest.approx(15 / 50)


def test_without_training_faces_nothing_is_said_of_repeats() -> None:
    assert evaluate(knowing(70), synthetic_split(70))["accuracy_without_repeats"] is None


def test_people_are_judged_by_the_same_labels() -> None:
    split = synthetic_split(14)
    split.votes[0] = 0  # nobody voted
    split.votes[1] = split.votes[2]  # most saw something else
    split.votes[2] = split.votes[2] * 0.4 + split.votes[3] * 0.3 + split.votes[4] * 0.3  # more than all else, but no majority
    found = crowd_recall(split)
    assert (found["angry"], found["disgust"], found["fear"], found["happy"]) == (1.0, 0.5, 0.5, 1.0)
    split.votes[:] = 0
    assert set(crowd_recall(split).values()) == {None}


SHIPPED = SHIPPED_WEIGHTS / "emotion"


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """The arguments that name eighty faces."""
    pixels, labels = write_split(synthetic_split(80), tmp_path, "faces")
    return ("--pixels", str(pixels), "--labels", str(labels))


def test_a_terminal_is_told_everything_that_was_measured(capsys: pytest.CaptureFixture[str], files: tuple[str, ...]) -> None:
    assert main(["evaluate", *files, "--training", files[1]]) == 0
    told = capsys.readouterr().out
    for name in (
        "accuracy",
        "macro_f1",
        "ece",
        "ferplus_majority_agreement",
        "accuracy_at_80_coverage",
        "ms_per_face",
        "repeats",
    ):
        assert f"\n{name}: " in told
    assert "taken for" in told and "share answered 80%: accuracy 0." in told
    assert all(told.count(f"{emotion}: ") == 2 for emotion in EMOTIONS)  # its recall, and its row of confusions


def test_pictures_are_drawn_where_they_are_asked_for(
    capsys: pytest.CaptureFixture[str], files: tuple[str, ...], tmp_path: Path
) -> None:
    assert main(["evaluate", *files, "--plots", str(tmp_path / "new" / "plots"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 80
    for name in ("confusion", "reliability", "risk-coverage"):
        drawn = cv2.imread(str(tmp_path / "new" / "plots" / f"{name}.png"))
        assert drawn is not None and drawn.std() > 10


def test_a_place_for_pictures_that_takes_none_is_one_line(
    capsys: pytest.CaptureFixture[str], files: tuple[str, ...], tmp_path: Path
) -> None:
    assert main(["evaluate", *files, "--plots", files[1]]) == 3
    assert capsys.readouterr().err.endswith(f"classmood: {files[1]} cannot be written to: File exists\n")


@pytest.mark.parametrize("as_csv", [False, True])
def test_data_are_judged_as_their_mosaic_is(capsys: pytest.CaptureFixture[str], tmp_path: Path, as_csv: bool) -> None:
    training, test = synthetic_split(40, seed=1), synthetic_split(70, seed=2)
    training.pixels[:4] = test.pixels[:4]
    mosaics = [*write_split(training, tmp_path, "training"), *write_split(test, tmp_path, "public-test")]
    data = write_fer2013_csv(tmp_path / "fer2013.csv", tmp_path) if as_csv else tmp_path
    assert main(["evaluate", "--data", str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    named = ("--training", str(mosaics[0]), "--pixels", str(mosaics[2]), "--labels", str(mosaics[3]))
    assert main(["evaluate", *named, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert found["repeats"] == 4
    for name in ("n", "confusion", "accuracy_without_repeats"):
        assert found[name] == expected[name]


@pytest.mark.parametrize("as_csv", [False, True])
def test_another_split_of_the_data_is_judged_also_where_there_are_no_faces_to_train_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, as_csv: bool
) -> None:
    write_split(synthetic_split(70, seed=2), tmp_path, "private-test")
    data = tmp_path
    if as_csv:
        rows = [",".join((str(label), " ".join(map(str, face.ravel())), "PrivateTest")) for face, label in faces_of(70, seed=2)]
        data = tmp_path / "fer2013.csv"
        data.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    assert main(["evaluate", "--data", str(data), "--split", "PrivateTest", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 70 and found["repeats"] is found["accuracy_without_repeats"] is None
    assert main(["evaluate", "--data", str(data)]) == 3
    assert ("has no faces of PublicTest" if as_csv else "public-test.csv cannot be read") in capsys.readouterr().err


def faces_of(count: int, seed: int) -> Iterable[tuple[Image, int]]:
    split = synthetic_split(count, seed=seed)
    return zip(split.pixels, split.labels.tolist(), strict=True)


def test_every_figure_is_explained(capsys: pytest.CaptureFixture[str], files: tuple[str, ...]) -> None:
    assert main(["evaluate", *files, "--json"]) == 0
    section = (ROOT / "docs/training.md").read_text().split("## What `evaluate` tells")[1].split("\n## ")[0]
    first_columns = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(first_columns))) == {*json.loads(capsys.readouterr().out), "robustness"}


def test_the_splits_that_can_be_named_are_those_that_can_be_read() -> None:
    assert tuple(JUDGED) == SPLITS


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--pixels", "p.png", "--labels", "l.csv", "--split", "PrivateTest"), "--split needs --data, whose split it is"),
        (
            ("--data", "d", "--labels", "l.csv"),
            "use either --data or --pixels and --labels; --labels does not go with --data",
        ),
        (("--pixels", "p.png"), "give --data, or --pixels and --labels"),
        (("--data", "d", "--groups", "age"), "--groups with --data needs --groups-file, the file with the column"),
        (("--data", "d", "--groups-file", "g.csv"), "--groups-file needs --groups, the column in it"),
    ],
)
def test_what_to_judge_on_is_said_once(capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], complaint: str) -> None:
    assert main(["evaluate", *flags]) == 2
    assert capsys.readouterr().err == f"classmood: {complaint}\n"


def test_weights_may_be_named_instead_of_their_folder(capsys: pytest.CaptureFixture[str], files: tuple[str, ...]) -> None:
    found = []
    for model in (SHIPPED, SHIPPED / read_card(SHIPPED).file):
        assert main(["evaluate", *files, "--model", str(model), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["model"] == found[1]["model"] == read_card(SHIPPED).name
    assert found[0]["confusion"] == found[1]["confusion"]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--faces", "10"), "--faces needs --robustness: everything else is measured on all of them"),
        (("--model", "nowhere"), "nowhere/card.json cannot be read: No such file or directory"),
        (("--model", "nowhere/some.tflite"), "nowhere/card.json cannot be read: No such file or directory"),
        (
            ("--model", str(SHIPPED / "older.tflite")),
            f"{SHIPPED / 'older.tflite'} is not what {SHIPPED / 'card.json'} describes: that is {read_card(SHIPPED).file}",
        ),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    capsys: pytest.CaptureFixture[str], files: tuple[str, ...], more: tuple[str, ...], complaint: str
) -> None:
    assert main(["evaluate", *files, *more]) in (2, 3)
    assert capsys.readouterr().err == f"classmood: {complaint}\n"
