"""From a checkpoint to the file that the bot runs, and what it is worth."""

from pathlib import Path

import numpy as np
import pytest

from model.card import read_card
from model.classifier import LiteRtClassifier
from model.dataset import resized
from model.errors import ModelUnusable
from model.evaluate import (
    Candidate,
    calibration_error,
    confusion,
    evaluate,
    evaluate_files,
    macro_f1,
    majority_agreement,
    per_class,
)
from model.faces import EMOTIONS, Image
from tests.synthetic import synthetic_split, write_split

# keras asks tensorflow's arrays for a copy in the way of numpy 1
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

LABELS = np.array([0, 0, 0, 3, 3, 6])
PREDICTED = np.array([0, 0, 3, 3, 3, 0])


class Steps:
    """A clock that goes on by two milliseconds whenever it is read."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 0.002
        return self._now


def knowing(right: int) -> Candidate:
    """A candidate that knows the first faces of `synthetic_split(70)` by heart, and calls the others the next emotion."""
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
    assert found["disgust"] == {"recall": 0.0, "precision": 0.0, "n": 0}


def test_macro_f1_is_the_mean_over_the_emotions_that_occur() -> None:
    assert macro_f1(confusion(LABELS, PREDICTED)) == pytest.approx((2 / 3 + 0.8 + 0) / 3)


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    confidence = np.array([0.9, 0.9, 0.5, 0.5, 1.0], np.float32)
    right = np.array([True, True, True, False, False])
    assert calibration_error(confidence, right) == pytest.approx((0.2 + 0.0 + 1.0) / 5, abs=1e-6)


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


def test_weights_are_evaluated_from_files(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="the network is taught with tensorflow, extra `train`")
    folder = tiny.exported(tmp_path)
    pixels, labels = write_split(synthetic_split(70, seed=3), tmp_path, "split")
    found = evaluate_files(folder, pixels, labels, training=pixels)
    assert found["accuracy"] > 0.9
    assert found["accuracy_without_repeats"] is None
    assert found["parameters"] == tiny.taught().count_params()


def test_a_checkpoint_is_exported_checked_and_described(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.evaluate import load_candidate
    from model.export import Notes, export

    split = synthetic_split(70, seed=3)
    checkpoint = tiny.taught_checkpoint(tmp_path)
    path = export(checkpoint, tmp_path / "weights", Notes("patterns", "none", "pytest"), split)
    card = read_card(tmp_path / "weights")
    assert path == tmp_path / "weights" / card.file
    assert (card.network, card.input.size, card.labels, card.data) == ("tiny", tiny.SIZE, EMOTIONS, "patterns")
    assert card.figures["accuracy"] == pytest.approx(1, abs=0.05)
    assert card.figures["file_bytes"] == path.stat().st_size
    faces = resized(split.pixels, tiny.SIZE)
    assert LiteRtClassifier(tmp_path / "weights").classify(faces) == pytest.approx(
        load_candidate(checkpoint).predict(faces), abs=0.1
    )


def test_a_new_export_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.export import Notes, export

    folder = tmp_path / "weights"
    folder.mkdir()
    tiny.exported(folder)
    before = folder / read_card(folder).file
    before = before.rename(before.with_name("old.tflite"))
    (folder / "card.json").write_text(read_card(folder).model_copy(update={"file": "old.tflite"}).model_dump_json())
    after = export(tiny.taught_checkpoint(tmp_path), folder, Notes("patterns", "none", "pytest"), synthetic_split(21))
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", after.name]


def test_a_network_for_something_else_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", reason="export needs tensorflow, extra `train`")
    from model.export import Notes, export

    keras.Sequential([keras.layers.Input((9,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(ModelUnusable, match=r"other\.keras turns \(None, 9\) into \(None, 2\), not square grey faces"):
        export(tmp_path / "other.keras", tmp_path / "weights", Notes("", "", ""), synthetic_split(7))
    assert not (tmp_path / "weights").exists()


def test_an_export_that_answers_differently_is_refused(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.export import compare

    tiny.exported(tmp_path)
    turned = tiny.tiny()
    turned.set_weights([*tiny.taught().get_weights()[:-2], *(weights[..., ::-1] for weights in tiny.taught().get_weights()[-2:])])
    with pytest.raises(ModelUnusable, match="gives its own answer on only"):
        compare(turned, LiteRtClassifier(tmp_path), synthetic_split(70).pixels)
