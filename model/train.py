"""Trains a network on FER-2013, with a log, checkpoints and a way to resume after a kill."""

import contextlib
import json
import logging
import math
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from model.batches import TrainingBatches, soft_labels
from model.dataset import FACE_SIZE, Split, fed
from model.disk import alone_with, disk_told, drafted
from model.distil import together
from model.dlib_resnet import begin_from_dlib_resnet
from model.errors import DataUnusable, ModelUnusable
from model.evaluate import confusion
from model.faces import EMOTIONS
from model.mobilenet import begin_from_mobilenet
from model.networks import NETWORKS, PRETRAINED, accuracy_of, in_precision, load_network, save, scores_of
from model.plots import draw_confusion, draw_curves
from model.provenance import TRAINING_FILE
from model.recover import recover
from model.resume import BACKUP_FILE, LOG_FILE, Backup, Log, Patience, Row, logged, ran_out, restored
from model.settle import SwapAveragedWeights, every_layer, settle
from model.splits import read_splits

logger = logging.getLogger(__name__)

FULL = "float32"
"""The precision that every network is saved in."""

FROM_JSON = {"mobile_cnn": begin_from_mobilenet, "face_resnet": begin_from_dlib_resnet}
"""For each network that can start from a .json of weights trained on faces, the function that reads them."""

CHECKPOINT_FILE = "best.keras"
SETTLED_FILE = "settled.keras"
CURVES_FILE = "curves.png"
CONFUSION_FILE = "confusion.png"


@dataclass(frozen=True, slots=True)
class Training:
    """What one training is made with; written beside its result.

    `taught_by` are files of teachers' answers to the whole Training split; `distilled_from` are teachers (checkpoints or
    exported networks) that are asked about the faces as they are trained on; `trust` is their share of the labels.
    `without_part` is a part of the faces (its number, of how many) that is left out, for the network to be asked about
    later. An epoch goes through the faces `passes` times. `precision` is a Keras dtype policy; networks are saved in
    float32, whatever they were trained in.
    `start_from` names a checkpoint whose layers of equal shape are taken over, an exported network without a backbone, or
    a .json of weights trained on faces: for a mobile_cnn a TensorFlow.js MobileNet, for a face_resnet the face recognition
    of face-api.
    """

    network: str = "custom_cnn"
    size: int = FACE_SIZE
    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    crowd: float = 0.3
    smoothing: float = 0.05
    rarest: float = 0.05
    jitter: float = 1.0
    mixup: float = 0.0
    averaging: float = 0.0
    held_out: float = 0.03
    without_part: tuple[int, int] | None = None
    taught_by: tuple[str, ...] = ()
    distilled_from: tuple[str, ...] = ()
    trust: float = 0.5
    passes: int = 1
    precision: str = FULL
    weights: str | None = None
    start_from: str | None = None
    patience: int = 20
    seed: int = 2013


