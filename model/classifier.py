"""Scoring the emotions of faces with a .tflite graph."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.card import CARD_FILE, SHIPPED_WEIGHTS, Card, read_card, read_weights
from model.errors import ModelUnusable
from model.faces import EMOTIONS, Image
from model.litert import Graph


class LiteRtClassifier:
    """An emotion classifier from a folder with weights and their card. One thread may use it at a time.

    `weights` is the folder or the .tflite file in it; without it, the shipped weights are used.
    Raises ModelUnusable at construction if the weights are missing or not what their card says.
    """

    def __init__(self, weights: Path | None = None) -> None:
        weights = weights or SHIPPED_WEIGHTS / "emotion"
        named = weights.suffix == ".tflite" and not _is_folder(weights)
        self.folder = folder = weights.parent if named else weights
        self.card = read_card(folder)
        if named and weights.name != self.card.file:
            raise ModelUnusable(f"{weights} is not what {folder / CARD_FILE} describes: that is {self.card.file}")
        self.name = self.card.name
        self.size = self.card.input.size
        what = str(folder / self.card.file)
        _check_words(self.card, what)
        content = read_weights(folder, self.card)
        self.file_bytes = len(content)
        self._graph = _planned(content, self.size, what)

    def classify(self, crops: Image) -> NDArray[np.float32]:
        """Probabilities (n, 7) float32 in the order of `EMOTIONS`, from grey crops (n, size, size) uint8.

        Raises ValueError for crops of another shape or type.
        """
        if crops.dtype != np.uint8 or crops.shape[1:] != (self.size, self.size):
            raise ValueError(f"crops (n, {self.size}, {self.size}) uint8 are wanted, not {crops.shape} {crops.dtype}")
        scores = np.empty((len(crops), len(EMOTIONS)), np.float32)
        # one by one: on one thread a batch of 2 to 32 was measured no quicker per face, and the graph stays planned
        for crop, row in zip(crops, scores, strict=True):
            self._graph.input[0, ..., 0] = crop
            (row[:],) = self._graph.run().values()
        return scores


def _is_folder(weights: Path) -> bool:
    try:
        return weights.is_dir()
    except OSError as error:  # no permission to look there
        raise ModelUnusable(f"{weights} cannot be read: {error.strerror}") from error


def _check_words(card: Card, what: str) -> None:
    if card.labels != EMOTIONS:
        raise ModelUnusable(f"{what} answers {', '.join(card.labels)}; wanted are, in this order, {', '.join(EMOTIONS)}")
    if (card.input.channels, card.input.dtype, card.input.range) != (1, "uint8", (0, 255)):
        raise ModelUnusable(f"{what} does not take grey uint8 faces of 0 to 255, so its card says")


def _planned(content: bytes, size: int, what: str) -> Graph:
    """The graph, ready for one face."""
    graph = Graph(content, (1, size, size, 1), what=what)
    # some shapes are known only after a run, and the first one is slow
    shapes = [scores.shape for scores in graph.run().values()]
    if graph.input.dtype != np.uint8 or shapes != [(1, len(EMOTIONS))]:
        raise ModelUnusable(f"{what} does not turn a grey uint8 face into {len(EMOTIONS)} scores")
    return graph
