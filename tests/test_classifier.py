"""Scoring faces with a network that was trained, exported and loaded again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from model.card import fingerprint, read_card
from model.classifier import LiteRtClassifier
from model.dataset import resized
from model.errors import ModelUnusable
from model.faces import Image
from tests.synthetic import synthetic_split

pytest.importorskip("tensorflow", reason="the network is taught with tensorflow, extra `train`")

# keras asks tensorflow's arrays for a copy in numpy 1's way
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

SIZE = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny import exported

    return exported(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def classifier(folder: Path) -> LiteRtClassifier:
    return LiteRtClassifier(folder)


def crops(count: int) -> Image:
    return resized(synthetic_split(count, seed=5).pixels, SIZE)


def test_faces_are_known_again(classifier: LiteRtClassifier) -> None:
    split = synthetic_split(70, seed=5)
    assert (classifier.classify(crops(70)).argmax(axis=1) == split.labels).mean() > 0.95


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 40])
def test_a_batch_of_any_size_gives_a_row_of_probabilities_per_face(classifier: LiteRtClassifier, count: int) -> None:
    scores = classifier.classify(crops(count))
    assert (scores.shape, scores.dtype) == ((count, 7), np.float32)
    assert scores.sum(axis=1) == pytest.approx(np.ones(count), abs=1e-3)


def test_a_face_scores_the_same_alone_and_in_company(classifier: LiteRtClassifier) -> None:
    faces = crops(9)
    alone = np.concatenate([classifier.classify(face[None]) for face in faces])
    assert (classifier.classify(faces) == alone).all()


def test_scores_stay_as_they_are_when_others_are_computed(classifier: LiteRtClassifier) -> None:
    scores = classifier.classify(crops(2))
    before = scores.copy()
    classifier.classify(255 - crops(2))
    assert (scores == before).all()


def test_size_and_name_come_from_the_card(classifier: LiteRtClassifier, folder: Path) -> None:
    card = read_card(folder)
    assert classifier.size == card.input.size == SIZE
    assert classifier.name == f"tiny@{card.sha256[:8]}"


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 48, 48), np.uint8), np.zeros((2, 16, 16), np.float32), np.zeros((16, 16), np.uint8)]
)
def test_crops_that_do_not_fit_are_refused(classifier: LiteRtClassifier, wrong: Image) -> None:
    with pytest.raises(ValueError, match=r"crops \(n, 16, 16\) uint8 are wanted, not"):
        classifier.classify(wrong)


def test_a_card_with_another_size_than_the_graph_is_refused(folder: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(folder, tmp_path / "weights")
    card = json.loads((changed / "card.json").read_text())
    (changed / "card.json").write_text(json.dumps(card | {"input": card["input"] | {"size": 48}}))
    with pytest.raises(ModelUnusable, match=r"tiny-.*\.tflite is not a graph that LiteRT can run"):
        LiteRtClassifier(changed)


@pytest.mark.parametrize("kept", [0, 3, 64])
def test_a_cut_graph_is_refused_even_if_its_card_was_written_for_it(folder: Path, tmp_path: Path, kept: int) -> None:
    changed = shutil.copytree(folder, tmp_path / "weights")
    card = json.loads((changed / "card.json").read_text())
    cut = (changed / card["file"]).read_bytes()[:kept]
    (changed / card["file"]).write_bytes(cut)
    (changed / "card.json").write_text(json.dumps(card | {"sha256": fingerprint(cut)}))
    with pytest.raises(ModelUnusable, match=r"tiny-.*\.tflite is not a graph that LiteRT can run"):
        LiteRtClassifier(changed)
