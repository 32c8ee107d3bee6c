"""Waiting for news, but not for ever."""

import asyncio
from contextlib import suppress


async def heard(news: asyncio.Event, seconds: float) -> None:
    """Wait until there is news, at most so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
