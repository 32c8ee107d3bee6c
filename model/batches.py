"""The batches that a network is trained on: shuffled, jittered, with labels softened by the crowd's votes."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from model.dataset import Split, resized
from model.faces import EMOTIONS, Image
from model.jitter import jittered_batch
from model.workers import Workers

Batch = tuple[Image, NDArray[np.float32]]


def soft_labels(split: Split, crowd: float, smoothing: float, trust: float = 0.0) -> NDArray[np.float32]:
    """What the network should answer, (n, 7) float32: the original label, smoothed, mixed with the FER+ votes.

    The labels of FER-2013 are noisy; the ten votes say how noisy each one is. If the split has teachers' answers, they make
    up the share `trust` of the result.
    """
    hard = np.eye(len(EMOTIONS), dtype=np.float32)[split.labels]
    smooth = hard * (1 - smoothing) + smoothing / len(EMOTIONS)
    votes = split.votes_per_emotion()
    total = votes.sum(axis=1, keepdims=True)
    # a picture in which fewer than three of the crowd saw an emotion keeps its original label
    weight = np.where(total >= 3, crowd, 0.0).astype(np.float32)
    labels: NDArray[np.float32] = smooth * (1 - weight) + votes / np.maximum(total, 1) * weight
    return labels if split.taught is None else labels * np.float32(1 - trust) + split.taught * np.float32(trust)


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras is untyped
    """One epoch of faces (b, size, size, 1) uint8 and wanted answers (b, 7), determined by the seed, the epoch and the batch.

    So a training that is resumed after a kill sees the faces that it would have seen, and it does not matter in which
    order Keras asks for batches, or which process makes them. An epoch goes through the faces `passes` times. The answers
    of a `teacher` to the jittered and blended faces make up the share `trust` of the wanted answers.
    """

    def __init__(
        self,
        split: Split,
        wanted: NDArray[np.float32],
        size: int,
        batch_size: int,
        seed: int,
        rarest: float = 0.0,
        jitter: float = 1.0,
        mixup: float = 0.0,
        passes: int = 1,
        teacher: Callable[[Image], NDArray[np.float32]] | None = None,
        trust: float = 0.0,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._pixels = resized(split.pixels, size)
        self._wanted = wanted
        self._batch_size = batch_size
        self._jitter = jitter
        self._mixup = mixup
        self._seed = seed
        self._passes = passes
        self._rows = evened(split.labels, rarest)
        self._helpers: Workers | None = None
        self._teacher = teacher
        self._trust = np.float32(trust)
        self._begun: dict[int, Future[Batch]] = {}
        self.begin(0)

    @contextmanager
    def made_by(self, workers: int) -> Iterator[None]:
        """Have so many processes make the batches while the block runs, ahead of their use; with 0, they are made here."""
        with Workers(workers) if workers else nullcontext() as self._helpers:
            try:
                yield
            finally:
                self._helpers = None

    def begin(self, epoch: int) -> None:
        """Begin an epoch, whose number determines how faces are shuffled and jittered."""
        self._epoch = epoch
        random = np.random.default_rng((self._seed, epoch))
        self._order = np.concatenate([random.permutation(self._rows) for _ in range(self._passes)])
        for batch in self._begun.values():
            batch.cancel()
        self._begun.clear()

    def __len__(self) -> int:
        return len(self._order) // self._batch_size

    def __getitem__(self, index: int) -> Batch:
        faces, wanted = self._made(index)
        if self._teacher is not None:
            wanted = wanted * (1 - self._trust) + self._teacher(faces) * self._trust
        return faces, wanted

    def _made(self, index: int) -> Batch:
        if self._helpers is None:
            return jittered_batch(*self._order_of(index))
        for ahead in range(index, min(index + self._helpers.ahead, len(self))):
            if ahead not in self._begun:
                self._begun[ahead] = self._helpers.begin(jittered_batch, *self._order_of(ahead))
        return self._helpers.result(self._begun.pop(index))

    def _order_of(self, index: int) -> tuple[Any, ...]:
        """The arguments of `jittered_batch` for a batch."""
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._pixels[rows], self._wanted[rows], (self._seed, self._epoch, index), self._jitter, self._mixup


def evened(labels: NDArray[np.int64], rarest: float) -> NDArray[np.int64]:
    """The rows of one epoch: each once, with those of an emotion that is rarer than the share `rarest` repeated up to it."""
    rows = [np.arange(len(labels))]
    for label in np.unique(labels):
        ones = np.flatnonzero(labels == label)
        rows.append(np.resize(ones, max(0, round(rarest * len(labels)) - len(ones))))
    return np.concatenate(rows)


def times_repeated(labels: NDArray[np.int64], rarest: float) -> NDArray[np.float32]:
    """How many times as often each emotion (7,) comes in such an epoch as in the labels."""
    before, after = (np.bincount(each, minlength=len(EMOTIONS)) for each in (labels, labels[evened(labels, rarest)]))
    times: NDArray[np.float32] = (np.maximum(after, 1) / np.maximum(before, 1)).astype(np.float32)
    return times
