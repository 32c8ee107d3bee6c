"""The page that describes a classifier: a template filled with measured figures, and pictures beside it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError

from bot.judging import judge
from bot.settings import Settings
from model.card import Card
from model.classifier import LiteRtClassifier
from model.dataset import Split, repeats
from model.disk import check_writable, disk_told, drafted
from model.errors import DataUnusable
from model.faces import EMOTIONS
from model.plots import draw_evaluation
from model.splits import read_both

TEMPLATE = Path(__file__).with_name("model-card.md.jinja")
PICTURES = "model"
ALL_FACES = 1_000_000

PLACES = {
    "box_width": "width of the detector's box",
    "box_right": "its middle, to the right",
    "box_down": "its middle, down",
    "eyes_down": "the eyes, down",
    "eye_distance": "between the eyes",
    "tilt": "tilt of the eyes, degrees",
    "crop": "width of the live crop",
    "crop_right": "its middle, to the right",
    "crop_down": "its middle, down",
}


def write_model_card(weights: Path | None, data: Path, page: Path, figures: dict[str, Any] | None = None) -> None:
    """Write the page about weights that have a card, and its pictures into the folder `model` beside it.

    `figures` are those of an earlier `judge` with `robust_on`; without them everything is measured on `data`, a folder of
    mosaics or fer2013.csv. Raises ModelUnusable or DataUnusable for weights, data or figures that cannot be used, and if nothing
    can be written.
    """
    card = LiteRtClassifier(weights).card
    training, test = read_both(data)
    with disk_told(page):
        page.parent.mkdir(parents=True, exist_ok=True)
    check_writable(page)  # now, because after minutes of measuring the figures would be lost
    result = figures or judge(weights, test, training.pixels, robust_on=ALL_FACES)
    try:
        if figures:
            _check_origin(figures, training, test)
        _check(result, card)
        text = render(card, result, _sizes(training, test))
        with disk_told(page.parent):
            draw_evaluation(result, page.parent / PICTURES)
    except (UndefinedError, LookupError, TypeError, ValueError) as error:
        raise DataUnusable(f"the figures are incomplete or wrong: {error!r}") from error
    with disk_told(page), drafted(page) as draft:
        draft.write_text(text)


def read_figures(path: Path) -> dict[str, Any]:
    """Read what `evaluate --robustness --json` printed; raises DataUnusable for anything else."""
    try:
        figures = json.loads(path.read_bytes())
    except OSError as error:
        raise DataUnusable(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataUnusable(f"{path} is not JSON: {error}") from error
    if not isinstance(figures, dict) or not {"model", "risk_coverage", "robustness"} <= figures.keys():
        raise DataUnusable(f"{path} is not what evaluate --robustness --json prints")
    return figures


def _check_origin(figures: dict[str, Any], training: Split, test: Split) -> None:
    """Raise DataUnusable if the figures were not measured on these data."""
    if figures["split"] != test.fingerprint():
        raise DataUnusable("the figures were measured on other faces than those of the data")
    if figures["repeats"] not in (None, int(repeats(test.pixels, training.pixels).sum())):
        raise DataUnusable("the figures were measured with other faces to train on than those of the data")
    if np.shape(figures["confusion"]) != (len(EMOTIONS), len(EMOTIONS)):
        raise DataUnusable(f"the figures have no confusion of the {len(EMOTIONS)} emotions")


def _check(result: dict[str, Any], card: Card) -> None:
    if result["model"] != card.name:
        raise DataUnusable(f"the figures are of {result['model']}, not of {card.name}")
    robustness = result["robustness"]
    if not robustness["squares"]["found"] or not robustness["video"]["found"]:
        raise DataUnusable("the detector finds no face in the data, so the crop cannot be judged")
    if result["accuracy_without_repeats"] is None:
        raise DataUnusable("the figures were measured without --training, or only on faces that it repeats")


def _sizes(training: Split, test: Split) -> dict[str, int]:
    """How many faces the training split has, and how many of them are repeated in the test split."""
    return {"training": len(training), "training_repeats": int(repeats(training.pixels, test.pixels).sum())}


def render(card: Card, result: dict[str, Any], data: dict[str, int]) -> str:
    """The page, in Markdown."""
    environment = Environment(  # nosec B701  # Markdown of our own figures, no HTML of anybody's
        loader=FileSystemLoader(TEMPLATE.parent), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"percent": _percent, "number": _number}
    unknown_below: float = Settings.model_fields["unknown_below"].default
    page: str = environment.get_template(TEMPLATE.name).render(
        card=card,
        result=result,
        data=data,
        robustness=result["robustness"],
        pictures=PICTURES,
        unknown_below=unknown_below,
        answered=_answered(result["risk_coverage"], unknown_below),
        place_titles=PLACES,
        crop_title=_crop_title,
        worst=_worst(result["per_class"]),
        confused=_confused(result["confusion"]),
    )
    return page


def _worst(per_class: dict[str, dict[str, Any]]) -> list[str]:
    """The two emotions with the lowest recall."""
    recalls = {label: figures["recall"] for label, figures in per_class.items() if figures["recall"] is not None}
    return sorted(recalls, key=lambda label: float(recalls[label]))[:2]


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share * 100:.1f} %"


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # adding 0.0 turns -0.0 into 0.0


def _answered(curve: list[dict[str, float]], confidence: float) -> dict[str, float]:
    """The point of the curve with the largest coverage whose confidence is at least this high; the last if there is none."""
    return next((point for point in curve if point["confidence"] >= confidence), curve[-1])


def _crop_title(row: dict[str, float]) -> str:
    if row["right"] or row["down"]:
        name = "right" if row["right"] else "down"
        return f"{abs(row[name]) * 100:.0f} % too far {_DIRECTIONS[name][row[name] < 0]}"
    return "FER-2013's own square" if row["crop"] == 1 else f"{row['crop']:.1f} of it wide"


_DIRECTIONS = {"right": ("right", "left"), "down": ("down", "up")}


def _confused(table: list[list[int]], most: int = 4) -> list[dict[str, Any]]:
    """The most frequent confusions, each as a share of the faces with that label."""
    counts = np.array(table)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:most]
    pairs = [(int(place) // len(EMOTIONS), int(place) % len(EMOTIONS)) for place in order]
    return [
        {"label": str(EMOTIONS[row]), "taken_for": str(EMOTIONS[column]), "share": float(shares[row, column])}
        for row, column in pairs
    ]
