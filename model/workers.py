"""Worker processes that make the batches: one core cannot jitter faces as fast as a GPU learns from them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

import cv2

from model.errors import ModelUnusable

T = TypeVar("T")

AHEAD_PER_WORKER = 2
"""Batches that each worker may have begun or finished before they are needed."""


class Workers:
    """`count` processes, which end with their `with` block, or with the process that started them.

    If one of them is killed, the `with` block ends in ModelUnusable, whatever the backend made of the error.
    """

    def __init__(self, count: int) -> None:
        self.ahead = AHEAD_PER_WORKER * count
        # a fork would copy locks that the backend's threads hold at that moment
        started = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, mp_context=started, initializer=_as_one_of_several)
        self._one_was_killed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._one_was_killed:
            raise ModelUnusable("a process that makes batches was killed: is there memory for fewer --workers?") from error

    def begin(self, work: Callable[..., T], *arguments: object) -> "Future[T]":
        """Have one of them do some work; raises BrokenExecutor if one was killed."""
        with self._noticing():
            return self._pool.submit(work, *arguments)

    def result(self, begun: "Future[T]") -> T:
        """The result of that work; raises BrokenExecutor if one of them was killed meanwhile."""
        with self._noticing():
            return begun.result()

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except BrokenExecutor:
            self._one_was_killed = True
            raise


def _as_one_of_several() -> None:
    """Use only one core, since the others use theirs, and end with the process that started this one."""
    cv2.setNumThreads(1)
    _end_with_the_first()


def _end_with_the_first() -> None:
    """Leave Ctrl-C to the process that started this one, and end when it does, for whatever reason."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    first = multiprocessing.parent_process()
    assert first is not None, "this is called in a process that another one began"

    def wait() -> None:
        first.join()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
