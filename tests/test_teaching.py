"""Teachers of several kinds, and a training that learns from one."""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.cli import main
from model.errors import ModelUnusable
from tests.synthetic import synthetic_split, write_split

pytest.importorskip("tensorflow", reason="networks are built with tensorflow, extra `train`")

import keras
import tensorflow

from model.batches import soft_labels  # they import keras
from model.networks import load_network
from model.provenance import had_teachers
from model.teachers import seen_by, write_scores
from model.tfjs import read_tfjs
from model.train import CHECKPOINT_FILE, Training, train
from tests.tiny import SIZE, exported, taught_checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def stranger() -> keras.Model:
    """A network with every operation that teachers may have."""
    layers = keras.layers
    pictures = layers.Input((24, 24, 1))
    first = layers.Conv2D(8, 3, strides=2, padding="valid", activation="relu", name="first")(pictures)
    deep = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="deep")(first)
    large = layers.MaxPooling2D(3, strides=2, padding="same")(deep)
    short = layers.Conv2D(8, 1, strides=2, padding="same", name="short")(first)
    last = layers.Conv2D(7, 3, padding="same", name="last")(layers.ReLU()(layers.Add()([large, short])))
    network = keras.Model(pictures, layers.Softmax()(layers.GlobalAveragePooling2D()(last)))
    random = np.random.default_rng(2013)
    network.set_weights([random.normal(0, 0.3, weight.shape) for weight in network.get_weights()])
    return network


def as_tfjs(network: keras.Model, path: Path) -> Path:
    """The stranger as TensorFlow.js stores it."""

    def node(name: str, op: str, entries: list[str], **attributes: object) -> dict[str, object]:
        return {"name": name, "op": op, "input": entries, "attr": attributes}

    def text(word: str) -> str:
        return base64.b64encode(word.encode()).decode()

    def steps(step: int, padding: str) -> dict[str, object]:
        strides = {"list": {"i": ["1", str(step), str(step), "1"]}}
        return {"strides": strides, "padding": {"s": text(padding)}, "data_format": {"s": text("NHWC")}}

    def convolution(name: str, entry: str, step: int, padding: str, *fused: str) -> dict[str, object]:
        operations = {"list": {"s": [text(each) for each in ("BiasAdd", *fused)]}}
        entries = [entry, f"{name}/kernel", f"{name}/bias"]
        return node(name, "_FusedConv2D", entries, fused_ops=operations, **steps(step, padding))

    weights = {
        f"{layer.name}/{kind}": np.array(value)
        for layer in network.layers
        for kind, value in zip(("kernel", "bias"), layer.get_weights(), strict=False)
    }
    weights["axes"] = np.array([1, 2], np.int32)
    size = {"shape": {"dim": [{"size": "-1"}, {"size": "24"}, {"size": "24"}, {"size": "1"}]}}
    nodes = [
        *(node(name, "Const", []) for name in weights),
        node("pictures", "Placeholder", [], shape=size),
        convolution("first", "pictures", 2, "VALID", "Relu"),
        node("deep", "DepthwiseConv2dNative", ["first", "deep/kernel"], **steps(1, "SAME")),
        node("large", "MaxPool", ["deep"], ksize={"list": {"i": ["1", "3", "3", "1"]}}, **steps(2, "SAME")),
        convolution("short", "first", 2, "SAME"),
        node("sum", "AddV2", ["large", "short"]),
        node("active", "Relu", ["sum"]),
        convolution("last", "active", 1, "SAME"),
        node("mean", "Mean", ["last", "axes"], keep_dims={"b": False}),
        node("softmax", "Softmax", ["mean"]),
        node("answer", "Identity", ["softmax"]),
    ]
    listed = [{"name": name, "shape": list(value.shape), "dtype": value.dtype.name} for name, value in weights.items()]
    manifest = [{"paths": ["weights.bin"], "weights": listed}]
    (path.parent / "weights.bin").write_bytes(b"".join(value.tobytes() for value in weights.values()))
    path.write_text(json.dumps({"modelTopology": {"node": nodes}, "weightsManifest": manifest}))
    return path


def as_tflite(network: keras.Model, path: Path) -> Path:
    """The stranger as LiteRT runs it."""
    network.export(path.parent / "saved", format="tf_saved_model", verbose=False)
    path.write_bytes(tensorflow.lite.TFLiteConverter.from_saved_model(str(path.parent / "saved")).convert())
    return path


