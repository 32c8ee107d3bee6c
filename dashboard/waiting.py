"""Waiting for news, but not forever."""

import asyncio
from contextlib import suppress


async def heard(news: asyncio.Event, seconds: float) -> None:
    """Wait until there is news, but no longer than `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
