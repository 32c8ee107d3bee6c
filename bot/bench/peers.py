"""Other ways to look at a picture, for comparison: only where they are installed, never a dependency."""

from collections.abc import Callable
from importlib.util import find_spec

import cv2
import numpy as np

from model.faces import Image

Look = Callable[[Image], object]


def look_peers() -> dict[str, Look]:
    """Ways to find and read the face in an RGB picture, by name."""
    peers: dict[str, Look] = {}
    if find_spec("fer"):
        peers["fer"] = _fer()
    if find_spec("keras"):
        peers["keras.predict of custom_cnn, without a detector"] = _keras_alone()
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


def _keras_alone() -> Look:
    """The way of the project that this one grew from, its detector left out: OpenCV 5 has that one no more."""
    read = _keras()
    return lambda image: read(cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (48, 48)).astype(np.uint8, copy=False))


def _keras() -> Look:
    from model.networks import custom_cnn

    network = custom_cnn()  # what it costs does not depend on what it has learnt
    return lambda face: network.predict(face[None, ..., None].astype(np.float32), verbose=0)


def _deepface() -> Look:
    from deepface import DeepFace

    return lambda face: DeepFace.analyze(cv2.cvtColor(face, cv2.COLOR_GRAY2BGR), actions=["emotion"], detector_backend="skip")