def test_a_graph_of_tensorflow_js_answers_as_the_network_that_it_was(tmp_path: Path) -> None:
    network = stranger()
    pictures = np.random.default_rng(1).uniform(-1, 1, (5, 24, 24, 1)).astype(np.float32)
    read = read_tfjs(as_tfjs(network, tmp_path / "model.json"))
    expected = network.predict(pictures, verbose=0)
    assert np.ptp(expected, axis=0).max() > 0.001
    assert read.predict(pictures, verbose=0) == pytest.approx(expected, abs=1e-6)


def without(key: str) -> Callable[[str], str]:
    """Takes that attribute away from every operation in the text of a graph."""
    return lambda text: text.replace(f'"{key}"', '"else"')


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (lambda _: "{}", "'modelTopology'"),
        (lambda _: "[", "Expecting value"),
        (lambda text: text.replace('"Softmax"', '"Erf"'), "operations that are not known: Erf"),
        (lambda text: text.replace("weights.bin", "gone.bin"), "No such file or directory"),
        (lambda text: text.replace('"Placeholder"', '"Const"'), "not enough values"),
        (lambda text: text.replace(base64.b64encode(b"Relu").decode(), base64.b64encode(b"Elu").decode()), "BiasAdd and Elu"),
        (lambda text: text.replace(base64.b64encode(b"NHWC").decode(), base64.b64encode(b"NCHW").decode()), "channels first"),
        (lambda text: text.replace('["deep"]', '["sum"]'), "'sum'"),
        (lambda text: text.replace(', "first/bias"', ""), "argument"),
        (without("fused_ops"), "'fused_ops'"),
        (without("strides"), "'strides'"),
    ],
)
def test_a_file_that_is_no_such_graph_is_named_in_one_line(tmp_path: Path, changed: Callable[[str], str], says: str) -> None:
    path = as_tfjs(stranger(), tmp_path / "model.json")
    path.write_text(changed(path.read_text()))
    with pytest.raises(ModelUnusable) as refusal:
        read_tfjs(path)
    told = str(refusal.value)
    assert told.startswith(f"{path} is no graph of TensorFlow.js") and says in told and "\n" not in told


def test_both_files_of_a_stranger_teach_the_same_of_a_face_and_its_mirror_image(tmp_path: Path) -> None:
    network, faces = stranger(), synthetic_split(6).pixels
    seen = [seen_by(make(network, tmp_path / name), faces) for make, name in ((as_tfjs, "s.json"), (as_tflite, "s.tflite"))]
    assert seen[0] == pytest.approx(seen[1], abs=1e-4)
    assert seen[0].sum(axis=1) == pytest.approx(np.ones(6), abs=1e-4)
    assert seen_by(tmp_path / "s.tflite", faces[..., ::-1]) == pytest.approx(seen[1], abs=1e-6)


def test_our_own_checkpoints_and_weights_teach_too(tmp_path: Path) -> None:
    split = synthetic_split(70, seed=3)
    for teacher in (taught_checkpoint(tmp_path), exported(tmp_path)):
        assert (seen_by(teacher, split.pixels).argmax(axis=1) == split.labels).mean() > 0.5


def test_a_graph_with_other_answers_does_not_teach(tmp_path: Path) -> None:
    pictures = keras.Input((24, 24, 1))
    other = keras.Model(pictures, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(pictures)))
    with pytest.raises(ModelUnusable, match="does not turn square grey faces into 7 scores"):
        seen_by(as_tflite(other, tmp_path / "other.tflite"), synthetic_split(2).pixels)


def test_a_file_with_a_card_teaches_as_its_folder_does(tmp_path: Path) -> None:
    (weights,) = exported(tmp_path).glob("*.tflite")
    faces = synthetic_split(9).pixels
    assert np.array_equal(seen_by(weights, faces), seen_by(tmp_path, faces))


def test_pixels_without_a_card_that_tells_what_they_are_do_not_teach(tmp_path: Path) -> None:
    (weights,) = exported(tmp_path).glob("*.tflite")
    (tmp_path / "card.json").unlink()
    with pytest.raises(ModelUnusable, match=r"card\.json cannot be read: No such file"):
        seen_by(weights, synthetic_split(2).pixels)


def test_answers_that_are_no_probabilities_do_not_teach(tmp_path: Path) -> None:
    pictures = keras.Input((24, 24, 1))
    logits = keras.layers.Dense(7)(keras.layers.GlobalAveragePooling2D()(pictures))
    with pytest.raises(ModelUnusable, match="no probabilities"):
        seen_by(as_tflite(keras.Model(pictures, logits), tmp_path / "logits.tflite"), synthetic_split(2).pixels)


