"""Training from a folder of files, ending it, and resuming it."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bot.model_commands import CHOICES
from model.dataset import read_split
from model.disk import alone_with, disk_told
from model.errors import DataUnusable, ModelUnusable
from model.splits import read_splits
from model.teachers import write_scores
from tests.killing import killed_after_an_epoch
from tests.synthetic import synthetic_split, write_fer2013_csv, write_split

pytest.importorskip("tensorflow", reason="training needs tensorflow, extra `train`")

import keras

from model.networks import custom_cnn, load_network, vgg16  # they import keras
from model.resume import BACKUP_FILE, LOG_FILE, logged
from model.train import CHECKPOINT_FILE, CONFUSION_FILE, CURVES_FILE, TRAINING_FILE, Training, take_over, train
from tests.tiny import SIZE, taught_checkpoint, tiny

# keras asks tensorflow's arrays for a copy in numpy 1's way
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

SHORT = Training(network="tiny", size=SIZE, epochs=2, batch_size=32, learning_rate=3e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like FER-2013's, whose training split repeats four faces of the test split."""
    folder = tmp_path_factory.mktemp("data")
    training, test = synthetic_split(128, seed=1), synthetic_split(35, seed=2)
    training.pixels[:4] = test.pixels[:4]
    write_split(training, folder, "training")
    write_split(test, folder, "public-test")
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that has ended."""
    out = tmp_path_factory.mktemp("run")
    assert train(SHORT, data, out) == out / CHECKPOINT_FILE
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to resume in."""
    return shutil.copytree(finished, tmp_path / "run")


def epochs(out: Path) -> list[str]:
    with (out / LOG_FILE).open(newline="") as file:
        return [row["epoch"] for row in csv.DictReader(file)]


def test_what_stands_in_the_test_split_is_not_trained_on(data: Path) -> None:
    training, test = read_splits(data)
    known = {face.tobytes() for face in test.pixels}
    assert len(training) > 100
    assert not any(face.tobytes() in known for face in training.pixels)


def test_a_part_of_the_faces_is_left_out_of_a_training_where_that_is_asked_for(data: Path, tmp_path: Path) -> None:
    training, _ = read_splits(data)
    rest = len(training.without_part(2, 3))
    assert rest < len(training)
    with pytest.raises(DataUnusable, match=f"{rest} faces to train on do not fill a batch of 1000"):
        train(replace(SHORT, batch_size=1000, held_out=0, without_part=(2, 3)), data, tmp_path / "run")


def test_a_training_leaves_a_log_and_a_checkpoint_that_loads(finished: Path) -> None:
    assert epochs(finished) == ["0", "1"]
    assert load_network(finished / CHECKPOINT_FILE).input_shape == (None, SIZE, SIZE, 1)
    assert not list(finished.glob(".draft-*"))


def test_a_training_draws_its_curves_and_its_confusions(finished: Path) -> None:
    for picture in (CURVES_FILE, CONFUSION_FILE):
        drawn = cv2.imread(str(finished / picture))
        assert drawn is not None and drawn.std() > 10


def test_a_disk_that_takes_no_more_is_told_in_one_line_and_the_checkpoint_before_stays(data: Path, run: Path) -> None:
    before = (run / CHECKPOINT_FILE).read_bytes()
    (run / CURVES_FILE).unlink()
    (run / f".draft-{CURVES_FILE}").mkdir()  # stands for the full disk, as root may write anywhere
    with pytest.raises(ModelUnusable, match=r"run cannot be written to: Is a directory"):
        train(SHORT, data, run)
    assert (run / CHECKPOINT_FILE).read_bytes() == before


def test_the_well_known_csv_trains_as_the_mosaics_do(data: Path, tmp_path: Path) -> None:
    path = write_fer2013_csv(tmp_path / "fer2013.csv", data)
    for one, other in zip(read_splits(path), read_splits(data), strict=True):
        assert np.array_equal(one.pixels, other.pixels) and np.array_equal(one.labels, other.labels)


