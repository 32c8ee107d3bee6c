"""The commands that make, judge and describe the model: train, teach, average, export, evaluate, model-card."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.arguments import at_least_one, face_size, not_negative, one_of_parts, part, part_of_seven, positive, seed, share
from bot.errors import SettingsWrong, Trouble
from bot.settings import Settings
from model.card import SHIPPED_WEIGHTS
from model.disk import check_writable, disk_told

FER_2013 = "FER-2013 (Goodfellow et al. 2013), Training split"
VOTED = ", labels softened by the FER+ votes (Barsoum et al. 2016)"
LICENCE = "For research and education, as FER-2013 itself."
SPLITS = ("PublicTest", "PrivateTest")
"""The splits to judge on; copied from `model.splits`, which takes long to import."""

CHOICES: dict[str, tuple[Callable[[str], Any], str]] = {
    "epochs": (at_least_one, "most epochs (default: 60)"),
    "batch_size": (at_least_one, "faces in a batch (default: 64)"),
    "size": (face_size, "width and height of the faces that the network reads, in pixels (default: 48)"),
    "learning_rate": (positive, "highest learning rate, which then falls as a cosine (default: 0.001)"),
    "weight_decay": (not_negative, "weight decay of AdamW (default: 0.01)"),
    "jitter": (not_negative, "how much the faces are moved, relit and so on; 0: only mirrored (default: 1.0)"),
    "mixup": (not_negative, "how much faces are blended with each other; 0: not at all (default: 0.0)"),
    "averaging": (share, "momentum with which the weights are averaged, such as 0.998; 0: not at all (default: 0.0)"),
    "crowd": (share, "share of the FER+ votes in the target, where there are any (default: 0.3)"),
    "trust": (share, "share of the teachers' answers in the target (default: 0.5)"),
    "smoothing": (part, "share of the label that is spread evenly over all emotions (default: 0.05)"),
    "rarest": (part_of_seven, "least share of each emotion per epoch; rarer faces are repeated (default: 0.05)"),
    "held_out": (part, "share of the faces that is kept for calibrating the confidence (default: 0.03)"),
    "without_part": (one_of_parts, "N/COUNT: leave out part N of the faces, to be asked about them later (default: none)"),
    "passes": (at_least_one, "passes over the faces in each epoch (default: 1)"),
    "patience": (at_least_one, "end after this many epochs without a better one (default: 20)"),
    "seed": (seed, "seed of everything random (default: 2013)"),
}
"""The options of a training that can be set on the command line: the type of each, and its help."""

NETWORK_NAMES = "custom_cnn, residual_cnn, mobile_cnn, face_resnet, vgg_cnn, resnet18, vgg16 or resnet50"

REPLACED = "folder for the file and its card (default: that of the shipped weights, which are replaced)"

PARTED = "; several checkpoints, such as of --without-part 1/2 and 2/2, are each asked about the part they were trained without"

PRECISIONS = ("float32", "mixed_bfloat16")
"""Keras dtype policies: the second is for GPUs, which calculate faster with half the bits."""

BACKENDS = ("tensorflow", "torch", "jax")
"""The backends that Keras may run on here; the extra `train` installs the first, the others must be installed separately."""


def add_model_commands(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the six commands to the parser."""
    begins = "`imagenet`: vgg16 and resnet50 begin from Keras' weights of that name"
    summary = "train a network on FER-2013, or resume a training that was killed"
    train = command(commands, "train", _train, summary, weights=begins)
    train.add_argument(
        "network", metavar="NETWORK", help=f"{NETWORK_NAMES}; the last two can begin from Keras' weights, with --weights imagenet"
    )
    train.add_argument(
        "--data", type=Path, required=True, help="folder with training.png/.csv and public-test.png/.csv, or fer2013.csv"
    )
    train.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the log")
    start = (
        "a .keras checkpoint whose layers of equal shape are taken over, the .tflite of a network that is no backbone, or what"
        " knows faces, as .json: for a mobile_cnn a MobileNet of TensorFlow.js, for a face_resnet face-api's face recognition"
    )
    train.add_argument("--start-from", metavar="FILE", help=start)
    train.add_argument(
        "--taught-by", nargs="+", default=[], metavar="CSV", help="what teachers see in the training faces, as `teach` writes it"
    )
    train.add_argument(
        "--distilled-from",
        nargs="+",
        default=[],
        metavar="TEACHER",
        help="teachers (.keras, or weights with a card.json) that are asked about the very faces it is trained on",
    )
    train.add_argument(
        "--precision", choices=PRECISIONS, help="precision to train in (default: float32); results are saved in float32"
    )
    train.add_argument(
        "--workers",
        type=at_least_one,
        default=0,
        metavar="N",
        help="number of separate processes that jitter the faces, for a GPU",
    )
    train.add_argument(
        "--finish", action="store_true", help="do not train further: finish and plot what a training with these flags left"
    )
    for name, (kind, meaning) in CHOICES.items():
        train.add_argument(f"--{name.replace('_', '-')}", type=kind, help=meaning)

    teach = command(commands, "teach", _teach, "record what a network sees in the training faces, for another one to learn from")
    teacher = "a .keras checkpoint, weights with a card.json, or a network of -1 to 1 as .tflite or .json of TensorFlow.js"
    teach.add_argument("teachers", nargs="+", type=Path, metavar="TEACHER", help=teacher + PARTED)
    teach.add_argument("--data", type=Path, required=True, help="as for train")
    teach.add_argument("--out", type=Path, required=True, help="the file (CSV)")

    average = command(commands, "average", _average, "average the weights of several trainings of one network")
    average.add_argument(
        "checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="two or more, each trained further from another"
    )
    average.add_argument("--data", type=Path, required=True, help="as for train")
    average.add_argument("--out", type=Path, required=True, help="folder for the result")

    export = command(commands, "export", _export, "turn a .keras checkpoint into a .tflite file and its card")
    export.add_argument("checkpoint", type=Path)
    export.add_argument("--data", type=Path, required=True, help="as for train: what it is judged on for the card")
    export.add_argument("--out", type=Path, default=SHIPPED_WEIGHTS / "emotion", help=REPLACED)
    export.add_argument("--made-by", default="", metavar="COMMAND", help="the command that trained it, for the card")
    export.add_argument("--teachers", default="", metavar="TEXT", help="who taught it, with their licences, for the card")
    begun = "whose weights it began from, with their licence, for the card"
    export.add_argument("--begun-from", default="", metavar="TEXT", help=begun)

    evaluate = command(commands, "evaluate", _evaluate, "judge a classifier on a mosaic of labelled faces")
    evaluate.add_argument(
        "--data", type=Path, help="as for train; measured on one of its splits, also without what Training repeats"
    )
    evaluate.add_argument(
        "--split", choices=SPLITS, help="which one (default: PublicTest); PrivateTest is private-test.png and .csv in a folder"
    )
    evaluate.add_argument("--pixels", type=Path, help="instead of --data: mosaic of 48x48 grey faces, 128 to a row (PNG)")
    evaluate.add_argument(
        "--labels", type=Path, help="with --pixels: the CSV with a line per face: label, and the ten FER+ votes or none"
    )
    evaluate.add_argument("--training", type=Path, help="mosaic that was trained on, to report accuracy without its repeats")
    evaluate.add_argument(
        "--model",
        type=Path,
        help="a .keras checkpoint, a folder with a card.json, or the .tflite in it (default: the shipped one)",
    )
    evaluate.add_argument("--groups", metavar="COLUMN", help="column that names a group of people for each face, to compare them")
    evaluate.add_argument(
        "--groups-file", type=Path, metavar="CSV", help="the file with that column, if it is not that of the labels"
    )
    evaluate.add_argument("--robustness", action="store_true", help="also try other crops, tilted heads and poor video (minutes)")
    evaluate.add_argument("--faces", type=at_least_one, metavar="N", help="with --robustness: only on N of the faces")
    evaluate.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="draw confusion, calibration and risk-coverage there (PNG)"
    )
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    page = command(commands, "model-card", _model_card, "measure a classifier and write the page that describes it (minutes)")
    page.add_argument("--data", type=Path, required=True, help="as for train: what it is judged on")
    page.add_argument("--model", type=Path, help="folder with a card.json, or the .tflite in it (default: the shipped one)")
    page.add_argument(
        "--out", type=Path, required=True, help="the page (Markdown); its pictures go into a folder `model` beside it"
    )
    page.add_argument(
        "--figures", type=Path, metavar="JSON", help="output of evaluate --robustness --json, to skip the measurement"
    )


