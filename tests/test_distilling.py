"""Trainings as a GPU runs them: with teachers, in half precision, and with processes that make the batches."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bot.cli import main
from model.errors import ModelUnusable
from tests.killing import killed_after_an_epoch
from tests.synthetic import synthetic_split, write_split

pytest.importorskip("tensorflow", reason="training needs tensorflow, extra `train`")

import keras

from model.batches import TrainingBatches, soft_labels
from model.classifier import LiteRtClassifier
from model.distil import together
from model.networks import load_network
from model.train import TRAINING_FILE, Training, train
from tests.tiny import SIZE, exported, taught_checkpoint, tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

SHORT = Training(network="tiny", size=SIZE, epochs=6, batch_size=32, learning_rate=3e-3, jitter=0.2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_split(synthetic_split(448, seed=1), folder, "training")
    write_split(synthetic_split(70, seed=2), folder, "public-test")
    return folder


def turned(folder: Path) -> Path:
    """A teacher that mistakes each emotion for the next, and takes faces of another size."""
    network = load_network(taught_checkpoint(folder))
    head = network.layers[-1]
    head.set_weights([np.roll(weight, 1, axis=-1) for weight in head.get_weights()])
    faces = keras.Input((2 * SIZE, 2 * SIZE, 1))
    path = folder / "turned.keras"
    keras.Model(faces, network(keras.layers.AveragePooling2D(2)(faces))).save(path)
    return path


def answers(checkpoint: Path) -> tuple[np.ndarray, np.ndarray]:
    test = synthetic_split(70, seed=2)
    faces = test.pixels[:, 1::3, 1::3, None].astype(np.float32)
    return load_network(checkpoint).predict(faces, verbose=0).argmax(axis=1), test.labels


def test_teachers_answer_together(tmp_path: Path) -> None:
    faces = synthetic_split(6).pixels[:, 1::3, 1::3, None].astype(np.float32)
    paths = [taught_checkpoint(tmp_path), tmp_path / "fresh.keras"]
    keras.utils.set_random_seed(3)
    tiny().save(paths[1])
    alone = [load_network(path).predict(faces, verbose=0) for path in paths]
    assert together(paths, SIZE, "float32")(faces) == pytest.approx(np.mean(alone, axis=0), abs=1e-6)
    assert together(paths[:1], SIZE, "float32")(faces) == pytest.approx(alone[0], abs=1e-6)


def test_exported_teachers_answer_on_the_processor_and_count_as_much_as_checkpoints(tmp_path: Path) -> None:
    faces = synthetic_split(7).pixels[:, 1::3, 1::3, None]
    keras.utils.set_random_seed(3)
    tiny().save(tmp_path / "fresh.keras")
    (tmp_path / "weights").mkdir()
    weights = exported(tmp_path / "weights")
    teachers = [turned(tmp_path), weights, tmp_path / "fresh.keras"]
    first, last = (together([each], SIZE, "float32")(faces) for each in (teachers[0], teachers[2]))
    wanted = (first + LiteRtClassifier(weights).classify(faces[..., 0]) + last) / 3
    assert together(teachers, SIZE, "float32")(faces) == pytest.approx(wanted, abs=1e-6)
    # fewer faces than cores, and of a size that the teacher does not take
    enlarged = np.repeat(np.repeat(faces[:1], 2, axis=1), 2, axis=2)
    assert (
        together([weights], 2 * SIZE, "float32")(enlarged).argmax()
        == LiteRtClassifier(weights).classify(faces[:1, ..., 0]).argmax()
    )


def test_weights_that_are_missing_do_not_teach(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"nowhere"):
        train(replace(SHORT, distilled_from=(str(tmp_path / "nowhere"),)), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_network_does_not_teach(data: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.keras").write_bytes(b"noise")
    with pytest.raises(ModelUnusable, match=r"noise\.keras is not a trained network"):
        train(replace(SHORT, distilled_from=(str(tmp_path / "noise.keras"),)), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_training_learns_what_those_say_who_look_on(data: Path, tmp_path: Path) -> None:
    what = replace(SHORT, distilled_from=(str(turned(tmp_path)),), trust=1.0)
    given, labels = answers(train(what, data, tmp_path / "run"))
    assert (given == (labels + 1) % 7).mean() > (given == labels).mean() + 0.3
    assert json.loads((tmp_path / "run" / TRAINING_FILE).read_text())["distilled_from"] == list(what.distilled_from)


def test_those_who_look_on_are_asked_about_the_faces_that_are_learnt_from() -> None:
    split = synthetic_split(32)
    asked = []

    def teacher(faces: np.ndarray) -> np.ndarray:
        asked.append(faces)
        return np.full((len(faces), 7), 1 / 7, np.float32)

    wanted = soft_labels(split, crowd=0, smoothing=0)
    alone = TrainingBatches(split, wanted, size=16, batch_size=16, seed=1, mixup=0.5)
    taught = TrainingBatches(split, wanted, size=16, batch_size=16, seed=1, mixup=0.5, teacher=teacher, trust=0.25)
    faces, labels = taught[1]
    assert np.array_equal(asked[0], faces) and np.array_equal(alone[1][0], faces)
    assert labels == pytest.approx(0.75 * alone[1][1] + 0.25 / 7)


def test_a_training_in_half_precision_saves_what_every_machine_runs(data: Path, tmp_path: Path) -> None:
    what = replace(SHORT, network="forgetful", precision="mixed_bfloat16", averaging=0.5)
    checkpoint = train(what, data, tmp_path / "run")
    assert {layer.compute_dtype for layer in load_network(checkpoint).layers} == {"float32"}
    given, labels = answers(checkpoint)
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    best = max(float(line.split(",")[3]) for line in log[1:])
    assert best > 0.5 and (given == labels).mean() == pytest.approx(best, abs=0.03)


def test_a_training_in_half_precision_goes_on_after_a_kill_to_the_same_network(data: Path, tmp_path: Path) -> None:
    what = replace(SHORT, network="forgetful", precision="mixed_bfloat16", averaging=0.5, epochs=12)
    killed_after_an_epoch(what, data, tmp_path / "killed")
    weights = [load_network(train(what, data, tmp_path / name)).get_weights() for name in ("killed", "whole")]
    # the last bit of a bfloat16 may be rounded either way
    assert all(np.allclose(one, other, atol=0.02) for one, other in zip(*weights, strict=True))


def test_a_training_with_workers_makes_the_network_that_one_without_makes(data: Path, tmp_path: Path) -> None:
    what = replace(SHORT, epochs=2, passes=2)
    weights = [load_network(train(what, data, tmp_path / str(workers), workers=workers)).get_weights() for workers in (0, 2)]
    assert all(np.allclose(one, other, atol=1e-5) for one, other in zip(*weights, strict=True))


def test_an_epoch_may_go_through_the_faces_more_than_once() -> None:
    split = synthetic_split(48)
    batches = TrainingBatches(split, np.arange(48 * 7, dtype=np.float32).reshape(48, 7), size=16, batch_size=16, seed=1, passes=2)
    assert len(batches) == 6
    rows = [row for index in range(6) for row in batches[index][1][:, 0].astype(int) // 7]
    assert sorted(rows[:48]) == sorted(rows[48:]) == list(range(48)) and rows[:48] != rows[48:]


def test_workers_make_no_more_than_so_many_batches_ahead() -> None:
    split = synthetic_split(64)
    batches = TrainingBatches(split, soft_labels(split, crowd=0, smoothing=0), size=16, batch_size=4, seed=1)
    expected = batches[5][0]
    with batches.made_by(1):
        assert np.array_equal(batches[5][0], expected)
        assert len(batches._begun) == 1
        batches.begin(1)
        assert not batches._begun


def test_two_kinds_of_teachers_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--taught-by", "a.csv", "--distilled-from", "a.keras"]
    assert main(["train", "tiny", "--data", str(tmp_path), "--out", str(tmp_path / "run"), *flags]) != 0
    assert "use either --taught-by or --distilled-from: --trust applies to one of them" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
