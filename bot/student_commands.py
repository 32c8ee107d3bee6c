"""The commands for the generator of simulated students' faces: train-students and export-students."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot.arguments import at_least_one, not_negative, positive, seed, share
from bot.errors import SettingsWrong
from bot.model_commands import LICENCE, REPLACED, needing_keras, on_tensorflow
from bot.settings import Settings
from model.card import SHIPPED_WEIGHTS

DATA = "FER-2013 (Goodfellow et al. 2013), Training split: pictures that the FER+ crowd agrees on, frontal and aligned"
CHOICES: dict[str, tuple[Callable[[str], float], str]] = {
    "steps": (at_least_one, "length of the training in batches (default: 5000)"),
    "batch_size": (at_least_one, "faces in a batch (default: 64)"),
    "learning_rate": (positive, "learning rate at the beginning, which falls as a cosine (default: 0.001)"),
    "warm_up": (share, "share of the steps before the adversary begins (default: 0.2)"),
    "judged": (at_least_one, "faces of a batch that the critics judge (default: 32)"),
    "adversary": (not_negative, "how much it counts that faces look real to the adversary (default: 0.2)"),
    "emotion": (not_negative, "how much it counts that the critics read the wanted emotion (default: 0.03)"),
    "seed": (seed, "seed of everything random (default: 2013)"),
}
"""The options of a training that can be set on the command line: the type of each, and its help."""


def add_student_commands(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the two commands to the parser."""
    train = command(
        commands,
        "train-students",
        _train,
        "train the generator of simulated students' faces, or resume a training that was killed",
    )
    train.add_argument("--data", type=Path, required=True, help="folder with training.png/.csv and public-test.png/.csv")
    train.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the log")
    train.add_argument("--critic", type=Path, nargs="+", required=True, help=".keras classifiers that judge the expressions")
    train.add_argument("--start-from", type=Path, help="the folder of another training, whose networks are taken over")
    for name, (kind, meaning) in CHOICES.items():
        train.add_argument(f"--{name.replace('_', '-')}", type=kind, help=meaning)

    export = command(commands, "export-students", _export, "turn a trained generator into a .tflite file and its card")
    export.add_argument("checkpoint", type=Path)
    export.add_argument("--data", type=Path, required=True, help="folder with the splits, for the figures of the card")
    export.add_argument("--out", type=Path, default=SHIPPED_WEIGHTS / "students", help=REPLACED)
    export.add_argument("--judge", type=Path, nargs="*", default=[], help="more classifiers that read the faces for the card")
    export.add_argument("--made-by", default="", metavar="COMMAND", help="the command that trained it, for the card")


def _train(arguments: argparse.Namespace, settings: Settings) -> None:
    on_tensorflow()  # training uses tensorflow's own gradient tapes and checkpoints
    with needing_keras():
        from model.train_generator import GeneratorTraining, train_generator
    given = {name: getattr(arguments, name) for name in CHOICES}
    what = GeneratorTraining(**{name: value for name, value in given.items() if value is not None})
    if what.judged > what.batch_size:
        raise SettingsWrong(f"--judged {what.judged} is more than the {what.batch_size} faces of a batch")
    print(train_generator(what, arguments.data, arguments.critic, arguments.out, arguments.start_from))


def _export(arguments: argparse.Namespace, settings: Settings) -> None:
    on_tensorflow()
    with needing_keras():
        from model.evaluate import load_candidate
        from model.export import Notes
        from model.export_generator import Judges, export_generator
        from model.splits import read_splits
    shipped = load_candidate(settings.weights)
    classifiers = {shipped.name: shipped}
    classifiers |= {f"{path.parent.name}/{path.name}": load_candidate(path) for path in arguments.judge}
    judges = Judges(read_splits(arguments.data)[0], classifiers)
    print(export_generator(arguments.checkpoint, arguments.out, Notes(DATA, LICENCE, arguments.made_by), judges))
