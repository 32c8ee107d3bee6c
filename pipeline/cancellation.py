"""A cancellation that is not lost on the way."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


async def cancellable(step: Awaitable[Result]) -> Result:
    """The result of `step`, or CancelledError if the task was cancelled meanwhile, even if `step` did not pass it on.

    redis-py sends through asyncio.wait_for, which before Python 3.12 loses a cancellation that arrives in the same
    iteration of the event loop as the result; a loop around it would then run forever.
    Source: https://bugs.python.org/issue37658
    """
    task = asyncio.current_task()
    assert task is not None
    asked_before = task.cancelling()
    try:
        return await step
    finally:
        if task.cancelling() > asked_before:
            raise asyncio.CancelledError
