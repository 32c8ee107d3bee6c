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

CHOICES: dict[str, Callable[[str], Any]] = {
    "epochs": at_least_one,
    "batch_size": at_least_one,
    "size": face_size,
    "learning_rate": positive,
    "weight_decay": not_negative,
    "jitter": not_negative,
    "mixup": not_negative,
    "averaging": share,
    "crowd": share,
    "trust": share,
    "smoothing": part,
    "rarest": part_of_seven,
    "held_out": part,
    "without_part": one_of_parts,
    "passes": at_least_one,
    "patience": at_least_one,
    "seed": seed,
}
"""The options of a training that can be set on the command line, and the type of each."""

NETWORK_NAMES = "custom_cnn, residual_cnn, mobile_cnn, face_resnet, vgg_cnn, resnet18, vgg16 or resnet50"

REPLACED = "folder for the file and its card; if not given, that of the shipped weights, which are replaced"

PARTED = "; several checkpoints, trained --without-part 1/2 and 2/2 or so, are each asked about what they were trained without"

PRECISIONS = ("float32", "mixed_bfloat16")
"""Keras dtype policies: the second is for GPUs, which calculate faster with half the bits."""

BACKENDS = ("tensorflow", "torch", "jax")
"""The backends that Keras may run on here; the extra `train` installs the first, the others must be installed separately."""


def add_model_commands(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the six commands to the parser."""
    train = command(commands, "train", _train, "train a network on FER-2013, or go on after a kill")
    train.add_argument(
        "network", metavar="NETWORK", help=f"{NETWORK_NAMES}; the last two begin from Keras' with --weights imagenet"
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
        "--precision", choices=PRECISIONS, help="what it is trained in, float32 if not set; it is saved in float32"
    )
    train.add_argument(
        "--workers", type=at_least_one, default=0, metavar="N", help="processes of their own that jitter the faces, for a GPU"
    )
    train.add_argument(
        "--finish", action="store_true", help="train no further: settle and draw what a training with these flags left"
    )
    for name, kind in CHOICES.items():
        train.add_argument(f"--{name.replace('_', '-')}", type=kind)

    teach = command(
        commands, "teach", _teach, "write down what a network sees in the training faces, for another one to learn from"
    )
    teacher = "a .keras checkpoint, weights with a card.json, or a network of -1 to 1 as .tflite or .json of TensorFlow.js"
    teach.add_argument("teachers", nargs="+", type=Path, metavar="TEACHER", help=teacher + PARTED)
    teach.add_argument("--data", type=Path, required=True, help="as for train")
    teach.add_argument("--out", type=Path, required=True, help="the file (CSV)")

    average = command(commands, "average", _average, "average the weights of several trainings of one network")
    average.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="trained one from another, two or more")
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
        "--data", type=Path, help="as for train: judged on one of its splits, and without what Training repeats"
    )
    evaluate.add_argument(
        "--split", choices=SPLITS, help="which one, PublicTest if not set; in a folder private-test.png and .csv"
    )
    evaluate.add_argument("--pixels", type=Path, help="instead: mosaic of 48x48 grey faces, 128 to a row (PNG)")
    evaluate.add_argument(
        "--labels", type=Path, help="to that, the CSV with a line per face: label, and the ten FER+ votes or none"
    )
    evaluate.add_argument("--training", type=Path, help="mosaic that was trained on, to report accuracy without its repeats")
    evaluate.add_argument(
        "--model",
        type=Path,
        help="a .keras checkpoint, a folder with a card.json, or the .tflite in it; if not set, the shipped one",
    )
    evaluate.add_argument("--groups", metavar="COLUMN", help="column that names a group of people for each face, to compare them")
    evaluate.add_argument("--groups-file", type=Path, metavar="CSV", help="where that column stands, if not in the labels' file")
    evaluate.add_argument("--robustness", action="store_true", help="other crops, tilted heads and a poor video, too (minutes)")
    evaluate.add_argument("--faces", type=at_least_one, metavar="N", help="with --robustness: on N of the faces only")
    evaluate.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="draw confusion, calibration and risk-coverage there (PNG)"
    )
    evaluate.add_argument("--json", action="store_true", help="one JSON object")

    page = command(commands, "model-card", _model_card, "measure a classifier and write the page that describes it (minutes)")
    page.add_argument("--data", type=Path, required=True, help="as for train: what it is judged on")
    page.add_argument("--model", type=Path, help="folder with a card.json, or the .tflite in it; the shipped one if not set")
    page.add_argument(
        "--out", type=Path, required=True, help="the page (Markdown); its pictures go into a folder `model` beside it"
    )
    page.add_argument(
        "--figures", type=Path, metavar="JSON", help="what evaluate --robustness --json printed, to measure nothing"
    )


def _train(arguments: argparse.Namespace, settings: Settings) -> None:
    quiet_tensorflow()
    with needing_keras():
        from model.networks import NETWORKS
        from model.train import Training, train
    if arguments.network not in NETWORKS:
        raise SettingsWrong(f"{arguments.network} is none of the networks: {', '.join(NETWORKS)}")
    given = {name: getattr(arguments, name) for name in ("network", "start_from", "precision", *CHOICES)}
    # every command has the flag --weights of that setting; here it names what a backbone starts from, such as `imagenet`
    given["weights"] = arguments.setting_weights
    if arguments.taught_by and arguments.distilled_from:
        raise SettingsWrong("--taught-by and --distilled-from: one or the other, as --trust is the share of one kind of teachers")
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
        raise SettingsWrong("there is nothing to average: two checkpoints are needed, or more")
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
        raise SettingsWrong(f"--teachers is needed: {arguments.checkpoint} learnt from other networks, and its card names them")
    if began_from_others(arguments.checkpoint) and not arguments.begun_from:
        raise SettingsWrong(f"--begun-from is needed: {arguments.checkpoint} began from others' weights, and its card names them")
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
        raise SettingsWrong(f"--data and --{mosaics[0]}: one or the other, as the data have faces and labels of their own")
    if not arguments.data and not (arguments.pixels and arguments.labels):
        raise SettingsWrong("--data is needed, or --pixels and --labels: what to judge on")
    if arguments.split and not arguments.data:
        raise SettingsWrong("--split needs --data, whose split it is")
    if arguments.groups_file and not arguments.groups:
        raise SettingsWrong("--groups-file needs --groups, the column in it")
    if arguments.groups and arguments.data and not arguments.groups_file:
        raise SettingsWrong("--groups with --data needs --groups-file, where the column stands")
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
        raise SettingsWrong(f"KERAS_BACKEND={backend} is none of {', '.join(BACKENDS)}")
    try:
        yield
    except ModuleNotFoundError as error:
        how = f"pip install {error.name}" if error.name in BACKENDS[1:] else "pip install '.[train]' in a checkout"
        raise Trouble(f"{error.name} is missing: {how}") from None
