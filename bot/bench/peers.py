"""Other ways to look at a picture, for comparison: only where they are installed, never a dependency."""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from model.crop import square
from model.detector import BlazeFace
from model.faces import Image

Look = Callable[[Image], object]
Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""
Find = Callable[[Image], Iterable[Box]]


def look_peers() -> dict[str, Look]:
    """Ways to find and read the face in an RGB picture, by name."""
    peers: dict[str, Look] = {}
    if find_spec("fer"):
        peers["fer"] = _fer()
    if find_spec("keras"):
        detector, find = _haar() or ("BlazeFace", _blazeface())
        peers[f"{detector}, then keras.predict of custom_cnn"] = _found_and_read(find, _keras())
    return peers


def face_peers() -> dict[str, Look]:
    """Ways to read a face that is already cut out, grey (48, 48) uint8, by name."""
    peers: dict[str, Look] = {}
    if find_spec("keras"):
        peers["keras.predict of custom_cnn"] = _keras()
    if find_spec("deepface"):
        peers["deepface"] = _deepface()
    return peers


def _fer() -> Look:
    from fer.fer import FER

    reader = FER()
    return lambda image: reader.detect_emotions(image)


def _found_and_read(find: Find, read: Look) -> Look:
    """The way of the project that this one grew from: find faces, cut them out grey, and predict each with keras."""

    def look(image: Image) -> None:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        for x, y, width, height in find(image):
            read(cv2.resize(grey[y : y + height, x : x + width], (48, 48)).astype(np.uint8, copy=False))

    return look


def _haar() -> tuple[str, Find] | None:
    """OpenCV's own face detector with its own settings; OpenCV 5 has it no more."""
    kind = getattr(cv2, "CascadeClassifier", None)
    if kind is None:
        return None
    cascade = kind(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"))
    return "Haar", lambda image: cascade.detectMultiScale(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _blazeface() -> Find:
    detector = BlazeFace()

    def find(image: Image) -> list[Box]:
        height, width = image.shape[:2]
        squares = [square(face, width, height) for face in detector.detect(image)]
        return [(max(int(left), 0), max(int(top), 0), int(side), int(side)) for left, top, side in squares]

    return find


def _keras() -> Look:
    from model.networks import custom_cnn

    network = custom_cnn()  # what it costs does not depend on what it has learnt
    return lambda face: network.predict(face[None, ..., None].astype(np.float32), verbose=0)


def _deepface() -> Look:
    from deepface import DeepFace

    return lambda face: DeepFace.analyze(cv2.cvtColor(face, cv2.COLOR_GRAY2BGR), actions=["emotion"], detector_backend="skip")
