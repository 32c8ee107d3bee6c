"""What a face costs once it is cut out, beside the detector and beside others."""

from itertools import cycle, islice
from typing import Any

import numpy as np

from bot.bench.faces import pictures
from bot.bench.graphs import bare_detector
from bot.bench.peers import Look, face_peers
from bot.bench.stopwatch import Work, compare
from model.classifier import LiteRtClassifier
from model.crop import crop_face
from model.dataset import FACE_SIZE
from model.detector import BlazeFace
from model.faces import EmotionClassifier, Face, Image

BATCHES = (1, 8)
TIMES = 20
DETECTOR = "blazeface"
DETECTOR_MEASURED = "one invocation of its graph alone, at 128x128 as published"


def bench_model(classifier: LiteRtClassifier) -> dict[str, Any]:
    """Milliseconds of CPU, ready for JSON; peers are there if they are installed."""
    detector = BlazeFace()
    images = pictures()
    found = [(image, detector.detect(image)[0]) for image in images]
    works: dict[str, Work] = {str(batch): _in_batches(classifier, _crops(found, classifier.size), batch) for batch in BATCHES}
    works[DETECTOR] = bare_detector().run
    works |= {name: _one_by_one(read, _crops(found, FACE_SIZE)) for name, read in face_peers().items()}
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
    }


def _crops(found: list[tuple[Image, Face]], size: int) -> list[Image]:
    return [crop_face(image, face, size) for image, face in found]


def _one_by_one(look: Look, images: list[Image]) -> Work:
    turn = cycle(images)
    return lambda: look(next(turn))


def _in_batches(classifier: EmotionClassifier, crops: list[Image], batch: int) -> Work:
    faces = np.stack(list(islice(cycle(crops), batch)))
    return lambda: classifier.classify(faces)
