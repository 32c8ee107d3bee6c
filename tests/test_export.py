"""From a checkpoint to the file that the bot runs, and how good that file is."""

import json
from pathlib import Path

import numpy as np
import pytest

from model.card import read_card
from model.classifier import LiteRtClassifier
from model.dataset import resized
from model.errors import ModelUnusable
from model.evaluate import evaluate, load_candidate
from model.faces import EMOTIONS
from tests.synthetic import synthetic_split

# keras asks tensorflow's arrays for a copy in numpy 1's way
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def test_weights_are_evaluated_with_what_their_card_says(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="the network is taught with tensorflow, extra `train`")
    split = synthetic_split(70, seed=3)
    found = evaluate(load_candidate(tiny.exported(tmp_path)), split, training=split.pixels)
    assert found["accuracy"] > 0.9
    assert (found["accuracy_without_repeats"], found["repeats"]) == (None, 70)
    assert found["parameters"] == tiny.taught().count_params()
    assert found["model"] == read_card(tmp_path).name


def test_a_checkpoint_is_exported_checked_and_described(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
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
    with pytest.raises(ModelUnusable, match=r"other\.keras turns"):
        load_candidate(tmp_path / "other.keras")
    assert not (tmp_path / "weights").exists()


def test_an_export_that_answers_differently_is_refused(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.export import compare

    tiny.exported(tmp_path)
    turned = tiny.tiny()
    turned.set_weights([*tiny.taught().get_weights()[:-2], *(weights[..., ::-1] for weights in tiny.taught().get_weights()[-2:])])
    with pytest.raises(ModelUnusable, match="gives its own answer on only"):
        compare(turned, LiteRtClassifier(tmp_path), synthetic_split(70).pixels)


def test_static_int8_is_taken_where_it_costs_little_and_its_confidence_is_not_coarse(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.export import MOST_LOST, Notes, export

    split = synthetic_split(350, seed=3)
    export(tiny.taught_checkpoint(tmp_path), tmp_path / "weights", Notes("", "", ""), split, synthetic_split(448, seed=1))
    card = read_card(tmp_path / "weights")
    assert card.arithmetic == "static int8"
    assert card.figures["accuracy"] >= card.figures["accuracy_of_checkpoint"] - MOST_LOST
    scores = LiteRtClassifier(tmp_path / "weights").classify(resized(split.pixels, tiny.SIZE))
    # int8 cannot express a share below 1/256
    assert ((scores > 0) & (scores < 1 / 256)).mean() > 0.2


def test_without_faces_to_measure_a_network_on_it_is_not_made_static(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.export import Notes, export
    from model.quantise import convert

    export(tiny.taught_checkpoint(tmp_path), tmp_path / "weights", Notes("", "", ""), synthetic_split(70, seed=3))
    assert read_card(tmp_path / "weights").arithmetic == "dynamic int8"
    with pytest.raises(ModelUnusable, match="cannot be written as static int8 without faces"):
        convert(tiny.taught(), "static int8")


def test_the_temperature_of_held_out_faces_is_part_of_the_graph(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.export import Notes, export
    from tests.test_confidence import cooled

    # a quarter of the labels are wrong, which the network does not know
    training, split = synthetic_split(600, seed=4), synthetic_split(140, seed=3)
    for each in (training, split):
        each.labels[::4] = (each.labels[::4] + 1) % 7
    checkpoint = tiny.taught_checkpoint(tmp_path)
    (tmp_path / "training.json").write_text(json.dumps({"held_out": 0.5, "seed": 7}))
    export(checkpoint, tmp_path / "weights", Notes("", "", ""), split, training)
    calibration = read_card(tmp_path / "weights").calibration
    assert calibration is not None and calibration.temperature > 1.5
    assert (calibration.share, calibration.seed) == (0.5, 7) and 250 < calibration.faces <= 300
    faces = resized(split.pixels, tiny.SIZE)
    wanted = cooled(load_candidate(checkpoint).predict(faces), calibration.temperature)
    assert LiteRtClassifier(tmp_path / "weights").classify(faces) == pytest.approx(wanted, abs=0.1)


def test_an_emotion_that_was_repeated_in_training_is_lowered_in_the_graph_and_no_other(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.export import Notes, export

    # in the data a third of the disgusted faces are labelled otherwise, as if the network had met too many of them
    training, split = synthetic_split(700, seed=4), synthetic_split(140, seed=3)
    (disgusted,) = np.nonzero(training.labels == EMOTIONS.index("disgust"))
    training.labels[disgusted[::3]] = EMOTIONS.index("sad")
    checkpoint = tiny.taught_checkpoint(tmp_path)
    (tmp_path / "training.json").write_text(json.dumps({"held_out": 0.5, "seed": 7, "rarest": 0.12}))
    export(checkpoint, tmp_path / "weights", Notes("", "", ""), split, training)
    calibration = read_card(tmp_path / "weights").calibration
    assert calibration is not None and list(calibration.lowered) == ["disgust"] and calibration.lowered["disgust"] > 0.1
    faces = resized(split.pixels, tiny.SIZE)
    before = load_candidate(checkpoint).predict(faces)[:, EMOTIONS.index("disgust")]
    after = load_candidate(tmp_path / "weights").predict(faces)[:, EMOTIONS.index("disgust")]
    assert after.mean() < before.mean()


OTHER_FACES = '{"seed": 7, "held_out": 0.5, "training_faces": "0123456789abcdef"}'


@pytest.mark.parametrize("told", [None, '{"seed": 7}', '{"seed": 7, "held_out": 0.1}', OTHER_FACES])
def test_without_enough_faces_that_are_known_to_be_held_out_the_card_says_that_nothing_is_calibrated(
    tmp_path: Path, told: str | None
) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.export import Notes, export

    checkpoint = tiny.taught_checkpoint(tmp_path)
    if told:
        (tmp_path / "training.json").write_text(told)
    export(checkpoint, tmp_path / "weights", Notes("", "", ""), synthetic_split(70, seed=3), synthetic_split(448, seed=1))
    assert json.loads((tmp_path / "weights" / "card.json").read_text())["calibration"] is None


def test_a_network_that_knows_the_held_out_faces_from_before_is_not_calibrated_on_them(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.export import Notes, export

    # it was trained on the training faces; a third of the other faces have labels that it cannot know
    training, split = synthetic_split(448, seed=1), synthetic_split(210, seed=3)
    split.labels[::3] = (split.labels[::3] + 1) % 7
    checkpoint = tiny.taught_checkpoint(tmp_path)
    (tmp_path / "training.json").write_text(json.dumps({"held_out": 0.5, "seed": 7}))
    export(checkpoint, tmp_path / "weights", Notes("", "", ""), split, training)
    assert read_card(tmp_path / "weights").calibration is None


def test_a_held_out_face_whose_repeat_was_trained_on_is_none_to_calibrate_with(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.calibrate import calibrated

    once = synthetic_split(300, seed=4)
    (tmp_path / "training.json").write_text(json.dumps({"held_out": 0.5, "seed": 7}))
    counts = []
    for faces in (once, once.only(np.repeat(np.arange(300), 2))):
        _, calibration = calibrated(tiny.taught(), tiny.taught_checkpoint(tmp_path), faces, synthetic_split(70, seed=3))
        assert calibration is not None
        counts.append(calibration.faces)
    # of 600 faces 300 are held out; in about 75 pairs that is both of them, and no other held-out face is new to the network
    assert 130 <= counts[0] <= 150 and 110 <= counts[1] <= 190


NONSENSE = {"[]": "does not say what", "{": "does not say what", '{"held_out": 2, "seed": 1}': "a share of 2.0"}


@pytest.mark.parametrize(("told", "complaint"), NONSENSE.items())
def test_a_training_that_says_nothing_sensible_of_its_held_out_faces_is_named(tmp_path: Path, told: str, complaint: str) -> None:
    pytest.importorskip("keras", reason="a training needs tensorflow, extra `train`")
    from model.provenance import held_out

    (tmp_path / "training.json").write_text(told)
    with pytest.raises(ModelUnusable, match=rf"training\.json .*{complaint}"):
        held_out(tmp_path / "best.keras")


def test_a_network_without_a_softmax_at_its_end_cannot_be_calibrated() -> None:
    keras = pytest.importorskip("keras", reason="networks need tensorflow, extra `train`")
    from model.calibrate import tempered

    with pytest.raises(ModelUnusable, match="does not end in a dense layer with a softmax"):
        tempered(keras.Sequential([keras.layers.Input((9,)), keras.layers.Dense(7)]), 2.0)


def test_a_place_that_takes_no_file_is_one_line(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tests.tiny", reason="export needs tensorflow, extra `train`")
    from model.export import Notes, export

    (tmp_path / "weights").write_text("no folder")
    with pytest.raises(ModelUnusable, match="weights cannot be written to: File exists"):
        export(tiny.taught_checkpoint(tmp_path), tmp_path / "weights", Notes("", "", ""), synthetic_split(7))