class BestSoFar(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Saves the network whenever it beats the best validation accuracy so far; a kill never leaves half a file.

    It does so at the end of a validation, because that is when averaged weights, if there are any, are in place. If the
    network is trained in another precision, its weights go into `saved`, which is in float32.
    """

    def __init__(self, path: Path, best: float, saved: keras.Model) -> None:
        super().__init__()
        self._path = path
        self._best = best
        self._saved = saved

    def on_test_end(self, logs: dict[str, float]) -> None:
        if logs["accuracy"] <= self._best:
            return
        self._best = logs["accuracy"]
        if self._saved is not self.model:
            self._saved.set_weights(self.model.get_weights())
        save(self._saved, self._path)


class EachEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Tells the batches and the dropout layers which epoch begins, which after a kill is not the first.

    What is dropped is determined by the seed, the layer and the epoch, since Keras does not save the state of dropout.
    """

    def __init__(self, batches: TrainingBatches, seed: int) -> None:
        super().__init__()
        self._batches = batches
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        self._batches.begin(epoch)
        dropouts = [layer for layer in every_layer(self.model) if isinstance(layer, keras.layers.Dropout)]
        for number, layer in enumerate(dropouts):
            state = np.random.default_rng((self._seed, number, epoch)).integers(0, 2**31, 2, np.int64)
            layer.seed_generator.state.assign(state.astype(np.uint32))


class FiniteLoss(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Ends a training whose loss is no longer a number, before the broken weights reach a checkpoint.

    It also checks after a validation, since weights may break with the last batch of an epoch.
    """

    def __init__(self, out: Path) -> None:
        super().__init__()
        self._out = out

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        self._check(logs["loss"], f"after batch {batch}")

    def on_test_end(self, logs: dict[str, float]) -> None:
        self._check(logs["loss"], "on PublicTest")

    def _check(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            advice = "train with a smaller learning rate, into another folder"
            raise ModelUnusable(f"{self._out}: the loss is not a number {where}: {advice}")


def train(what: Training, data: Path, out: Path, finish: bool = False, workers: int = 0) -> Path:
    """Train on the Training split in `data` and return the best network's file, chosen by accuracy on PublicTest.

    Faces that PublicTest repeats are left out. Called again with the same `out` after a kill, it goes on from the last
    finished epoch; with `finish` it trains no further, and makes what is there the result. `workers` processes make the
    batches; with none, they are made in this process.
    Raises DataUnusable for data that do not fit, and ModelUnusable for a checkpoint that does not fit, if `out` holds
    another training, none to finish, or one with a part missing, if it is being trained in or cannot be written to, and if
    the loss stops being a number.
    """
    goes_on = _goes_on(out)
    if finish and not goes_on:
        raise ModelUnusable(f"{out} holds no epoch of a training that could be finished")
    keras.utils.set_random_seed(what.seed)
    training, test = read_splits(data, [Path(each) for each in what.taught_by])
    if training.taught is not None:
        agree = (training.taught.argmax(axis=1) == training.labels).mean()
        logger.info("the teachers agree with the labels of %.1f %% of the training faces", 100 * agree)
    faces = {
        "training_faces": training.fingerprint(),
        "test_faces": test.fingerprint(),
        "votes_and_teachers": training.others_fingerprint(),
    }
    training, _ = training.parted(what.held_out, what.seed)  # the other part is for calibration, at export
    if what.without_part is not None:
        training = training.without_part(*what.without_part)
    batches = _batches(training, what, data)
    # a training that is resumed gets its weights from the backup
    saved = _made(replace(what, weights=None) if goes_on else what)
    if what.start_from is not None and not goes_on:
        _start(saved, Path(what.start_from), training)
    network = saved if what.precision == FULL else in_precision(saved, what.precision)
    _compile(network, what, steps=len(batches) * what.epochs)
    _claim(out, what, faces)  # only now, when nothing can turn out to be unusable any more
    with disk_told(out), alone_with(out / TRAINING_FILE):
        begun = restored(network, out / BACKUP_FILE, len(batches))
        rows = logged(out / LOG_FILE, begun)
        if not finish and begun < what.epochs and not ran_out(rows, what.patience):
            # Keras prints its progress to standard output, where results go
            with batches.made_by(workers), contextlib.redirect_stdout(sys.stderr):
                network.fit(
                    batches,
                    shuffle=False,  # the batches do that themselves, in an order that a resumed training repeats
                    initial_epoch=begun,
                    epochs=what.epochs,
                    validation_data=_checked(test, what.size),
                    callbacks=[EachEpoch(batches, what.seed), *_callbacks(what, out, training, rows, saved)],
                    verbose="auto",
                )
        result = settled(out / CHECKPOINT_FILE, training, test, what.seed)
        _draw(out, result, test, what.epochs)
    return result


def _goes_on(out: Path) -> bool:
    """Whether the folder holds a training to resume; raises ModelUnusable if a part of it is missing."""
    with disk_told(out):
        goes_on = (out / BACKUP_FILE).exists()
        gone = [name for name in (LOG_FILE, TRAINING_FILE) if goes_on and not (out / name).exists()]
    if gone:
        told = {LOG_FILE: "how good its best epoch is", TRAINING_FILE: "what it was made with"}[gone[0]]
        raise ModelUnusable(f"{out} has a training without its {gone[0]}, which tells {told}: put it back")
    return goes_on


def _start(network: keras.Model, start_from: Path, training: Split) -> None:
    if start_from.suffix == ".tflite":
        recover(network, start_from, training.pixels)
    elif start_from.suffix == ".json":
        if network.name not in FROM_JSON:
            raise ModelUnusable(f"{network.name} cannot begin from {start_from}: {' and '.join(FROM_JSON)} alone can")
        FROM_JSON[network.name](network, start_from, training.pixels)
    else:
        take_over(network, start_from)


def _draw(out: Path, result: Path, test: Split, epochs: int) -> None:
    """The curves of the training and the confusion matrix of its result, as PNG beside them."""
    draw_curves(logged(out / LOG_FILE, epochs), out / CURVES_FILE)
    taken_for = scores_of(load_network(result), test.pixels).argmax(axis=1)
    draw_confusion(confusion(test.labels, taken_for), out / CONFUSION_FILE)


def settled(best: Path, training: Split, test: Split, seed: int) -> Path:
    """Settle the best checkpoint's normalisation, and save the result beside it if it does better on the test split.

    Returns the better of the two files.
    """
    network = load_network(best)
    before = accuracy_of(network, test)
    settle(network, training, seed)
    after = accuracy_of(network, test)
    logger.info("accuracy on PublicTest is %.4f, and %.4f with the normalisation settled", before, after)
    settled_file = best.with_name(SETTLED_FILE)
    if after <= before:
        settled_file.unlink(missing_ok=True)  # from an earlier result, before the network was trained further
        return best
    return save(network, settled_file)


def take_over(network: keras.Model, start_from: Path) -> int:
    """Copy the weights of every layer that has the same name and shapes in the checkpoint; return how many.

    Raises ModelUnusable if the file is not a checkpoint, or if those layers have less than half of the network's parameters.
    """
    known = {layer.name: layer.get_weights() for layer in load_network(start_from).layers}
    wanted = [layer for layer in network.layers if layer.weights]
    same = [layer for layer in wanted if _shapes(layer.get_weights()) == _shapes(known.get(layer.name, []))]
    # by parameters, not by layers: a backbone is one layer, and so is its head, which other networks have as well
    if 2 * _parameters(same) < _parameters(wanted):
        raise ModelUnusable(
            f"{start_from} is of another network: {len(same)} of the {len(wanted)} layers of {network.name} are in it"
        )
    for layer in same:
        layer.set_weights(known[layer.name])
    logger.info("%d of %d layers are taken over from %s", len(same), len(wanted), start_from)
    return len(same)


def _parameters(of: list[keras.Layer]) -> int:
    return sum(layer.count_params() for layer in of)


def _shapes(weights: list[NDArray[np.float32]]) -> list[tuple[int, ...]]:
    return [weight.shape for weight in weights]


def _claim(out: Path, what: Training, faces: dict[str, str]) -> None:
    """Record in the folder what is trained and on which faces; raises ModelUnusable if it holds another training.

    A training that ended before its first epoch was done left nothing but that record, which is overwritten.
    """
    wanted = json.loads(json.dumps(asdict(what)))  # as JSON has it, with lists for tuples
    settings = out / TRAINING_FILE
    with disk_told(out):
        out.mkdir(parents=True, exist_ok=True)
        if not settings.exists() or not any((out / name).exists() for name in (BACKUP_FILE, CHECKPOINT_FILE)):
            with _unclaimed(settings), drafted(settings) as draft:
                draft.write_text(json.dumps(wanted | faces, indent=2) + "\n")
            return
        known = _settings_in(settings, faces)
    if {name: known.get(name) for name in faces} != faces:
        raise ModelUnusable(f"{out} holds a training on other faces, votes or teachers' answers; see {settings}")
    if known != wanted | faces:
        raise ModelUnusable(f"{out} holds a training with other settings; see {settings}")


def _unclaimed(settings: Path) -> contextlib.AbstractContextManager[None]:
    """Locks an existing record while it is overwritten; raises ModelUnusable if a running training holds it."""
    return alone_with(settings) if settings.exists() else contextlib.nullcontext()


def _settings_in(path: Path, faces: dict[str, str]) -> dict[str, Any]:
    """The settings and faces in a training's record; what an older record lacks comes from the defaults and from `faces`."""
    try:
        known: dict[str, Any] = faces | json.loads(json.dumps(asdict(Training()))) | json.loads(path.read_bytes())
    except (ValueError, TypeError):  # not a record of ours
        return dict(faces)
    return known


def _batches(training: Split, what: Training, data: Path) -> TrainingBatches:
    if len(training) < what.batch_size:
        raise DataUnusable(f"{data}: {len(training)} faces to train on do not fill a batch of {what.batch_size}")
    teachers = [Path(each) for each in what.distilled_from]
    return TrainingBatches(
        training,
        soft_labels(training, what.crowd, what.smoothing, what.trust),
        what.size,
        what.batch_size,
        what.seed,
        rarest=what.rarest,
        jitter=what.jitter,
        mixup=what.mixup,
        passes=what.passes,
        teacher=together(teachers, what.size, what.precision) if teachers else None,
        trust=what.trust,
    )


def _made(what: Training) -> keras.Model:
    if what.network in PRETRAINED:
        return NETWORKS[what.network](what.size, what.weights)
    if what.weights:
        raise ModelUnusable(f"{what.network} has no {what.weights} weights: {' and '.join(PRETRAINED)} have")
    return NETWORKS[what.network](what.size)


def _compile(network: keras.Model, what: Training, steps: int) -> None:
    rate = keras.optimizers.schedules.CosineDecay(
        what.learning_rate / 20,
        max(steps * 19 // 20, 1),
        alpha=0.0,
        warmup_target=what.learning_rate,
        warmup_steps=steps // 20,
    )
    network.compile(
        optimizer=keras.optimizers.AdamW(
            rate, weight_decay=what.weight_decay, use_ema=what.averaging > 0, ema_momentum=what.averaging
        ),
        loss=keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy"],
        # measured on two cores: tensorflow's own kernels train these networks 1.1 to 2.6 times as fast as XLA's
        jit_compile=keras.backend.backend() != "tensorflow" and "auto",
    )


def _checked(test: Split, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return fed(test.pixels, size), np.eye(len(EMOTIONS), dtype=np.float32)[test.labels]


def _callbacks(what: Training, out: Path, training: Split, rows: list[Row], saved: keras.Model) -> list[keras.callbacks.Callback]:
    log = Log(out / LOG_FILE, rows)
    return [
        FiniteLoss(out),
        BestSoFar(out / CHECKPOINT_FILE, max((row["val_accuracy"] for row in rows), default=-1.0), saved),
        # averaged weights, if there are any, are what is validated and saved; this swaps them in before a validation and
        # out after it, so it comes after the callback that saves in between
        *([SwapAveragedWeights(training, what.seed)] if what.averaging else []),
        log,
        Patience(what.patience, log),
        Backup(out / BACKUP_FILE),  # last, so that what it records as done is done
    ]
