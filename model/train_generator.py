"""Trains the generator of faces on FER-2013, with a log, checkpoints and a way to resume after a kill."""

import csv
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model.aligned_faces import AlignedFaces, aligned_faces, oval
from model.detector import BlazeFace
from model.disk import disk_told
from model.errors import DataUnusable, ModelUnusable, first_line
from model.face_generator import IDENTITY, discriminator, encoder, generator
from model.faces import EMOTIONS
from model.networks import load_classifier, save
from model.resume import LOG_FILE, write_log
from model.splits import read_splits

logger = logging.getLogger(__name__)

GENERATOR_FILE = "generator.keras"
BACKUP = "backup"
LOGGED = ("step", "pixels", "divergence", "adversary", "emotion", "identity", "discriminator")

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class GeneratorTraining:
    """What one training is made with: its length in steps of `batch_size` faces, and how much each aim counts."""

    steps: int = 5000
    batch_size: int = 64
    learning_rate: float = 1e-3
    adversary_rate: float = 2e-3
    warm_up: float = 0.2  # share of the steps before the adversary begins
    pixel_deviation: float = 0.3
    adversary: float = 0.2
    gentleness: float = 0.1
    emotion: float = 0.03
    identity: float = 0.05
    judged: int = 32  # faces of a batch that the classifier judges: it is the costliest part
    seed: int = 2013


def train_generator(what: GeneratorTraining, data: Path, critics: list[Path], out: Path, start_from: Path | None = None) -> Path:
    """Train on the Training split in `data` and return the file of the generator, its weights averaged over the last steps.

    `critics` are .keras classifiers that judge whether a generated face shows what it should. Called again with the same
    `out` after a kill, it goes on from the last checkpoint. Raises DataUnusable for data that do not fit, ModelUnusable for
    an unusable critic or checkpoint, if `out` cannot be written to, and if a loss stops being a number.
    """
    keras.utils.set_random_seed(what.seed)
    judges = [load_classifier(path) for path in critics]
    training, _ = read_splits(data)
    faces = aligned_faces(training, BlazeFace())
    if len(faces) < what.batch_size:
        raise DataUnusable(f"{len(faces)} clear faces in {data} do not fill a batch of {what.batch_size}")
    logger.info("%d of %d faces are clear and frontal", len(faces), len(training))
    return learn(School(what, judges), faces, what, out, start_from)


def learn(
    school: "School",
    faces: AlignedFaces,
    what: GeneratorTraining,
    out: Path,
    start_from: Path | None = None,
    *,
    save_every: int = 500,
    log_every: int = 100,
) -> Path:
    """Train to the end, from the last checkpoint in `out` if there is one, and return the generator's file."""
    with disk_told(out):
        out.mkdir(parents=True, exist_ok=True)
        kept = tf.train.CheckpointManager(school.checkpoint, str(out / BACKUP), max_to_keep=2)
        if _restored(kept) is None and start_from is not None:
            school.take_over(start_from)
        done = int(school.done)
        log, lessons, sums = StepLog(out / LOG_FILE, done), batches(faces, what, done), Counter[str]()
        for step in range(done + 1, what.steps + 1):
            judged = step > what.warm_up * what.steps
            sums.update({name: float(value) for name, value in school.step(*next(lessons), judged=judged).items()})
            if not math.isfinite(sums.total()):
                raise ModelUnusable(f"a loss is not a number at step {step}: train with a smaller learning rate")
            if step % log_every == 0:
                log.add(step, {name: value / log_every for name, value in sums.items()})
                sums.clear()
            if step % save_every == 0:
                _save(kept, out)
                school.save(out / GENERATOR_FILE)
        return school.save(out / GENERATOR_FILE)


def _restored(kept: tf.train.CheckpointManager) -> str | None:
    try:
        latest: str | None = kept.restore_or_initialize()
    except (tf.errors.OpError, ValueError) as error:
        raise ModelUnusable(f"{kept.latest_checkpoint} cannot be gone on from: {first_line(error)}") from error
    return latest


def _save(kept: tf.train.CheckpointManager, out: Path) -> None:
    try:
        kept.save()
    except tf.errors.OpError as error:  # tensorflow's own, instead of an OSError; with the system's reason in it
        reason = first_line(error).rpartition("; ")[2].partition(" [")[0]
        raise ModelUnusable(f"{out} cannot be written to: {reason}") from error


