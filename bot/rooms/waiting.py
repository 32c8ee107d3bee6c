"""Waiting for an event with a time limit."""

import asyncio


async def in_time(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event; returns whether it was set within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
