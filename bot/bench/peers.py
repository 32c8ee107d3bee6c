"""Other software that reads faces, for comparison: used only if it is installed, never a dependency."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from model.crop import Square, square
from model.dataset import FACE_SIZE
from model.detector import BlazeFace
from model.errors import first_line
from model.faces import EMOTIONS, Image

logger = logging.getLogger(__name__)

Look = Callable[[Image], object]
Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""
Find = Callable[[Image], Iterable[Box]]
Read = Callable[[Image], list[float]]
"""Scores a face in the order of `EMOTIONS`."""

UNTAUGHT = "keras.predict of custom_cnn"
"""The peer whose answers mean nothing, because it is not trained; its cost does not depend on that."""


def look_peers() -> dict[str, Look]:
    """Ways to find and read the face in an RGB picture, by name."""
    peers: dict[str, Look] = {}
    if find_spec("fer"):
        with _left_out_where_it_cannot("fer"):
            peers["fer"] = _fer()
    if find_spec("keras"):
        detector, find = _haar() or ("BlazeFace", _blazeface())
        with _left_out_where_it_cannot(UNTAUGHT):
            peers[f"{detector}, then {UNTAUGHT}"] = _found_and_read(find, _keras())
    return peers


@contextmanager
def _left_out_where_it_cannot(name: str) -> Iterator[None]:
    """Log in one line that a peer is installed but cannot be measured, if the block fails for a reason of the peer's."""
    try:
        yield
    # a part of the package, the OpenCV it was written for, or the network for fetching its weights is missing
    except (ImportError, AttributeError, OSError, ValueError) as error:
        logger.warning("%s is installed and cannot be measured: %s", name, first_line(error))


def face_peers() -> dict[str, Read]:
    """Ways to read a face that is already cropped, grey (48, 48) uint8, by name.

    One that is installed but cannot read, for instance because its weights cannot be fetched, is left out and logged in one line.
    """
    ways = {"fer": ("fer", _fer_of_squares), UNTAUGHT: ("keras", _keras), "deepface": ("deepface", _deepface)}
    peers: dict[str, Read] = {}
    for name, (package, make) in ways.items():
        if not find_spec(package):
            continue
        with _left_out_where_it_cannot(name):
            read = make()
            read(np.zeros((FACE_SIZE, FACE_SIZE), np.uint8))
            peers[name] = read
    return peers


def _fer_of_squares() -> Read:
    from fer.fer import FER

    reader = FER(offsets=(0, 0))  # by default it adds 10 pixels around the face

    def read(face: Image) -> list[float]:
        height, width = face.shape
        (found,) = reader.detect_emotions(cv2.cvtColor(face, cv2.COLOR_GRAY2BGR), [(0, 0, width, height)])
        return _in_our_order(found["emotions"])

    return read


def _in_our_order(scores: Mapping[str, float]) -> list[float]:
    return [float(scores[emotion]) for emotion in EMOTIONS]


def _fer() -> Look:
    from fer.fer import FER

    reader = FER()
    return lambda image: reader.detect_emotions(image)


def _found_and_read(find: Find, read: Read) -> Look:
    """The method of the project that this one grew from: find faces, crop them in grey, and predict each with keras."""

    def look(image: Image) -> None:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        for x, y, width, height in find(image):
            read(cv2.resize(grey[y : y + height, x : x + width], (48, 48)).astype(np.uint8, copy=False))

    return look


def _haar() -> tuple[str, Find] | None:
    """OpenCV's Haar cascade with its default settings, and its name; None with OpenCV 5, which no longer has it."""
    kind = getattr(cv2, "CascadeClassifier", None)
    if kind is None:
        return None
    cascade = kind(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"))
    return "Haar", lambda image: cascade.detectMultiScale(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _blazeface() -> Find:
    detector = BlazeFace()

    def find(image: Image) -> list[Box]:
        height, width = image.shape[:2]
        return [_box(square(face, width, height, level=False)) for face in detector.detect(image)]

    return find


def _box(found: Square) -> Box:
    left, top = (max(int(middle - found.side / 2), 0) for middle in (found.middle_x, found.middle_y))
    return left, top, int(found.side), int(found.side)


def _keras() -> Read:
    from model.networks import custom_cnn

    network = custom_cnn()

    def read(face: Image) -> list[float]:
        scores: list[float] = network.predict(face[None, ..., None].astype(np.float32), verbose=0)[0].tolist()
        return scores

    return read


def _deepface() -> Read:
    from deepface import DeepFace

    def read(face: Image) -> list[float]:
        picture = cv2.cvtColor(face, cv2.COLOR_GRAY2BGR)
        (found,) = DeepFace.analyze(picture, actions=["emotion"], detector_backend="skip")
        return _in_our_order(found["emotion"])

    return read