def test_a_network_without_such_weights_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="tiny has no imagenet weights: vgg16 and resnet50 have"):
        train(replace(SHORT, weights="imagenet"), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


LONGER = replace(SHORT, epochs=12)


@pytest.fixture
def killed(data: Path, tmp_path: Path) -> Path:
    """The folder of a training that was killed after its first epoch."""
    killed_after_an_epoch(LONGER, data, tmp_path / "run")
    return tmp_path / "run"


def test_a_training_that_was_killed_goes_on_where_it_was(data: Path, killed: Path) -> None:
    train(LONGER, data, killed)
    assert epochs(killed) == [str(epoch) for epoch in range(12)]


def test_a_training_that_was_ended_by_hand_is_finished_without_another_epoch(data: Path, killed: Path) -> None:
    before = epochs(killed)
    assert train(LONGER, data, killed, finish=True).parent == killed
    assert epochs(killed) == before and len(before) < 12
    assert (killed / CURVES_FILE).exists() and (killed / CONFUSION_FILE).exists()


def test_there_is_nothing_to_finish_where_nothing_was_trained(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"run holds no epoch of a training that could be finished$"):
        train(LONGER, data, tmp_path / "run", finish=True)
    assert not (tmp_path / "run").exists()


def test_what_a_training_began_from_is_written_down_and_is_part_of_what_it_is(data: Path, finished: Path, tmp_path: Path) -> None:
    begun = replace(SHORT, start_from=str(finished / CHECKPOINT_FILE))
    train(begun, data, tmp_path / "run")
    assert json.loads((tmp_path / "run" / TRAINING_FILE).read_text())["start_from"] == begun.start_from
    with pytest.raises(ModelUnusable, match="holds a training with other settings"):
        train(SHORT, data, tmp_path / "run")


def test_a_training_that_goes_on_keeps_a_better_checkpoint(data: Path, killed: Path) -> None:
    header, *_ = (killed / LOG_FILE).read_text().splitlines()
    (killed / LOG_FILE).write_text(f"{header}\n0,1.0,0.1,1.0,0.1\n")
    before = (killed / CHECKPOINT_FILE).read_bytes()
    train(LONGER, data, killed)
    assert (killed / CHECKPOINT_FILE).read_bytes() == before


def test_a_training_that_ran_out_of_patience_is_found_finished(data: Path, tmp_path: Path) -> None:
    what = replace(SHORT, epochs=30, patience=2, learning_rate=1e-12)
    for _ in range(2):
        train(what, data, tmp_path / "run")
        assert epochs(tmp_path / "run") == ["0", "1", "2"]


def test_a_backup_that_is_none_is_named(data: Path, run: Path) -> None:
    (run / BACKUP_FILE).write_bytes(b"half of a file")
    with pytest.raises(ModelUnusable, match=rf"{BACKUP_FILE} cannot be gone on from: "):
        train(SHORT, data, run)


FULL = """
import resource, sys
from pathlib import Path
import tests.test_train as here
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # no file may be larger, as on a disk that is full
here.train(here.SHORT, Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_disk_that_is_full_ends_a_training_in_one_line(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(data), str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("run cannot be written to: File too large")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["training.json"]


def test_a_finished_training_is_not_begun_again(data: Path, run: Path) -> None:
    before = (run / CHECKPOINT_FILE).read_bytes()
    train(SHORT, data, run)
    assert (run / CHECKPOINT_FILE).read_bytes() == before
    assert epochs(run) == ["0", "1"]


def test_a_folder_with_another_training_is_left_alone(data: Path, run: Path) -> None:
    before = (run / CHECKPOINT_FILE).read_bytes()
    with pytest.raises(ModelUnusable, match="run holds a training with other settings"):
        train(replace(SHORT, epochs=9), data, run)
    assert (run / CHECKPOINT_FILE).read_bytes() == before


def test_a_training_does_not_go_on_with_other_faces(data: Path, run: Path, tmp_path: Path) -> None:
    write_split(synthetic_split(128, seed=9), tmp_path, "training")
    write_split(synthetic_split(35, seed=2), tmp_path, "public-test")
    with pytest.raises(ModelUnusable, match="run holds a training on other faces"):
        train(SHORT, tmp_path, run)


def test_a_training_does_not_go_on_with_other_answers_of_its_teachers(data: Path, tmp_path: Path) -> None:
    what = replace(SHORT, taught_by=(str(tmp_path / "teacher.csv"),))
    answers = np.full((len(read_split(data / "training.png", data / "training.csv")), 7), 1 / 7)
    write_scores(tmp_path / "teacher.csv", answers)
    train(what, data, tmp_path / "run")
    write_scores(tmp_path / "teacher.csv", np.roll(answers * np.arange(1, 8) / 4, 1, axis=1))
    with pytest.raises(ModelUnusable, match="run holds a training on other faces, votes or teachers' answers"):
        train(what, data, tmp_path / "run")


def test_a_training_does_not_go_on_without_its_log(data: Path, run: Path) -> None:
    (run / LOG_FILE).unlink()
    before = (run / CHECKPOINT_FILE).read_bytes()
    with pytest.raises(ModelUnusable, match=rf"run has a training without its {LOG_FILE}, .*: put it back$"):
        train(SHORT, data, run)
    assert (run / CHECKPOINT_FILE).read_bytes() == before


def test_a_training_does_not_go_on_without_what_it_was_made_with(data: Path, run: Path) -> None:
    (run / TRAINING_FILE).unlink()
    with pytest.raises(ModelUnusable, match=rf"run has a training without its {TRAINING_FILE}, .*: put it back$"):
        train(replace(SHORT, seed=3), data, run)
    assert not (run / TRAINING_FILE).exists()


def test_a_training_that_was_ended_in_its_first_epoch_can_be_begun_otherwise(data: Path, run: Path) -> None:
    for name in (BACKUP_FILE, LOG_FILE, CHECKPOINT_FILE):
        (run / name).unlink()
    other = replace(SHORT, epochs=1, seed=3)
    with alone_with(run / TRAINING_FILE), pytest.raises(ModelUnusable, match="in the hands of another process"):
        train(other, data, run)
    assert json.loads((run / TRAINING_FILE).read_text())["seed"] == SHORT.seed
    train(other, data, run)
    assert json.loads((run / TRAINING_FILE).read_text())["seed"] == 3


def test_two_processes_do_not_train_in_one_folder(data: Path, run: Path) -> None:
    with (
        alone_with(run / TRAINING_FILE),
        pytest.raises(ModelUnusable, match="run is in the hands of another process that still runs"),
    ):
        train(SHORT, data, run)


def test_a_start_that_fails_leaves_the_folder_to_the_next_one(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataUnusable, match=r"gone\.csv"):
        train(replace(SHORT, taught_by=("gone.csv",)), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_training_that_is_older_than_a_setting_goes_on(data: Path, run: Path) -> None:
    settings = json.loads((run / "training.json").read_text())
    del settings["mixup"], settings["taught_by"]
    (run / "training.json").write_text(json.dumps(settings))
    before = (run / LOG_FILE).read_text()
    train(SHORT, data, run)
    assert (run / LOG_FILE).read_text() == before


def test_a_loss_that_is_no_number_ends_the_training_in_one_line(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"run: the loss is not a number after batch \d+: .*smaller learning rate"):
        train(replace(SHORT, learning_rate=1e30), data, tmp_path / "run")
    assert not (tmp_path / "run" / BACKUP_FILE).exists()


def test_weights_that_break_with_the_last_batch_of_an_epoch_reach_no_checkpoint(data: Path, tmp_path: Path) -> None:
    one_batch = replace(SHORT, batch_size=120, learning_rate=1e30, held_out=0.0)
    with pytest.raises(ModelUnusable, match=r"run: the loss is not a number on PublicTest: .*smaller learning rate"):
        train(one_batch, data, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [TRAINING_FILE]


def test_too_few_faces_for_a_batch_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataUnusable, match="do not fill a batch of 500"):
        train(replace(SHORT, batch_size=500), data, tmp_path / "run")


def test_missing_data_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataUnusable, match=r"training\.(png|csv) cannot be read: "):
        train(SHORT, tmp_path, tmp_path / "run")


def test_a_network_that_nobody_elses_can_begin_is_told_which_can(data: Path, tmp_path: Path) -> None:
    known = tmp_path / "faces.json"
    with pytest.raises(ModelUnusable, match=r"^tiny cannot begin from .*faces\.json: mobile_cnn and face_resnet alone"):
        train(replace(SHORT, start_from=str(known)), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_layers_of_equal_name_and_shape_are_taken_over(tmp_path: Path) -> None:
    checkpoint = taught_checkpoint(tmp_path)
    fresh, known = tiny(), load_network(checkpoint)
    for mine, theirs in zip(fresh.layers, known.layers, strict=True):
        theirs.name = mine.name
    known.save(checkpoint)
    assert take_over(fresh, checkpoint) == 3
    assert (fresh.layers[-1].get_weights()[0] == known.layers[-1].get_weights()[0]).all()


def test_a_checkpoint_of_a_stranger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"is of another network: 0 of the \d+ layers of custom_cnn are in it"):
        take_over(custom_cnn(24), taught_checkpoint(tmp_path))


def test_a_backbone_that_shares_no_more_than_its_head_with_a_checkpoint_is_refused(tmp_path: Path) -> None:
    other = custom_cnn(32)
    other.save(tmp_path / "other.keras")
    with pytest.raises(ModelUnusable, match=r"other\.keras is of another network: 1 of the 2 layers of vgg16 are in it"):
        take_over(vgg16(32), tmp_path / "other.keras")


def test_the_same_seed_trains_the_same_network(data: Path, finished: Path, tmp_path: Path) -> None:
    again = load_network(train(SHORT, data, tmp_path / "run"))
    weights = zip(again.get_weights(), load_network(finished / CHECKPOINT_FILE).get_weights(), strict=True)
    assert all(np.allclose(one, other, atol=1e-5) for one, other in weights)


AVERAGED = replace(SHORT, network="forgetful", epochs=12, averaging=0.9)


@pytest.fixture(scope="module")
def averaged(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training with averaged weights that has ended."""
    out = tmp_path_factory.mktemp("averaged")
    train(AVERAGED, data, out)
    return out


def test_a_training_with_averaging_goes_on_after_a_kill_to_the_same_network(data: Path, averaged: Path, tmp_path: Path) -> None:
    killed_after_an_epoch(AVERAGED, data, tmp_path / "run")
    train(AVERAGED, data, tmp_path / "run")
    assert epochs(tmp_path / "run") == [str(epoch) for epoch in range(AVERAGED.epochs)]
    weights = [load_network(out / CHECKPOINT_FILE).get_weights() for out in (averaged, tmp_path / "run")]
    assert all(np.allclose(one, other, atol=1e-4) for one, other in zip(*weights, strict=True))


def test_a_training_with_averaging_keeps_the_averaged_weights(data: Path, tmp_path: Path) -> None:
    # an average that hardly moves from its starting point, although the weights themselves do
    what = replace(AVERAGED, network="tiny", epochs=4, averaging=0.9999, learning_rate=3e-2)
    kept = load_network(train(what, data, tmp_path / "averaged")).get_weights()
    plain = load_network(train(replace(what, averaging=0.0), data, tmp_path / "plain")).get_weights()
    keras.utils.set_random_seed(what.seed)
    begun = tiny().get_weights()
    moved = [max(float(np.abs(a - b).max()) for a, b in zip(each, begun, strict=True)) for each in (kept, plain)]
    assert 0 < moved[0] < 0.5 * moved[1]


def test_held_out_faces_are_not_trained_on(data: Path, tmp_path: Path) -> None:
    """Wrong labels on the held-out faces change nothing in what is learnt."""
    what = replace(SHORT, epochs=1, held_out=0.25)
    learnt, test = read_splits(data)
    _, held = learnt.parted(what.held_out, what.seed)
    known = {face.tobytes() for face in held.pixels}
    full = read_split(data / "training.png", data / "training.csv")
    wrong = np.array(
        [(label + 1) % 7 if face.tobytes() in known else label for face, label in zip(full.pixels, full.labels, strict=True)]
    )
    assert (wrong != full.labels).sum() == len(held) > 20
    write_split(replace(full, labels=wrong), tmp_path, "training")
    write_split(test, tmp_path, "public-test")
    weights = [load_network(train(what, each, tmp_path / each.name / "run")).get_weights() for each in (data, tmp_path)]
    assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(*weights, strict=True))


