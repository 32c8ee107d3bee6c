"""The networks that can be trained."""

from pathlib import Path

import numpy as np
import pytest

from model.dataset import resized
from model.errors import ModelUnusable
from tests.synthetic import synthetic_split

keras = pytest.importorskip("keras", reason="networks are built with tensorflow, extra `train`")

from model.batches import TrainingBatches, evened, soft_labels, times_repeated  # noqa: E402  # they import keras
from model.jitter import compressed, darkened, hide_a_part, jittered, mixed  # noqa: E402
from model.networks import NETWORKS, custom_cnn, in_precision, load_network, residual_cnn, save  # noqa: E402

pytestmark = pytest.mark.slow


def test_the_first_network_has_the_published_number_of_parameters() -> None:
    assert custom_cnn().count_params() == 4_496_903


def test_the_first_network_turns_grey_faces_into_probabilities() -> None:
    network = custom_cnn(24)
    scores = network(np.zeros((2, 24, 24, 1), np.float32), training=False).numpy()
    assert scores.shape == (2, 7)
    assert scores.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_the_residual_network_is_smaller_and_takes_faces_of_any_size() -> None:
    network = residual_cnn()
    assert network.count_params() == 2_538_583
    smaller = residual_cnn(40)
    smaller.set_weights(network.get_weights())
    assert smaller(np.zeros((2, 40, 40, 1), np.float32), training=False).numpy().sum(axis=1) == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("vgg_cnn", 7_645_767), ("resnet18", 11_180_871), ("vgg16", 14_718_279), ("resnet50", 23_602_055)],
)
def test_larger_networks_and_backbones_of_keras_have_a_head_of_seven(name: str, parameters: int) -> None:
    network = NETWORKS[name](48)
    assert network.count_params() == parameters
    assert network(np.zeros((2, 48, 48, 1), np.float32), training=False).numpy().sum(axis=1) == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("name", ["custom_cnn", "face_resnet", "vgg_cnn"])
def test_a_copy_in_half_precision_answers_nearly_as_the_network_and_counts_in_full(name: str) -> None:
    network, faces = NETWORKS[name](32), resized(synthetic_split(4).pixels, 32)[..., None].astype(np.float32)
    copy = in_precision(network, "mixed_bfloat16")
    answer = copy(faces, training=False).numpy()
    assert answer.dtype == np.float32 and answer == pytest.approx(network(faces, training=False).numpy(), abs=0.02)
    assert {weight.dtype for weight in copy.weights} == {"float32"} and copy.layers[-2].compute_dtype == "bfloat16"
    assert not np.array_equal(answer, network(faces, training=False).numpy())


def test_a_backbone_that_needs_larger_faces_says_so() -> None:
    with pytest.raises(ModelUnusable, match=r"vgg16 cannot be made: Input size must be at least 32x32"):
        NETWORKS["vgg16"](24)


@pytest.mark.parametrize("content", [None, b"", b"PK not a network"])
def test_a_file_that_is_no_network_is_named_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "best.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelUnusable) as caught:
        load_network(path)
    reason = "cannot be read: No such file" if content is None else "is not a trained network: it is no .keras file"
    assert str(caught.value).startswith(f"{path} {reason}") and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_half_a_network_is_told_from_none(tmp_path: Path) -> None:
    whole = save(custom_cnn(32), tmp_path / "best.keras")
    whole.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(ModelUnusable, match=r"best\.keras is not a trained network: it is no \.keras file, or not all of one$"):
        load_network(whole)


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_a_backbones_own_weights_that_are_none_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "own.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelUnusable, match=r"^vgg16 cannot be made: .+$"):
        NETWORKS["vgg16"](32, str(path))


def test_a_jittered_face_keeps_its_shape_and_range() -> None:
    face = synthetic_split(1).pixels[0]
    moved = jittered(face, np.random.default_rng(4))
    assert (moved.shape, moved.dtype) == ((48, 48), np.float32)
    assert 0 <= moved.min() <= moved.max() <= 255
    assert (moved != face).mean() > 0.5


def test_the_same_seed_jitters_the_same_way_and_some_faces_lose_a_part_or_their_detail() -> None:
    face = synthetic_split(1).pixels[0]
    twice = [[jittered(face, random) for _ in range(40)] for random in (np.random.default_rng(1), np.random.default_rng(1))]
    assert np.array_equal(*twice)
    # a rectangle of a single grey, at least 7 by 7 pixels, which no synthetic face has by itself
    hidden = [np.unique(each, return_counts=True)[1].max() >= 49 for each in twice[0]]
    assert 3 <= sum(hidden) <= 25


