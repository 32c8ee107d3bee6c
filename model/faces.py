"""The types that detection, classification and everything after them share."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


class Emotion(StrEnum):
    """The seven emotions of FER-2013, in that data set's order (Goodfellow et al., arXiv 1307.0414)."""

    ANGRY = "angry"
    DISGUST = "disgust"
    FEAR = "fear"
    HAPPY = "happy"
    SAD = "sad"
    SURPRISE = "surprise"
    NEUTRAL = "neutral"


EMOTIONS: tuple[Emotion, ...] = tuple(Emotion)


@dataclass(frozen=True, slots=True)
class Face:
    """A face found in a picture, in fractions of the picture's width and height.

    `keypoints` are six (x, y): the person's right eye, left eye, nose tip, mouth, right and left ear tragion.
    """

    x: float
    y: float
    width: float
    height: float
    score: float
    keypoints: tuple[tuple[float, float], ...]

    @property
    def area(self) -> float:
        """Share of the picture that the box covers."""
        return self.width * self.height


class Picture(Protocol):
    """A picture that can be drawn at the size at which it is needed."""

    @property
    def width(self) -> int:
        """Its original width, in pixels."""
        ...

    @property
    def height(self) -> int:
        """Its original height, in pixels."""
        ...

    def draw(self, place: Image) -> None:
        """Draw the picture, scaled, as RGB into `place` (height, width, 3) uint8, whose height and width are even."""
        ...


class FaceDetector(Protocol):
    """Finds the faces of pictures."""

    def detect(self, picture: Picture | Image) -> list[Face]:
        """The faces in a picture, which may be RGB (height, width, 3) uint8, largest first."""
        ...

    def detect_each(self, pictures: Sequence[Picture | Image]) -> list[list[Face]]:
        """What `detect` finds in each picture."""
        return [self.detect(picture) for picture in pictures]


class EmotionClassifier(Protocol):
    """Scores the emotions of faces."""

    name: str
    """Network and fingerprint of the weights."""

    size: int
    """Width and height of the crops it takes, in pixels."""

    def classify(self, crops: Image) -> NDArray[np.float32]:
        """Probabilities (n, 7) in the order of `EMOTIONS`, from grey crops (n, size, size) uint8."""
        ...
