"""What reading a cropped face costs, compared with the detector and with other software, and how well it is read."""

from itertools import cycle, islice
from typing import Any

import numpy as np

from bot.bench.faces import pictures
from bot.bench.graphs import bare_detector
from bot.bench.peers import UNTAUGHT, Read, face_peers
from bot.bench.stopwatch import Work, compare
from model.classifier import LiteRtClassifier
from model.crop import crop_face
from model.dataset import FACE_SIZE, Split, resized
from model.detector import BlazeFace
from model.faces import EmotionClassifier, Face, Image

BATCHES = (1, 8)
TIMES = 20
DETECTOR = "blazeface"
DETECTOR_MEASURED = "one invocation of its graph alone, at 128x128 as published"


def bench_model(classifier: LiteRtClassifier, split: Split | None = None) -> dict[str, Any]:
    """CPU time in milliseconds and, with a split, accuracies, ready for JSON; peers are measured if they are installed."""
    detector = BlazeFace()
    images = pictures()
    found = [(image, detector.detect(image)[0]) for image in images]
    works: dict[str, Work] = {str(batch): _in_batches(classifier, _crops(found, classifier.size), batch) for batch in BATCHES}
    works[DETECTOR] = bare_detector().run
    peers = face_peers()
    works |= {name: _one_by_one(read, _crops(found, FACE_SIZE)) for name, read in peers.items()}
    cpu_ms = {name: cost.cpu_ms for name, cost in compare(works, TIMES).items()}
    per_face = {batch: cpu_ms.pop(str(batch)) / batch for batch in BATCHES}
    blazeface_ms = cpu_ms.pop(DETECTOR)
    return {
        "model": classifier.name,
        "ms_per_face": per_face,
        "blazeface": DETECTOR_MEASURED,
        "blazeface_ms": blazeface_ms,
        "ratio_to_blazeface": per_face[1] / blazeface_ms,
        "peers": cpu_ms,
        **({} if split is None else {"faces": len(split), "accuracy": _accuracies(classifier, peers, split)}),
    }


def _accuracies(classifier: LiteRtClassifier, peers: dict[str, Read], split: Split) -> dict[str, float]:
    """The accuracy of the classifier, and of each peer that was trained, on FER-2013's own squares."""
    scores = {classifier.name: classifier.classify(resized(split.pixels, classifier.size))}
    scores |= {name: np.array([read(face) for face in split.pixels]) for name, read in peers.items() if name != UNTAUGHT}
    return {name: float((each.argmax(axis=1) == split.labels).mean()) for name, each in scores.items()}


def _crops(found: list[tuple[Image, Face]], size: int) -> list[Image]:
    return [crop_face(image, face, size) for image, face in found]


def _one_by_one(read: Read, faces: list[Image]) -> Work:
    turn = cycle(faces)
    return lambda: read(next(turn))


def _in_batches(classifier: EmotionClassifier, crops: list[Image], batch: int) -> Work:
    faces = np.stack(list(islice(cycle(crops), batch)))
    return lambda: classifier.classify(faces)