def test_a_part_of_a_face_gives_way_to_one_grey() -> None:
    face, random = np.random.default_rng(2).uniform(0, 255, (48, 48)).astype(np.float32), np.random.default_rng(1)
    before = face.copy()
    hide_a_part(face, random)
    changed = face != before
    assert 7 * 7 <= changed.sum() <= 20 * 20 and len(np.unique(face[changed])) == 1


def test_low_light_is_darker_and_grainier_than_its_darkness_alone() -> None:
    face = np.full((48, 48), 150, np.float32)
    dark = darkened(face, np.random.default_rng(1))
    assert 0.15 * 150 < dark.mean() < 0.65 * 150
    assert 1 < dark.std() < 10
    assert (dark.shape, dark.dtype) == ((48, 48), np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_a_thin_stream_keeps_the_light_and_loses_grain(seed: int) -> None:
    face = np.random.default_rng(3).normal(120, 8, (48, 48)).astype(np.float32)
    sent = compressed(face, np.random.default_rng(seed))
    assert (sent.shape, sent.dtype) == ((48, 48), np.float32)
    assert sent.mean() == pytest.approx(face.mean(), abs=2)
    assert sent.std() < 0.8 * face.std()


def test_every_flaw_occurs_in_some_faces_and_in_few() -> None:
    face = synthetic_split(1).pixels[0]
    random = np.random.default_rng(1)
    dark = sum(jittered(face, random).mean() < 0.55 * face.mean() for _ in range(200))
    assert 5 <= dark <= 60


def test_a_jitter_of_no_strength_leaves_nothing_but_the_mirroring() -> None:
    face, random = synthetic_split(1).pixels[0], np.random.default_rng(1)
    for _ in range(20):
        still = jittered(face, random, strength=0.0)
        assert np.array_equal(still, face) or np.array_equal(still, face[:, ::-1])


def test_rare_emotions_are_repeated_up_to_their_least_share_and_the_others_are_not() -> None:
    labels = np.array([0] * 90 + [1] * 2 + [2] * 8)
    rows = evened(labels, rarest=0.05)
    assert np.bincount(labels[rows]).tolist() == [90, 5, 8]
    assert set(rows) == set(range(100))
    assert evened(labels, rarest=0.0).tolist() == list(range(100))


def test_it_is_told_how_often_each_emotion_comes_in_an_epoch() -> None:
    labels = np.repeat([0, 1, 3], [90, 2, 8])
    assert times_repeated(labels, rarest=0.05) == pytest.approx([1, 2.5, 1, 1, 1, 1, 1])
    assert times_repeated(labels, rarest=0.0) == pytest.approx([1] * 7)


def test_soft_labels_mix_the_label_with_the_crowds_votes() -> None:
    wanted = soft_labels(synthetic_split(7), crowd=0.5, smoothing=0.07)
    assert wanted.sum(axis=1) == pytest.approx(np.ones(7))
    assert wanted[0] == pytest.approx([0.5 * 0.94 + 0.5, *[0.5 * 0.01] * 6])


def test_a_face_that_the_crowd_saw_nothing_in_keeps_its_label() -> None:
    split = synthetic_split(7)
    split.votes[:] = 0
    assert soft_labels(split, crowd=1.0, smoothing=0.0) == pytest.approx(np.eye(7))


def test_mixup_blends_each_face_and_its_label_with_the_next_ones_by_one_share() -> None:
    faces = np.array([0, 100, 200], np.float32)[:, None, None] * np.ones((3, 8, 8), np.float32)
    wanted = np.eye(7, dtype=np.float32)[[0, 3, 6]]
    blended, labels = mixed(faces, wanted, np.random.default_rng(1), mixup=1.0)
    share = labels[0, 0]
    assert 0.01 < share < 0.99
    assert labels[:, [0, 3, 6]] == pytest.approx(np.array([[share, 0, 1 - share], [1 - share, share, 0], [0, 1 - share, share]]))
    assert blended[:, 0, 0] == pytest.approx([200 * (1 - share), 100 * share, 100 * (1 - share) + 200 * share])
    assert mixed(faces, wanted, np.random.default_rng(1), mixup=0.0)[0] is faces


def test_an_epoch_holds_whole_batches_in_an_order_of_its_own() -> None:
    split = synthetic_split(50)
    batches = TrainingBatches(split, soft_labels(split, crowd=0, smoothing=0), size=16, batch_size=16, seed=1)
    first = [batches[i] for i in range(len(batches))]
    batches.begin(1)
    second = batches[0]
    batches.begin(0)
    assert len(first) == 3
    assert first[0][0].shape == (16, 16, 16, 1)
    assert (first[0][1].argmax(axis=1) != second[1].argmax(axis=1)).any()
    assert np.array_equal(first[0][0], batches[0][0])
