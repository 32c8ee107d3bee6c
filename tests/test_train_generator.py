"""Training the face generator for a few steps, on pictures that are not faces."""

import csv
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs tensorflow, extra `train`")

from bot.student_commands import CHOICES
from model.aligned_faces import AlignedFaces
from model.card import CARD_FILE, fingerprint
from model.errors import DataUnusable, ModelUnusable
from model.export_generator import convert_generator, distances, nearest
from model.face_generator import IDENTITY
from model.faces import EMOTIONS
from model.generated_faces import FaceGenerator, GeneratorCard
from model.networks import load_network
from model.train_generator import GeneratorTraining, School, batches, learn, train_generator
from tests.synthetic import synthetic_split, write_split
from tests.tiny import taught, taught_checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # keras asks tensorflow's arrays for a copy in numpy 1's way
    pytest.mark.filterwarnings("ignore:.*__array__.*copy.*:DeprecationWarning"),
]

SHORT = GeneratorTraining(steps=6, batch_size=8, judged=4, warm_up=0.5)


def faces(count: int = 64) -> AlignedFaces:
    split = synthetic_split(count)
    return AlignedFaces(split.pixels, split.labels)


def test_the_copies_grow_more_like_the_faces() -> None:
    what = GeneratorTraining(steps=60, batch_size=16, judged=4, warm_up=1.0)
    school = School(what, [])
    losses = [float(school.step(*batch, judged=False)["pixels"]) for batch in islice(batches(faces(), what), what.steps)]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_a_training_goes_on_after_a_kill_and_ends_where_it_should(tmp_path: Path) -> None:
    half = replace(SHORT, steps=3, warm_up=1.0)
    learn(School(half, [taught()]), faces(), half, tmp_path, save_every=2, log_every=1)
    again = School(SHORT, [taught()])
    file = learn(again, faces(), SHORT, tmp_path, save_every=2, log_every=1)
    assert int(again.done) == SHORT.steps
    with (tmp_path / "log.csv").open(newline="") as log:
        rows = list(csv.DictReader(log))
    # it resumed from the last checkpoint, so the third step was made and logged again; the adversary came after the warm-up
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [bool(row["discriminator"]) for row in rows] == [False, False, False, True, True, True]
    assert load_network(file).output_shape == (None, 48, 48, 1)


FULL = """
import resource, sys
from pathlib import Path
import tests.test_train_generator as here
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # no file may be larger, as on a disk that is full
here.learn(here.School(here.SHORT, []), here.faces(), here.SHORT, Path(sys.argv[1]), save_every=1, log_every=1)
"""


def test_a_disk_that_is_full_ends_a_training_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith(f"{tmp_path} cannot be written to: File too large")
    assert not (tmp_path / "generator.keras").exists()


def test_a_checkpoint_that_is_none_is_named(tmp_path: Path) -> None:
    short = replace(SHORT, steps=1, warm_up=1.0)
    learn(School(short, []), faces(), short, tmp_path, save_every=1)
    for file in (tmp_path / "backup").glob("ckpt-*"):
        file.write_bytes(b"half of a file")
    with pytest.raises(ModelUnusable, match="ckpt-1 cannot be gone on from: "):
        learn(School(SHORT, []), faces(), SHORT, tmp_path)


def test_a_log_that_cannot_be_read_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"step,pixels\n\xff")
    with pytest.raises(ModelUnusable, match=r"log\.csv cannot be read: 'utf-8' codec can't decode"):
        learn(School(SHORT, []), faces(), SHORT, tmp_path)
    assert (tmp_path / "log.csv").read_bytes() == b"step,pixels\n\xff"


def test_another_training_can_be_taken_over(tmp_path: Path) -> None:
    short = replace(SHORT, steps=2, warm_up=1.0)
    first, from_it, anew = (
        load_network(learn(School(short, []), faces(), short, tmp_path / name, start_from, save_every=2)).get_weights()[0]
        for name, start_from in (("first", None), ("second", tmp_path / "first"), ("third", None))
    )
    assert np.abs(from_it - first).mean() < np.abs(anew - first).mean() / 2
    with pytest.raises(ModelUnusable, match="holds no training of a generator"):
        School(SHORT, []).take_over(tmp_path / "nowhere")


def test_what_is_exported_draws_what_the_network_draws(tmp_path: Path) -> None:
    network = load_network(School(SHORT, []).save(tmp_path / "generator.keras"))
    content = convert_generator(network)
    card = GeneratorCard(
        file="g.tflite", sha256=fingerprint(content), network="g", figures={}, data="", licence="", command="",
        identity=IDENTITY, face_size=48, labels=EMOTIONS,
    )  # fmt: skip
    (tmp_path / card.file).write_bytes(content)
    (tmp_path / CARD_FILE).write_text(card.model_dump_json())
    generator, happy = FaceGenerator(tmp_path), np.eye(len(EMOTIONS), dtype=np.float32)[3]
    who = generator.identity(np.random.default_rng(1))
    wanted = np.asarray(network([who[None], happy[None]]))[0, ..., 0] * 127.5 + 127.5
    assert np.abs(generator.draw(who, happy) - wanted).max() < 3


def test_data_without_faces_cannot_be_trained_on(tmp_path: Path) -> None:
    write_split(synthetic_split(64), tmp_path, "training")
    write_split(synthetic_split(16, seed=9), tmp_path, "public-test")
    with pytest.raises(DataUnusable, match=r"^0 clear faces in .* do not fill a batch"):
        train_generator(SHORT, tmp_path, [taught_checkpoint(tmp_path)], tmp_path / "out")


def test_distances_are_of_grey_levels_and_nearest_leaves_out_the_same_picture() -> None:
    rows = np.array([[0.0, 0.0], [3.0, 3.0], [30.0, 30.0]], np.float32)
    assert np.allclose(distances(rows, rows), [[0, 3, 30], [3, 0, 27], [30, 27, 0]], atol=1e-3)
    assert np.allclose(nearest(rows, rows, itself=True), [30, 27, 27], atol=1e-3)


def test_the_help_of_each_flag_tells_its_default() -> None:
    for name, (_, meaning) in CHOICES.items():
        assert meaning.endswith(f"(default: {getattr(GeneratorTraining(), name)})"), name
