"""Tasks with an owner: none outlives the block that started it."""

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
    """Run `work` while the block runs. If one of them fails, all of it stops."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each) for each in work]
        yield
        for task in running:
            task.cancel()


@contextmanager
def alone(kind: type[Exception]) -> Iterator[None]:
    """Raise an exception of that kind as itself where a task group wrapped it, and nothing else, in a group."""
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
    """Wait that long, or for ever; a cancellation that some library lost before ends it at once."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


async def to_the_end(work: Work) -> None:
    """Finish the work also if cancelled meanwhile; the cancellation comes out afterwards."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def in_a_thread(work: Callable[[], None], *, last_seconds: float) -> None:
    """Do what may wait without end; if cancelled meanwhile, it has so long to finish before it is left behind."""
    done = Future[None]()
    done.set_running_or_notify_cancel()  # what runs is not cancelled with whoever waits for it

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # it is raised where the work is awaited
            done.set_exception(error)
        else:
            done.set_result(None)

    # a pool's threads are waited for at the end of the process
    threading.Thread(target=run, daemon=True).start()
    told = asyncio.wrap_future(done)
    try:
        await asyncio.shield(told)
    except asyncio.CancelledError:
        await asyncio.wait([told], timeout=last_seconds)
        told.cancel()  # or the thread would still tell a loop that is closed by then
        raise


async def no_task_is_left(tries: int = 6, each_seconds: float = 0.5) -> bool:
    """Cancel whatever still runs, again and again, since a task may lose a cancellation; whether all has ended."""
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
    """Do one participant's work; if it fails, only they are lost, and that is counted."""
    try:
        await work
    except Exception as error:  # noqa: BLE001  # whatever a stranger's media provokes must not cost the others theirs
        logger.warning("participant %s is no longer watched: %s", participant_id, type(error).__name__)
        failed()
