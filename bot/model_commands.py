"""The commands that make and judge the model: train, export, evaluate."""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.errors import SettingsWrong, Trouble
from bot.settings import Settings
from model.card import SHIPPED_WEIGHTS

FER_2013 = "FER-2013 (Goodfellow et al. 2013), Training split, labels softened by the FER+ votes (Barsoum et al. 2016)"
LICENCE = "For research and education, as FER-2013 itself."
CHOICES = {
    "epochs": int,
    "size": int,
    "learning_rate": float,
    "weight_decay": float,
    "jitter": float,
    "crowd": float,
    "seed": int,
}
"""What of a training can be set on the command line."""


def add_model_commands(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the three commands to the parser's."""
    train = command(commands, "train", _train, "train a network on FER-2013, or go on after a kill")
    train.add_argument("network", metavar="NETWORK", help="custom_cnn, residual_cnn, vgg16 or resnet50")
    train.add_argument(
        "--data", type=Path, required=True, help="folder with training.png/.csv and public-test.png/.csv, or fer2013.csv"
    )
    train.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the log")
    train.add_argument("--start-from", type=Path, help="a .keras checkpoint whose layers of equal shape are taken over")
    for name, kind in CHOICES.items():
        train.add_argument(f"--{name.replace('_', '-')}", type=kind)

    export = command(commands, "export", _export, "turn a .keras checkpoint into a .tflite file and its card")
    export.add_argument("checkpoint", type=Path)
    export.add_argument("--data", type=Path, required=True, help="folder with the splits it is judged on for the card")
    export.add_argument("--out", type=Path, default=SHIPPED_WEIGHTS / "emotion", help="folder for the file and its card")
    export.add_argument("--made-by", default="", metavar="COMMAND", help="the command that trained it, for the card")

    evaluate = command(commands, "evaluate", _evaluate, "judge a classifier on a mosaic of labelled faces")
    evaluate.add_argument("--pixels", type=Path, required=True, help="mosaic of 48x48 grey faces, 128 to a row (PNG)")
    evaluate.add_argument("--labels", type=Path, required=True, help="CSV with a line per face: label and ten FER+ votes")
    evaluate.add_argument("--training", type=Path, help="mosaic that was trained on, to report accuracy without its repeats")
    evaluate.add_argument(
        "--model", type=Path, help="folder with a card.json, or a .keras checkpoint; the shipped one if not set"
    )
    evaluate.add_argument("--groups", metavar="COLUMN", help="column that names a group of people for each face, to compare them")
    evaluate.add_argument("--groups-file", type=Path, metavar="CSV", help="where that column stands, if not in the labels' file")
    evaluate.add_argument("--json", action="store_true", help="one JSON object")


def _train(arguments: argparse.Namespace, settings: Settings) -> None:
    quiet_tensorflow()
    with needing_keras():
        from model.networks import NETWORKS
        from model.train import Training, train
    if arguments.network not in NETWORKS:
        raise Trouble(f"{arguments.network} is none of the networks: {', '.join(NETWORKS)}")
    given = {name: getattr(arguments, name) for name in ("network", *CHOICES)}
    # every command has the flag of the setting; here it names what a backbone starts from, such as `imagenet`
    given["weights"] = arguments.setting_weights
    what = Training(**{name: value for name, value in given.items() if value is not None})
    print(train(what, arguments.data, arguments.out, arguments.start_from))


def _export(arguments: argparse.Namespace, settings: Settings) -> None:
    quiet_tensorflow()
    with needing_keras():
        from model.export import Notes, export
    from model.dataset import read_mosaic, read_split

    split = read_split(arguments.data / "public-test.png", arguments.data / "public-test.csv")
    notes = Notes(FER_2013, LICENCE, arguments.made_by)
    print(export(arguments.checkpoint, arguments.out, notes, split, read_mosaic(arguments.data / "training.png")))


def _evaluate(arguments: argparse.Namespace, settings: Settings) -> None:
    quiet_tensorflow()
    from model.evaluate import evaluate_files

    if arguments.groups_file and not arguments.groups:
        raise SettingsWrong("--groups-file needs --groups, the column in it")
    given = (arguments.pixels, arguments.labels, arguments.training, arguments.groups, arguments.groups_file)
    result = evaluate_files(arguments.model or settings.weights, *given)
    print(json.dumps(result) if arguments.json else _readable(result))


def _readable(result: dict[str, Any]) -> str:
    groups = result["by_group"]
    told = {name: value for name, value in result.items() if name != "by_group" and not isinstance(value, dict | list)}
    lines = [f"{name}: {_number(value)}" for name, value in told.items()]
    lines += [
        f"{label:>9}: recall {figures['recall']:.3f}  precision {figures['precision']:.3f}  n {figures['n']}"
        for label, figures in result["per_class"].items()
    ]
    return "\n".join((*lines, *(_readable_groups(groups) if groups else ())))


def _readable_groups(found: dict[str, Any]) -> Iterator[str]:
    """A line for each group, and one for the largest gap."""
    for name, figures in found["groups"].items():
        low, high = figures["interval"]
        small = f"  too small: under {found['least_faces']}" if figures["too_small"] else ""
        yield f"{name:>9}: accuracy {figures['accuracy']:.3f} (95 %: {low:.3f} to {high:.3f})  n {figures['n']}{small}"
    if found["not_stated"]:
        yield f"{'':>9}  no group stated for {found['not_stated']} faces"
    if gap := found["largest_gap"]:
        low, high = gap["interval"]
        yield f"largest gap: {gap['gap']:.3f} (95 %: {low:.3f} to {high:.3f}), {gap['better']} over {gap['worse']}"
    else:
        yield f"largest gap: none, fewer than two groups have {found['least_faces']} faces"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def quiet_tensorflow() -> None:
    """Keep tensorflow's start-up notes off the terminal, unless somebody wants them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextmanager
def needing_keras() -> Iterator[None]:
    """Turn an import of keras that fails into one line that says how to get it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Trouble(f"{error.name} is missing: pip install 'classmood[train]'") from None
