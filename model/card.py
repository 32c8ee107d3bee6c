"""The card beside a weights file: what the weights are, what input they take, and how to check that they are intact."""

import hashlib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from model.errors import ModelUnusable

CARD_FILE = "card.json"
SHIPPED_WEIGHTS = Path(__file__).parent / "weights"


class Input(BaseModel):
    """What the graph takes: square pictures (n, size, size, channels) of `dtype`, with values in `range`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=8, le=1024)
    channels: int = Field(ge=1, le=4)
    dtype: str
    range: tuple[float, float]


class WeightsCard(BaseModel):
    """The facts about any weights file; `figures` holds what was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # a plain name: a card never reaches out of its own folder
    file: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    network: str = Field(min_length=1)
    figures: dict[str, JsonValue]
    data: str
    licence: str
    command: str
    source: str = ""
    paper: str = ""

    @property
    def name(self) -> str:
        """Network and fingerprint of the weights."""
        return f"{self.network}@{self.sha256[:8]}"


class Calibration(BaseModel):
    """The temperature built into the graph, and the held-out training faces that it was fitted on.

    These are from a `share` of the training split, drawn by the `seed`, without those whose repeats were trained on.
    `lowered` gives, for each emotion that was repeated in training, by how much its logits were lowered in turn, fitted on
    the same faces.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(gt=0)
    lowered: dict[str, float] = {}
    faces: int = Field(gt=0)
    share: float = Field(gt=0, lt=1)
    seed: int


class Card(WeightsCard):
    """The facts about a network that looks at pictures. `labels` are in the order of the outputs.

    `calibration` is None for a network whose confidence is as its training left it.
    """

    input: Input
    labels: tuple[str, ...]
    outputs: dict[str, str] = {}
    arithmetic: str = ""
    calibration: Calibration | None = None


Kind = TypeVar("Kind", bound=WeightsCard)


def read_card(folder: Path) -> Card:
    """The card of a network that looks at pictures; raises ModelUnusable if it is missing or incomplete."""
    return read_card_as(Card, folder)


def read_card_as(kind: type[Kind], folder: Path) -> Kind:
    """The card of that kind in the folder; raises ModelUnusable if it is missing or incomplete."""
    path = folder / CARD_FILE
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelUnusable(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ModelUnusable(f"{path} is not a card: {_one_line(error)}") from error


def read_weights(folder: Path, card: WeightsCard) -> bytes:
    """The weights that the card in the folder describes; raises ModelUnusable if they are missing or not the same bytes."""
    path = folder / card.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelUnusable(f"{path} cannot be read: {error.strerror}") from error
    if fingerprint(content) != card.sha256:
        raise ModelUnusable(f"{path} is not the file that its card describes: damaged, truncated or exchanged")
    return content


def fingerprint(content: bytes) -> str:
    """The SHA-256 of the bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _one_line(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_url=False)
    return "; ".join(": ".join([*map(str, problem["loc"]), problem["msg"]]) for problem in problems)
