"""The record that a training leaves beside its checkpoints: which faces it left out, and what it owes to others."""

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.card import CARD_FILE
from model.errors import ModelUnusable

logger = logging.getLogger(__name__)

TRAINING_FILE = "training.json"
"""The record's file name."""

AVERAGED = "averaged"
"""Its key for the checkpoints whose weights were averaged, if the network was made that way."""

TAUGHT_BY, BEGUN_FROM = "; taught by ", "; begun from "
"""How a card's `data` continues if the network owes something to others."""


def held_out(checkpoint: Path) -> tuple[float, int]:
    """Share and seed of the faces that the checkpoint's training held out; a share of 0 if there is no record of any."""
    if not told_of(checkpoint):
        return 0.0, 0
    share, seed = number_of(checkpoint, "held_out", 0.0), int(number_of(checkpoint, "seed"))
    if not 0 <= share < 1:
        raise ModelUnusable(f"{checkpoint.with_name(TRAINING_FILE)} says that a share of {share} was held out")
    return share, seed


def part_left_out(checkpoint: Path) -> tuple[int, int] | None:
    """The number of the part of the faces that the training left out, and of how many; None if there is no record of any."""
    told = told_of(checkpoint).get("without_part")
    match told:
        case None:
            return None
        case [int(number), int(count)] if 1 <= number <= count:
            return number, count
    raise ModelUnusable(f"{checkpoint.with_name(TRAINING_FILE)} says that it left out the part {told}, which is none")


def number_of(checkpoint: Path, name: str, default: float | None = None) -> float:
    """A number from the record of the checkpoint's training; raises ModelUnusable if there is no such number."""
    path, told = checkpoint.with_name(TRAINING_FILE), told_of(checkpoint)
    try:
        number = float(told[name] if default is None else told.get(name, default))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelUnusable(f"{path} does not say what a training says of its faces: {error!r}") from error
    if not math.isfinite(number):
        raise ModelUnusable(f"{path} does not say what a training says of its faces: {name} is {number}")
    return number


def had_teachers(checkpoint: Path) -> bool:
    """Whether the checkpoint's training, or one that it began from, learnt from teachers, as far as their records say."""
    return any(
        told.get("taught_by") or told.get("distilled_from") or _owes(file, TAUGHT_BY) for file, told in _trainings(checkpoint)
    )


def began_from_others(checkpoint: Path) -> bool:
    """Whether that training, or one that it began from, began from weights made by others, as far as their records say."""
    return any(
        told.get("weights") or str(told.get("start_from")).endswith(".json") or _owes(file, BEGUN_FROM)
        for file, told in _trainings(checkpoint)
    )


def _trainings(checkpoint: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The checkpoint and the record of its training, then those that it was made from, and so on."""
    seen: set[Path] = set()
    waiting = [checkpoint]
    while waiting:
        checkpoint = waiting.pop()
        if checkpoint in seen:
            continue
        seen.add(checkpoint)
        told = told_of(checkpoint)
        yield checkpoint, told
        waiting += [made_from for made_from in _made_from(told) if _is_there(made_from)]


def _made_from(told: dict[str, Any]) -> list[Path]:
    """The file that a training began from, or those that were averaged."""
    begun_from, averaged = told.get("start_from"), told.get(AVERAGED, [])
    return [Path(str(each)) for each in (*([begun_from] if begun_from else []), *averaged)]


def _is_there(checkpoint: Path) -> bool:
    if any(path.exists() for path in (checkpoint, checkpoint.with_name(TRAINING_FILE))):
        return True
    logger.warning("%s, which a network was made from, is not there: what that owes to others is not known", checkpoint)
    return False


def heard_the_crowd(checkpoint: Path) -> bool:
    """Whether the FER+ votes, where its data had any, were part of the checkpoint's labels."""
    return bool(told_of(checkpoint).get("crowd", 1.0))


def _owes(checkpoint: Path, words: str) -> bool:
    """Whether the card beside an exported file, from which a training may have begun, contains these words."""
    card = checkpoint.with_name(CARD_FILE)
    return checkpoint.suffix == ".tflite" and card.exists() and words in card.read_text()


def told_of(checkpoint: Path) -> dict[str, Any]:
    """The record of the checkpoint's training; empty if there is none. Raises ModelUnusable if it cannot be read."""
    path = checkpoint.with_name(TRAINING_FILE)
    try:
        told: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
        told.get("seed")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelUnusable(f"{path} does not say what a training says of its held-out faces: {error!r}") from error
    return told