def _train(arguments: argparse.Namespace, settings: Settings) -> None:
    quiet_tensorflow()
    with needing_keras():
        from model.networks import NETWORKS
        from model.train import Training, train
    if arguments.network not in NETWORKS:
        raise SettingsWrong(f"{arguments.network} is not a known network: {', '.join(NETWORKS)}")
    given = {name: getattr(arguments, name) for name in ("network", "start_from", "precision", *CHOICES)}
    # every command has the flag --weights of that setting; here it names what a backbone starts from, such as `imagenet`
    given["weights"] = arguments.setting_weights
    if arguments.taught_by and arguments.distilled_from:
        raise SettingsWrong("use either --taught-by or --distilled-from: --trust applies to one of them")
    if arguments.trust is not None and not (arguments.taught_by or arguments.distilled_from):
        raise SettingsWrong("--trust needs --taught-by or --distilled-from, whom to trust")
    given["taught_by"] = tuple(arguments.taught_by)
    given["distilled_from"] = tuple(arguments.distilled_from)
    what = Training(**{name: value for name, value in given.items() if value is not None})
    print(train(what, arguments.data, arguments.out, arguments.finish, arguments.workers))


def _teach(arguments: argparse.Namespace, settings: Settings) -> None:
    quiet_tensorflow()
    from model.splits import read_training
    from model.teachers import seen_by, seen_without, write_scores

    faces = read_training(arguments.data).pixels
    check_writable(arguments.out)  # now, because after minutes of work the scores would be lost
    with needing_keras():
        teachers = arguments.teachers
        scores = seen_by(teachers[0], faces) if len(teachers) == 1 else seen_without(teachers, faces)
    with disk_told(arguments.out):
        write_scores(arguments.out, scores)
    print(arguments.out)


