"""The threads that decode for many sources: one for all of them, and more only while one does not keep up.

Every further thread costs time for waking up and for waiting for Python's lock: measured with 100 students on two cores,
one thread takes a tenth of a core less than two, and looks come sooner.
"""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from model.cores import cores

HELP_AFTER_SECONDS = 0.15
"""How long a job may wait before another thread helps."""

EASY_SHARE = 0.6
"""Share of a core, over all threads together, below which one thread is enough."""

WINDOW_SECONDS = 1.0
"""Shortest period over which a thread measures how busy it is."""


class DecoderThread:
    """A thread that does jobs in order until it is told to end.

    `late_seconds` is how long the latest job had waited, or 0 if no other is waiting; `busy_share` is the share of a core that
    the thread used when last measured, at first 1.
    """

    def __init__(self) -> None:
        self.sources = 0
        self.late_seconds = 0.0
        self.busy_share = 1.0
        self._window_began, self._spent_seconds = time.monotonic(), 0.0
        self._jobs: SimpleQueue[tuple[float, Callable[[], object]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="decoder", daemon=True).start()

    def put(self, job: Callable[[], object]) -> None:
        """Have a job done after those that were put before it."""
        self._jobs.put((time.monotonic(), job))

    def end(self) -> None:
        """End after the last job."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (given := self._jobs.get()) is not None:
            put_at, job = given
            began = time.monotonic()
            self.late_seconds = began - put_at
            if began - self._window_began >= WINDOW_SECONDS:
                self._count(began)
            job()
            del given, job  # else they would keep a decoder and its pictures alive until the next job
            if self._jobs.empty():
                self.late_seconds = 0.0

    def _count(self, now_seconds: float) -> None:
        # CPU time only: another thread would not save the time spent waiting for a core or for Python's lock
        spent_seconds = time.thread_time()
        self.busy_share = (spent_seconds - self._spent_seconds) / (now_seconds - self._window_began)
        self._window_began, self._spent_seconds = now_seconds, spent_seconds


_threads: list[DecoderThread] = []
_membership = threading.Lock()


def join_a_thread() -> DecoderThread:
    """The thread for a new source: the one that is least late, and the first among equals."""
    with _membership:
        return _joined(min(_threads, key=lambda each: each.late_seconds, default=None))


def better_thread(current: DecoderThread) -> DecoderThread:
    """The thread on which a source goes on that has no unfinished job on its `current` one.

    While the current one does not keep up, that is another one, new if need be; when one thread is enough again, it is the first.
    """
    if (late_seconds := current.late_seconds) > HELP_AFTER_SECONDS:
        return _helper_of(current, late_seconds)
    first = _threads[0]
    if current is first or first.late_seconds > HELP_AFTER_SECONDS or sum(each.busy_share for each in _threads) >= EASY_SHARE:
        return current
    with _membership:
        return _moved(current, first)


def leave_the_thread(thread: DecoderThread) -> None:
    """Remove a source from its thread; a thread without sources ends after its last job."""
    with _membership:
        _leave(thread)


def _helper_of(late: DecoderThread, late_seconds: float) -> DecoderThread:
    with _membership:
        other = min((each for each in _threads if each is not late), key=lambda each: each.late_seconds, default=None)
        if other is not None and other.late_seconds < late_seconds / 2:
            return _moved(late, other)
        return _moved(late, None) if len(_threads) < cores() else late


def _moved(current: DecoderThread, other: DecoderThread | None) -> DecoderThread:
    joined = _joined(other)
    _leave(current)
    return joined


def _joined(thread: DecoderThread | None) -> DecoderThread:
    if thread is None:
        thread = DecoderThread()
        _threads.append(thread)
    thread.sources += 1
    return thread


def _leave(thread: DecoderThread) -> None:
    thread.sources -= 1
    if not thread.sources:
        _threads.remove(thread)
        thread.end()
