"""What a network sees in faces, recorded for another one to learn from.

A face's label names one emotion; a teacher's answer says how likely each one is (Hinton et al., arXiv 1503.02531).
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.dataset import parts_of, resized
from model.disk import drafted
from model.errors import DataUnusable, ModelUnusable
from model.evaluate import Candidate, are_probabilities, load_candidate
from model.faces import EMOTIONS, Image
from model.litert import Graph
from model.provenance import part_left_out

Scores = NDArray[np.float32]


def seen_by(teacher: Path, faces: Image) -> Scores:
    """A teacher's mean answer to grey faces (n, h, w) uint8 and their mirror images: probabilities (n, 7).

    A teacher is a .keras checkpoint, a folder with a card.json, the .tflite in one, or somebody else's network, as .tflite
    or as .json of TensorFlow.js, that takes square grey faces as float32 of -1 to 1 and has our order of emotions.
    Raises ModelUnusable for a file that is none of these, and for one whose answers are not probabilities.
    """
    candidate = _candidate(teacher)
    answer: Scores = np.mean([_scores(candidate, each) for each in (faces, faces[..., ::-1])], axis=0)
    if not are_probabilities(answer):
        raise ModelUnusable(f"{teacher} answers with numbers that are no probabilities")
    return answer


def seen_without(teachers: Sequence[Path], faces: Image) -> Scores:
    """The networks' answers to faces (n, h, w) uint8, each by the one that was trained without it: probabilities (n, 7).

    There is one network for each part of the faces, which `without_part` left out of its training, so none answers from
    memory. Raises ModelUnusable like `seen_by`, and if the networks did not each leave out another part.
    """
    asked: dict[int, Path] = {}
    for teacher in teachers:
        part = part_left_out(teacher)
        if part is None or part[1] != len(teachers) or part[0] in asked:
            what = "no part" if part is None else f"part {part[0]}/{part[1]}"
            raise ModelUnusable(f"{teacher} was trained without {what}: each of {len(teachers)} networks leaves out another one")
        asked[part[0]] = teacher
    belongs_to = parts_of(faces, len(teachers))
    scores = np.empty((len(faces), len(EMOTIONS)), np.float32)
    for number, teacher in asked.items():
        rows = np.flatnonzero(belongs_to == number)
        scores[rows] = seen_by(teacher, faces[rows])
    return scores


def write_scores(path: Path, scores: Scores) -> None:
    """Write probabilities (n, 7) as CSV: a line for each face, below the names of the emotions."""
    with drafted(path) as draft, draft.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(EMOTIONS)
        writer.writerows([f"{score:.4f}" for score in row] for row in scores)


def read_scores(paths: Sequence[Path], faces: int) -> Scores:
    """The mean of the teachers' answers in these files: probabilities (n, 7) float32.

    Raises DataUnusable for a file that does not hold a line of probabilities for each of `faces` faces.
    """
    scores: Scores = np.mean([_read_scores(path, faces) for path in paths], axis=0).astype(np.float32)
    return scores


def _read_scores(path: Path, faces: int) -> Scores:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := [emotion for emotion in EMOTIONS if emotion not in (reader.fieldnames or ())]:
                raise DataUnusable(f"{path} has no column {missing[0]}: it is not what `teach` writes")
            rows = [[float(row[emotion]) for emotion in EMOTIONS] for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error, TypeError, ValueError) as error:
        raise DataUnusable(f"{path} cannot be read as a line of {len(EMOTIONS)} probabilities a face: {error}") from error
    if len(rows) != faces:
        raise DataUnusable(f"{path} has lines for {len(rows)} faces, not for the {faces} that are trained on")
    scores = np.array(rows, np.float32)
    if not are_probabilities(scores):
        raise DataUnusable(f"{path} has lines that are no probabilities: they are negative, or do not add up to 1")
    return scores


def _scores(teacher: Candidate, faces: Image) -> Scores:
    return teacher.predict(resized(np.ascontiguousarray(faces), teacher.size))


def _candidate(path: Path) -> Candidate:
    match path.suffix:
        case ".tflite":
            return _foreign_tflite(path)
        case ".json":
            return _foreign_tfjs(path)
        case _:
            return load_candidate(path)


def _foreign_tflite(path: Path) -> Candidate:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelUnusable(f"{path} cannot be read: {error.strerror}") from error
    graph = Graph(content, what=str(path))
    if graph.input.dtype == np.uint8:  # one of ours, with a card beside it
        return load_candidate(path)
    if graph.input.dtype != np.float32:
        raise ModelUnusable(f"{path} takes {graph.input.dtype}, not float32 of -1 to 1")
    size = _size(path, graph.input.shape, [answer.shape for answer in graph.run().values()])

    def predict(faces: Image) -> Scores:
        rows = []
        for face in faces:
            graph.input[0, ..., 0] = _standardised(face)
            rows.append(next(iter(graph.run().values()))[0])
        return np.array(rows)

    return Candidate(predict, size, None, len(content))


def _foreign_tfjs(path: Path) -> Candidate:
    # keras takes seconds to import, and most teachers need none of it
    from model.tfjs import read_tfjs

    network = read_tfjs(path)
    size = _size(path, network.input_shape, [network.output_shape])

    def predict(faces: Image) -> Scores:
        scores: Scores = network.predict(_standardised(faces)[..., None], batch_size=64, verbose=0)
        return scores

    return Candidate(predict, size, network.count_params(), path.stat().st_size)


def _size(path: Path, entry: Sequence[int | None], answers: Sequence[Sequence[int | None]]) -> int:
    match tuple(entry), [tuple(answer)[1:] for answer in answers]:
        case (_, int(height), int(width), 1), [(count,)] if height == width and count == len(EMOTIONS):
            return height
    raise ModelUnusable(f"{path} does not turn square grey faces into {len(EMOTIONS)} scores")


def _standardised(faces: Image) -> NDArray[np.float32]:
    standardised: NDArray[np.float32] = faces.astype(np.float32) / 127.5 - 1
    return standardised