def test_labels_are_mixed_with_what_teachers_say() -> None:
    split = synthetic_split(3)
    said = np.full((3, 7), 1 / 7, np.float32)
    alone = soft_labels(split, crowd=0.3, smoothing=0.05)
    assert soft_labels(split, 0.3, 0.05, trust=0.4) == pytest.approx(alone)
    assert soft_labels(replace(split, taught=said), 0.3, 0.05, trust=0.4) == pytest.approx(0.6 * alone + 0.4 * said)


def test_a_training_learns_what_its_teacher_says_where_that_is_trusted(tmp_path: Path) -> None:
    training, test = synthetic_split(448, seed=1), synthetic_split(70, seed=2)
    write_split(training, tmp_path, "training")
    write_split(test, tmp_path, "public-test")
    # a teacher that mistakes each emotion for the next
    write_scores(tmp_path / "wrong.csv", np.eye(7, dtype=np.float32)[(training.labels + 1) % 7])
    what = Training(network="tiny", size=SIZE, epochs=6, batch_size=32, learning_rate=3e-3, jitter=0.2)
    what = replace(what, taught_by=(str(tmp_path / "wrong.csv"),), trust=1.0)
    train(what, tmp_path, tmp_path / "run")
    answers = load_network(tmp_path / "run" / CHECKPOINT_FILE).predict(
        test.pixels[:, 1::3, 1::3, None].astype(np.float32), verbose=0
    )
    assert (answers.argmax(axis=1) == (test.labels + 1) % 7).mean() > (answers.argmax(axis=1) == test.labels).mean() + 0.3


def test_the_command_writes_what_a_network_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_split(synthetic_split(9), tmp_path, "training")
    answers = tmp_path / "answers.csv"
    assert main(["teach", str(taught_checkpoint(tmp_path)), "--data", str(tmp_path), "--out", str(answers)]) == 0
    assert capsys.readouterr().out.strip() == str(answers)
    lines = answers.read_text().splitlines()
    assert lines[0] == "angry,disgust,fear,happy,sad,surprise,neutral" and len(lines) == 10


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_split(synthetic_split(9), tmp_path, "training")
    answers = tmp_path / "nowhere" / "answers.csv"
    # this is checked before any work: the teacher does not even exist
    assert main(["teach", str(tmp_path / "gone.keras"), "--data", str(tmp_path), "--out", str(answers)]) != 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "answers.csv" in line]
    assert "cannot be written to" in line


def test_a_folder_in_the_place_of_the_answers_is_told_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_split(synthetic_split(9), tmp_path, "training")
    assert main(["teach", str(tmp_path / "gone.keras"), "--data", str(tmp_path), "--out", str(tmp_path)]) == 3
    assert capsys.readouterr().err.endswith(f"{tmp_path} cannot be written to: it is a folder\n")


def test_a_backend_that_keras_does_not_know_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "pytorch")
    assert main(["train", "custom_cnn", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert "KERAS_BACKEND=pytorch is not one of tensorflow, torch, jax\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--trust", "0.5"], "--trust needs --taught-by"),
        (["--trust", "1.5", "--taught-by", "a.csv"], "1.5 is not a number from 0 to 1"),
        (["--mixup", "-1"], "-1 is not a number from 0 on"),
        (["--batch-size", "0"], "0 is less than 1"),
    ],
)
def test_numbers_that_cannot_be_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    with suppress(SystemExit):
        assert main(["train", "tiny", "--data", str(tmp_path), "--out", str(tmp_path / "run"), *more]) != 0
    assert says in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"taught_by": ["a.csv"]}, "--teachers is needed"),
        ({"distilled_from": ["a.keras"]}, "--teachers is needed"),
        ({"weights": "imagenet"}, "--begun-from is needed"),
        ({"start_from": "faces.json"}, "--begun-from is needed"),
        ({"start_from": "earlier/best.keras"}, "--begun-from is needed"),
    ],
)
def test_a_network_that_owes_something_to_others_is_not_exported_without_a_word_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("training", "public-test"):
        write_split(synthetic_split(70), tmp_path, name)
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "training.json").write_text(json.dumps({"seed": 1, "start_from": "faces.json"}))
    checkpoint = taught_checkpoint(tmp_path)
    (tmp_path / "training.json").write_text(json.dumps({"seed": 1, "held_out": 0.1} | told))
    assert main(["export", str(checkpoint), "--data", str(tmp_path), "--out", str(tmp_path / "out")]) != 0
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_where_it_is_not_known_what_is_owed_a_line_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "training.json").write_text(json.dumps({"seed": 1, "start_from": "gone/best.keras"}))
    assert not had_teachers(tmp_path / "best.keras")
    (line,) = caplog.messages
    assert line == "gone/best.keras, which a network was made from, is not there: what that owes to others is not known"
