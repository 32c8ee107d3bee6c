"""The networks' graphs alone, for measuring: planned for an input size, but without input."""

from pathlib import Path

from model.card import SHIPPED_WEIGHTS, read_card, read_weights
from model.classifier import LiteRtClassifier
from model.litert import Graph

DETECTOR = SHIPPED_WEIGHTS / "blazeface_short_range"


def detector_side() -> int:
    """The side, in pixels, of the square input for which BlazeFace is published."""
    return read_card(DETECTOR).input.size


def bare_detector(width: int | None = None, height: int | None = None) -> Graph:
    """BlazeFace planned for an input of this size, by default that for which it is published."""
    side = detector_side()
    return _bare(DETECTOR, width or side, height or side)


def bare_classifier(classifier: LiteRtClassifier) -> Graph:
    """The classifier's graph, planned for one face."""
    return _bare(classifier.folder, classifier.size, classifier.size)


def _bare(folder: Path, width: int, height: int) -> Graph:
    card = read_card(folder)
    return Graph(read_weights(folder, card), (1, height, width, card.input.channels), strict=False, what=str(folder))
