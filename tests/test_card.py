"""Weights are used only if they match their card."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.card import SHIPPED_WEIGHTS, fingerprint, read_card, read_card_as, read_weights
from model.classifier import LiteRtClassifier
from model.detector import BlazeFace
from model.errors import ModelUnusable
from model.faces import EMOTIONS
from model.generated_faces import GeneratorCard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of weights that are in order."""
    return shutil.copytree(SHIPPED_WEIGHTS / "blazeface_short_range", tmp_path / "weights")


def change_card(folder: Path, **fields: Any) -> None:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def refusal(folder: Path) -> str:
    """The line with which the detector refuses the folder."""
    with pytest.raises(ModelUnusable) as caught:
        BlazeFace(folder)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in SHIPPED_WEIGHTS.glob("*/card.json")), ids=lambda path: path.name
)
def test_shipped_weights_are_what_their_cards_say(folder: Path) -> None:
    card = read_card_as(GeneratorCard, folder) if folder.name == "students" else read_card(folder)
    assert fingerprint(read_weights(folder, card)) == card.sha256
    assert card.licence
    assert card.data
    assert card.command


def test_a_folder_without_a_card_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == f"{tmp_path}/nowhere/card.json cannot be read: No such file or directory"


def test_a_card_that_is_not_json_is_named(folder: Path) -> None:
    (folder / "card.json").write_text("{")
    assert refusal(folder).startswith(f"{folder}/card.json is not a card: Invalid JSON")


def test_a_card_that_is_no_text_is_named(folder: Path) -> None:
    (folder / "card.json").write_bytes(b"\xff\xfe\x00")
    assert refusal(folder).startswith(f"{folder}/card.json is not a card")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"sha256": "abc"}, "sha256: "),
        ({"file": "../elsewhere.tflite"}, "file: "),
        ({"file": "/etc/passwd"}, "file: "),
        ({"input": {"size": 0, "channels": 3, "dtype": "float32", "range": [-1, 1]}}, "input: size: "),
        ({"input": {"size": 128}}, "input: channels: Field required; input: dtype: "),
        ({"labels": None}, "labels: "),
        ({"flavour": "vanilla"}, "flavour: "),
    ],
)
def test_a_card_with_a_wrong_field_names_the_field(folder: Path, fields: dict[str, Any], said: str) -> None:
    change_card(folder, **fields)
    assert refusal(folder).startswith(f"{folder}/card.json is not a card: {said}")


def test_weights_that_are_missing_are_named(folder: Path) -> None:
    path = folder / read_card(folder).file
    path.unlink()
    assert refusal(folder) == f"{path} cannot be read: No such file or directory"


def test_truncated_weights_are_named(folder: Path) -> None:
    path = folder / read_card(folder).file
    path.write_bytes(path.read_bytes()[:-1])
    assert refusal(folder) == f"{path} is not the file that its card describes: damaged, truncated or exchanged"


def test_one_flipped_bit_is_noticed(folder: Path) -> None:
    path = folder / read_card(folder).file
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert "is not the file that its card describes" in refusal(folder)


def test_the_name_is_the_network_and_its_fingerprint(folder: Path) -> None:
    assert read_card(folder).name == "blazeface_short_range@3bc182eb"


def test_a_face_detector_is_not_taken_for_an_emotion_classifier(folder: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"answers face; wanted are, in this order, angry, disgust, fear"):
        LiteRtClassifier(folder)


def test_emotions_in_another_order_are_refused(folder: Path) -> None:
    change_card(folder, labels=sorted(EMOTIONS))
    with pytest.raises(ModelUnusable, match="in this order, angry, disgust, fear, happy, sad, surprise, neutral"):
        LiteRtClassifier(folder)


def test_a_classifier_that_wants_colour_is_refused(folder: Path) -> None:
    change_card(folder, labels=EMOTIONS)
    with pytest.raises(ModelUnusable, match="does not take grey uint8 faces"):
        LiteRtClassifier(folder)


def test_a_graph_that_is_not_what_its_card_claims_is_refused(folder: Path) -> None:
    change_card(folder, labels=EMOTIONS, input={"size": 48, "channels": 1, "dtype": "uint8", "range": [0, 255]})
    with pytest.raises(ModelUnusable, match="is not a graph that LiteRT can run"):
        LiteRtClassifier(folder)


def test_the_running_bot_needs_no_tensorflow() -> None:
    code = (
        "import sys, bot.app, model.classifier, model.detector, model.evaluate, pipeline.analysis;"
        "print(sorted({'tensorflow', 'keras'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)