def batches(faces: AlignedFaces, what: GeneratorTraining, skipped: int = 0) -> Iterator[Batch]:
    """Endless batches: faces (b, 48, 48, 1) from -1 to 1, half of them mirrored, and their emotions (b, 7).

    Rare emotions are oversampled, by the square root of how rare they are.
    """
    random = np.random.default_rng((what.seed, skipped))
    weights = 1 / np.sqrt(np.bincount(faces.labels, minlength=len(EMOTIONS)))[faces.labels]
    weights /= weights.sum()
    while True:
        rows = random.choice(len(faces), what.batch_size, p=weights)
        pixels = faces.pixels[rows].astype(np.float32) / 127.5 - 1
        mirrored = random.random(what.batch_size) < 0.5
        pixels[mirrored] = pixels[mirrored, :, ::-1]
        yield pixels[..., None], np.eye(len(EMOTIONS), dtype=np.float32)[faces.labels[rows]]


class School:
    """The three networks, their optimizers, and one step of their training."""

    def __init__(self, what: GeneratorTraining, judges: list[keras.Model]) -> None:
        self._what = what
        self._judges = judges
        self._encoder, self._generator, self._discriminator = encoder(), generator(), discriminator()
        rate = keras.optimizers.schedules.CosineDecay(what.learning_rate, what.steps, alpha=0.05)
        # the averaged weights draw calmer faces than those of any one step (Yazici et al., arXiv 1806.04498)
        self._artist = keras.optimizers.Adam(rate, beta_1=0.5, use_ema=True, ema_momentum=0.995)
        self._adversary = keras.optimizers.Adam(what.adversary_rate, beta_1=0.5)
        self._artist.build(self._drawing)
        self._adversary.build(self._discriminator.trainable_variables)
        self.done = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.checkpoint = tf.train.Checkpoint(
            encoder=self._encoder,
            generator=self._generator,
            discriminator=self._discriminator,
            artist=self._artist,
            adversary=self._adversary,
            done=self.done,
        )
        # what lies outside the face counts a little, so that hair and jaw still have a place
        self._weight = tf.constant(0.15 + 0.85 * oval(2.0)[None, ..., None])
        self._warm, self._whole = tf.function(self._warm_step), tf.function(self._whole_step)

    @property
    def _drawing(self) -> list[Any]:
        return [*self._encoder.trainable_variables, *self._generator.trainable_variables]

    def step(self, faces: NDArray[np.float32], emotions: NDArray[np.float32], *, judged: bool) -> dict[str, Any]:
        """Learn from one batch, with or without adversary and classifier; returns the losses by name."""
        work: Callable[..., dict[str, Any]] = self._whole if judged else self._warm
        losses = work(tf.constant(faces), tf.constant(emotions))
        self.done.assign_add(1)
        return losses

    def take_over(self, start_from: Path) -> None:
        """Begin with the networks of another training's folder; raises ModelUnusable if it holds none."""
        latest = tf.train.latest_checkpoint(str(start_from / BACKUP))
        if latest is None:
            raise ModelUnusable(f"{start_from} holds no training of a generator")
        networks = {"encoder": self._encoder, "generator": self._generator, "discriminator": self._discriminator}
        tf.train.Checkpoint(**networks).restore(latest).expect_partial()

    def save(self, path: Path) -> Path:
        """Write the generator with its averaged weights."""
        now = self._generator.get_weights(), self._encoder.get_weights()
        self._artist.finalize_variable_values(self._drawing)
        saved = save(self._generator, path)
        self._generator.set_weights(now[0])
        self._encoder.set_weights(now[1])
        return saved

    def _warm_step(self, faces: Any, emotions: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            losses, _, _ = self._resemblance(faces, emotions)
            total = sum(losses.values())
        self._artist.apply(tape.gradient(total, self._drawing), self._drawing)
        return losses

    def _whole_step(self, faces: Any, emotions: Any) -> dict[str, Any]:
        what = self._what
        with tf.GradientTape() as tape:
            losses, identities, copies = self._resemblance(faces, emotions)
            others, wanted = self._somebody(identities)
            drawn = self._generator([others, wanted], training=True)
            fakes = tf.concat([copies[: what.batch_size // 2], drawn], 0)
            losses["adversary"] = what.adversary * tf.reduce_mean(tf.nn.softplus(-self._discriminator(fakes)))
            losses["emotion"] = what.emotion * self._misread(drawn[-what.judged :], wanted[-what.judged :])
            again, _ = self._encoder([drawn, wanted], training=True)
            losses["identity"] = what.identity * tf.reduce_mean((again - tf.stop_gradient(others)) ** 2)
            total = sum(losses.values())
        self._artist.apply(tape.gradient(total, self._drawing), self._drawing)
        return losses | {"discriminator": self._tell_apart(faces, fakes)}

    def _resemblance(self, faces: Any, emotions: Any) -> tuple[dict[str, Any], Any, Any]:
        """The losses of an autoencoder, the identities that it found, and the faces that it drew from them."""
        mean, log_variance = self._encoder([faces, emotions], training=True)
        log_variance = tf.clip_by_value(log_variance, -8.0, 4.0)
        identities = mean + tf.exp(log_variance / 2) * tf.random.normal(tf.shape(mean))
        copies = self._generator([identities, emotions], training=True)
        unlike = tf.reduce_sum(self._weight * (faces - copies) ** 2, axis=(1, 2, 3)) / (2 * self._what.pixel_deviation**2)
        divergence = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_variance) - log_variance - 1, axis=1)
        losses = {"pixels": tf.reduce_mean(unlike) / 1000, "divergence": tf.reduce_mean(divergence) / 1000}
        return losses, identities, copies

    def _somebody(self, identities: Any) -> tuple[Any, Any]:
        """Some people from the batch and some made-up ones, and a random emotion for each."""
        count = self._what.batch_size
        half = count // 4
        made_up = tf.random.normal((count - half, IDENTITY))
        wanted = tf.one_hot(tf.random.uniform((count,), maxval=len(EMOTIONS), dtype=tf.int32), len(EMOTIONS))
        return tf.concat([tf.stop_gradient(identities[:half]), made_up], 0), wanted

    def _misread(self, drawn: Any, wanted: Any) -> Any:
        """How far the classifiers are from reading what was wanted, in faces cropped and lit as a camera might show them."""
        cut = tf.image.random_crop(tf.pad(drawn, [[0, 0], [3, 3], [3, 3], [0, 0]], "SYMMETRIC"), tf.shape(drawn))
        light = tf.random.uniform((self._what.judged, 1, 1, 1), 0.75, 1.1)
        seen = (cut + tf.random.normal(tf.shape(cut), stddev=0.06)) * 127.5 * light + 127.5
        misread = 0.0
        for judge in self._judges:
            scores = judge(tf.image.resize(seen, judge.input_shape[1:3], antialias=True), training=False)
            misread += tf.reduce_mean(keras.losses.categorical_crossentropy(wanted, scores, label_smoothing=0.1))
        return misread / max(len(self._judges), 1)

    def _tell_apart(self, faces: Any, fakes: Any) -> Any:
        """One step of the adversary, with a gradient penalty at the real faces (Mescheder et al., arXiv 1801.04406)."""
        variables = self._discriminator.trainable_variables
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(faces)
                real = self._discriminator(faces, training=True)
                total = tf.reduce_sum(real) / tf.cast(tf.reduce_prod(tf.shape(real)[1:]), tf.float32)
            steepness = tf.reduce_mean(tf.reduce_sum(inner.gradient(total, faces) ** 2, axis=(1, 2, 3)))
            fake = self._discriminator(tf.stop_gradient(fakes), training=True)
            loss = tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))
            whole = loss + self._what.gentleness / 2 * steepness
        self._adversary.apply(tape.gradient(whole, variables), variables)
        return loss


class StepLog:
    """The losses as CSV, one line every so many steps, without the lines of steps that a kill undid."""

    def __init__(self, path: Path, done: int) -> None:
        self._path = path
        self._rows = [row for row in _rows(path) if int(row["step"]) <= done]

    def add(self, step: int, losses: dict[str, float]) -> None:
        """Add the line of a step; columns for losses that come later are there from the start."""
        self._rows.append({"step": str(step), **{name: str(round(value, 5)) for name, value in losses.items()}})
        write_log(self._path, LOGGED, self._rows)
        logger.info("step %d: %s", step, {name: round(value, 4) for name, value in losses.items()})


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    try:
        with path.open(newline="") as file:
            return [row for row in csv.DictReader(file) if (row.get("step") or "").isdecimal()]  # not a half-written line
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelUnusable(f"{path} cannot be read: {first_line(error)}") from error
