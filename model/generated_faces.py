"""Draws faces of people who do not exist with the generator's weights, without tensorflow."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.card import SHIPPED_WEIGHTS, WeightsCard, read_card_as, read_weights
from model.errors import ModelUnusable
from model.faces import EMOTIONS, Image
from model.litert import Graph

Identity = NDArray[np.float32]
Feeling = NDArray[np.float32]
"""Shares of the seven emotions in the order of `EMOTIONS`, which add up to 1."""


class GeneratorCard(WeightsCard):
    """The facts about a generator: how many numbers make an identity, and how wide its square faces are, in pixels."""

    identity: int
    face_size: int
    labels: tuple[str, ...]


class FaceGenerator:
    """Draws the face of an identity with an emotion. One thread may use it at a time.

    Raises ModelUnusable at construction if the weights are missing or not what their card says.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or SHIPPED_WEIGHTS / "students"
        self.card = read_card_as(GeneratorCard, folder)
        what = str(folder / self.card.file)
        self._graph = Graph(read_weights(folder, self.card), what=what)
        wide, size = self.card.identity + len(EMOTIONS), self.card.face_size
        shapes = [faces.shape for faces in self._graph.run().values()]
        if self.card.labels != EMOTIONS or self._graph.input.shape != (1, wide) or shapes != [(1, size, size, 1)]:
            raise ModelUnusable(f"{what} does not draw the faces that its card tells of")

    def identity(self, random: np.random.Generator, spread: float = 1.0) -> Identity:
        """A new identity; with a smaller `spread`, its face is closer to the average."""
        return random.normal(0, spread, self.card.identity).astype(np.float32)

    def draw(self, identity: Identity, feeling: Feeling) -> Image:
        """The grey face (size, size) uint8, eyes and mouth where `model.aligned_faces` has them."""
        self._graph.input[0] = np.concatenate([identity, feeling])
        (face,) = self._graph.run().values()
        drawn: Image = (face[0, ..., 0] * 127.5 + 127.5).clip(0, 255).astype(np.uint8)
        return drawn
