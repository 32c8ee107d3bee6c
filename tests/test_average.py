"""Averaging the weights of several trainings of one network."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.cli import main
from model.dataset import fed
from model.errors import ModelUnusable
from model.provenance import TRAINING_FILE, began_from_others, had_teachers, held_out
from model.splits import read_splits
from tests.synthetic import synthetic_split, write_split

pytest.importorskip("tensorflow", reason="networks are built with tensorflow, extra `train`")

import keras

from model.average import average  # they import keras
from model.networks import load_network, scores_of
from tests.tiny import forgetful, tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder laid out like FER-2013's."""
    for name, seed in (("training", 1), ("public-test", 2)):
        write_split(synthetic_split(140, seed=seed), tmp_path, name)
    return tmp_path


def trained(data: Path, name: str, made: keras.Model, random_seed: int = 0, **told: Any) -> Path:
    """A checkpoint with random weights, and beside it the record that a training on the data would have left."""
    random = np.random.default_rng(random_seed)
    made.set_weights([np.abs(random.normal(0.1, 0.3, weight.shape)) for weight in made.get_weights()])
    (data / name).mkdir()
    made.save(data / name / "best.keras")
    faces = read_splits(data)[0].fingerprint()
    settings = {"network": made.name, "size": 16, "rarest": 0.0, "crowd": 0.3, "held_out": 0.1, "seed": 7}
    (data / name / TRAINING_FILE).write_text(json.dumps(settings | {"training_faces": faces} | told))
    return data / name / "best.keras"


def test_every_weight_is_the_mean_of_those_of_the_trainings(data: Path) -> None:
    of_each = [trained(data, name, tiny(), seed) for seed, name in enumerate("abc")]
    result = load_network(average(of_each, data, data / "mean")).get_weights()
    singly = zip(*(load_network(checkpoint).get_weights() for checkpoint in of_each), strict=True)
    assert all(mean == pytest.approx(np.mean(weights, axis=0), abs=1e-6) for mean, weights in zip(result, singly, strict=True))


def test_the_normalisation_of_the_mean_is_measured_on_the_faces_that_were_learnt_from(data: Path) -> None:
    result = load_network(
        average([trained(data, name, forgetful(), seed) for seed, name in enumerate("ab")], data, data / "mean")
    )
    learnt, _ = read_splits(data)[0].parted(0.1, 7)
    normalisation = next(layer for layer in result.layers if isinstance(layer, keras.layers.BatchNormalization))
    entry = keras.Model(result.inputs, normalisation.input).predict(fed(learnt.pixels, 16), verbose=0)
    assert normalisation.moving_mean.numpy() == pytest.approx(entry.mean(axis=(0, 1, 2)), rel=1e-3)


def test_a_mean_tells_what_was_held_out_of_it_and_to_whom_it_owes_something(data: Path) -> None:
    taught = trained(data, "a", tiny(), taught_by=["teacher.csv"])
    begun = trained(data, "b", tiny(), start_from="faces.json")
    own = trained(data, "c", tiny())
    assert held_out(average([own, taught], data, data / "mean")) == (0.1, 7)
    assert had_teachers(data / "mean" / "best.keras") and not began_from_others(data / "mean" / "best.keras")
    average([own, begun], data, data / "other")
    assert began_from_others(data / "other" / "best.keras") and not had_teachers(data / "other" / "best.keras")


def test_the_accuracy_of_the_mean_and_of_each_is_told(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "model.average")
    of_each = [trained(data, name, tiny(), seed) for seed, name in enumerate("ab")]
    test = read_splits(data)[1]
    singly = [(scores_of(load_network(each), test.pixels).argmax(axis=1) == test.labels).mean() for each in of_each]
    result = average(of_each, data, data / "mean")
    mean = (scores_of(load_network(result), test.pixels).argmax(axis=1) == test.labels).mean()
    (line,) = caplog.messages
    assert line == f"accuracy on PublicTest is {mean:.4f}; of those that were averaged {singly[0]:.4f}, {singly[1]:.4f}"


@pytest.mark.parametrize(
    ("network", "told", "says"),
    [
        (tiny, {"seed": 8}, "b/best.keras was trained with seed 8, .*a/best.keras with 7"),
        (tiny, {"held_out": 0.2}, "b/best.keras was trained with held_out 0.2, .*a/best.keras with 0.1"),
        (tiny, {"training_faces": "others"}, "b/best.keras was trained with training_faces others"),
        (forgetful, {"network": "tiny"}, "b/best.keras is of another network than .*a/best.keras"),
    ],
)
def test_what_cannot_be_averaged_is_refused_in_one_line(data: Path, network: Any, told: dict[str, Any], says: str) -> None:
    of_each = [trained(data, "a", tiny()), trained(data, "b", network(), **told)]
    with pytest.raises(ModelUnusable, match=says):
        average(of_each, data, data / "mean")
    assert not (data / "mean").exists()


def test_a_checkpoint_of_which_nothing_is_told_is_refused(data: Path) -> None:
    of_each = [trained(data, "a", tiny()), trained(data, "b", tiny())]
    of_each[1].with_name(TRAINING_FILE).unlink()
    with pytest.raises(ModelUnusable, match=r"b/best\.keras has no training\.json beside it that tells its network"):
        average(of_each, data, data / "mean")


def test_a_folder_that_holds_a_training_is_left_as_it_is(data: Path) -> None:
    of_each = [trained(data, name, tiny()) for name in "ab"]
    before = of_each[0].read_bytes()
    with pytest.raises(ModelUnusable, match="a holds a training already: average into another folder"):
        average(of_each, data, data / "a")
    assert of_each[0].read_bytes() == before


def test_one_checkpoint_is_nothing_to_average(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["average", str(trained(data, "a", tiny())), "--data", str(data), "--out", str(data / "mean")]) == 2
    assert capsys.readouterr().err == "classmood: there is nothing to average: give two checkpoints or more\n"