def _average(arguments: argparse.Namespace, settings: Settings) -> None:
    quiet_tensorflow()
    if len(arguments.checkpoints) < 2:
        raise SettingsWrong("there is nothing to average: give two checkpoints or more")
    with needing_keras():
        from model.average import average
    print(average(arguments.checkpoints, arguments.data, arguments.out))


def _export(arguments: argparse.Namespace, settings: Settings) -> None:
    on_tensorflow()  # only it can write .tflite files, whatever the network was trained on
    with needing_keras():
        from model.export import Notes, export
    from model.provenance import BEGUN_FROM, TAUGHT_BY, began_from_others, had_teachers, heard_the_crowd
    from model.splits import read_both

    training, test = read_both(arguments.data)
    if had_teachers(arguments.checkpoint) and not arguments.teachers:
        raise SettingsWrong(
            f"--teachers is needed: {arguments.checkpoint} learnt from other networks, and its card must name them"
        )
    if began_from_others(arguments.checkpoint) and not arguments.begun_from:
        raise SettingsWrong(
            f"--begun-from is needed: {arguments.checkpoint} began from others' weights, and its card must name them"
        )
    made_from = FER_2013 + (VOTED if training.votes.any() and heard_the_crowd(arguments.checkpoint) else "")
    if arguments.begun_from:
        made_from += BEGUN_FROM + arguments.begun_from
    if arguments.teachers:
        made_from += TAUGHT_BY + arguments.teachers
    print(export(arguments.checkpoint, arguments.out, Notes(made_from, LICENCE, arguments.made_by), test, training))


def _evaluate(arguments: argparse.Namespace, settings: Settings) -> None:
    quiet_tensorflow()
    from bot.evaluation_text import readable
    from bot.judging import judge, to_judge_on
    from model.fairness import read_groups

    _check_what_is_judged(arguments)
    split, known = to_judge_on(
        arguments.data, arguments.split or SPLITS[0], arguments.pixels, arguments.labels, arguments.training
    )
    groups = arguments.groups_file or arguments.labels
    people = read_groups(groups, arguments.groups, len(split)) if arguments.groups else None
    robust_on = (arguments.faces or sys.maxsize) if arguments.robustness else 0
    with needing_keras():  # which a checkpoint needs
        result = judge(arguments.model or settings.weights, split, known, people, robust_on)
    print(json.dumps(result) if arguments.json else readable(result), flush=True)
    if arguments.plots:
        from model.plots import draw_evaluation

        with disk_told(arguments.plots):
            draw_evaluation(result, arguments.plots)


def _check_what_is_judged(arguments: argparse.Namespace) -> None:
    """Raise SettingsWrong for flags of `evaluate` that do not go together."""
    mosaics = [name for name in ("pixels", "labels", "training") if getattr(arguments, name)]
    if arguments.data and mosaics:
        raise SettingsWrong(f"use either --data or --pixels and --labels; --{mosaics[0]} does not go with --data")
    if not arguments.data and not (arguments.pixels and arguments.labels):
        raise SettingsWrong("give --data, or --pixels and --labels")
    if arguments.split and not arguments.data:
        raise SettingsWrong("--split needs --data, whose split it is")
    if arguments.groups_file and not arguments.groups:
        raise SettingsWrong("--groups-file needs --groups, the column in it")
    if arguments.groups and arguments.data and not arguments.groups_file:
        raise SettingsWrong("--groups with --data needs --groups-file, the file with the column")
    if arguments.faces and not arguments.robustness:
        raise SettingsWrong("--faces needs --robustness: everything else is measured on all of them")


def _model_card(arguments: argparse.Namespace, settings: Settings) -> None:
    from bot.model_card import read_figures, write_model_card

    weights = arguments.model or settings.weights
    write_model_card(weights, arguments.data, arguments.out, arguments.figures and read_figures(arguments.figures))
    print(arguments.out)


def quiet_tensorflow() -> None:
    """Keep tensorflow's start-up messages off the terminal, unless TF_CPP_MIN_LOG_LEVEL is set already."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def on_tensorflow() -> None:
    """Make Keras run on tensorflow, whatever backend the environment names."""
    quiet_tensorflow()
    os.environ["KERAS_BACKEND"] = "tensorflow"


@contextmanager
def needing_keras() -> Iterator[None]:
    """Turn a failed import of keras or its backend into a Trouble that says how to install it.

    Raises SettingsWrong if KERAS_BACKEND names none of `BACKENDS`.
    """
    backend = os.environ.get("KERAS_BACKEND")
    if backend and backend not in BACKENDS:
        raise SettingsWrong(f"KERAS_BACKEND={backend} is not one of {', '.join(BACKENDS)}")
    try:
        yield
    except ModuleNotFoundError as error:
        how = f"pip install {error.name}" if error.name in BACKENDS[1:] else "pip install '.[train]' in a checkout"
        raise Trouble(f"{error.name} is missing: {how}") from None