def test_a_log_that_was_cut_short_tells_of_the_epochs_before(tmp_path: Path) -> None:
    log = tmp_path / LOG_FILE
    assert logged(log, 9) == []
    begin = "epoch,accuracy,loss,val_accuracy,val_loss\n0,.1,1.5,0.2,2\n1,.1,1.2,0.3,2\n"
    for text, told in (
        ("", []),
        (begin + "2,.1,1.", [0.2, 0.3]),
        (begin + "1,.1,1.1,0.4,2\n2,.1,1.0,0.5,2\n", [0.2, 0.4]),
        (begin + "1,.1,1.1,0.4,2,7\nnan,.1,1.1,0.4,2\n", [0.2, 0.3]),
    ):
        log.write_text(text)
        assert [row["val_accuracy"] for row in logged(log, 2)] == told
    log.write_bytes(b"epoch\n\xff\n")
    with pytest.raises(ModelUnusable, match=r"log\.csv cannot be read: 'utf-8' codec"):
        logged(log, 2)


def test_half_a_line_in_the_log_of_a_finished_training_is_no_trouble(data: Path, run: Path) -> None:
    with (run / LOG_FILE).open("a") as log:
        log.write("1,0.2,")
    assert train(SHORT, data, run).exists()


def test_who_reads_the_results_sees_no_progress(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(replace(SHORT, epochs=1), data, tmp_path / "run")
    told = capsys.readouterr()
    assert told.out == "" and "val_accuracy" in told.err


def test_what_a_training_prints_to_nobody_is_no_fault_of_its_folder(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), disk_told(tmp_path):
        raise BrokenPipeError


def test_the_help_of_each_flag_tells_its_default() -> None:
    for name, (_, meaning) in CHOICES.items():
        default = getattr(Training(), name)
        assert meaning.endswith(f"(default: {'none' if default is None else default})"), name
