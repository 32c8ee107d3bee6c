"""Running tasks so that none outlives the block that started it."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

logger = logging.getLogger(__name__)

Work = Coroutine[Any, Any, None]


@asynccontextmanager
async def background(*work: Work) -> AsyncIterator[None]:
    """Run all `work` while the block runs; if any of it fails, everything stops, the block too."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each) for each in work]
        yield
        for task in running:
            task.cancel()


@contextmanager
def alone(kind: type[Exception]) -> Iterator[None]:
    """Unwrap an exception group that holds only exceptions of this kind: raise the first of them instead."""
    try:
        yield
    except BaseExceptionGroup as group:
        wanted, others = group.split(kind)
        if wanted is None or others is not None:
            raise
        raise _first(wanted) from None


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def stay(seconds: float | None) -> None:
    """Wait for `seconds`, or forever if that is None; raises CancelledError at once if a library swallowed a cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


async def to_the_end(work: Work) -> None:
    """Finish the work even if cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def in_a_thread(work: Callable[[], None], *, last_seconds: float) -> None:
    """Do work that may block without end in a thread; if cancelled, it gets `last_seconds` to finish before it is abandoned."""
    done = Future[None]()
    done.set_running_or_notify_cancel()  # so that cancelling the caller does not cancel running work

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # it is raised where the work is awaited
            done.set_exception(error)
        else:
            done.set_result(None)

    # a daemon thread of our own, because the process would wait for a pool's threads at its end
    threading.Thread(target=run, daemon=True).start()
    told = asyncio.wrap_future(done)
    try:
        await asyncio.shield(told)
    except asyncio.CancelledError:
        await asyncio.wait([told], timeout=last_seconds)
        told.cancel()  # else the thread might still call a loop that is closed by then
        raise


async def no_task_is_left(tries: int = 6, each_seconds: float = 0.5) -> bool:
    """Cancel all other tasks, repeatedly because a task may swallow a cancellation; returns whether all have ended."""
    for _ in range(tries):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return True
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=each_seconds)
    logger.warning("%d tasks of libraries did not end", len(asyncio.all_tasks()) - 1)
    return False


async def contained(work: Work, participant_id: str, failed: Callable[[], None]) -> None:
    """Do one participant's work; if it fails, that is logged and `failed` is called, and nobody else is affected."""
    try:
        await work
    except Exception as error:  # noqa: BLE001  # whatever one person's media cause must not affect the others
        logger.warning("participant %s is no longer watched: %s", participant_id, type(error).__name__)
        failed()
