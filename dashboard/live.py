"""What a browser is sent while it watches a room, as server-sent events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import ClientConnectionResetError, web

from dashboard.hub import RoomHub
from dashboard.hubs import Hubs, TooManyRooms
from dashboard.waiting import heard
from pipeline.keys import RoomNameUnusable

REST_SECONDS = 0.3
"""Pause between two messages, so that what happens meanwhile goes into one."""

SILENCE_SECONDS = 5.0
"""After so long without news, a message is sent anyway: for the clocks, for proxies, and to notice that a reader is gone."""

STUCK_SECONDS = 20.0
"""A browser that takes nothing for so long is disconnected; it comes back by itself."""

MOST_WATCHERS = 200

FOR_TEACHERS = 50
"""How many of these places read-only links cannot take: whoever has a link can open it as often as they like."""


class Live:
    """Streams rooms to at most `most_watchers` browsers at a time."""

    def __init__(self, hubs: Hubs, most_watchers: int = MOST_WATCHERS) -> None:
        self.watchers = 0
        self._hubs = hubs
        self._most_watchers = most_watchers

    async def stream(
        self, request: web.Request, room: str, may_stay: Callable[[], bool], *, kept_free: int = 0, **about: object
    ) -> web.StreamResponse:
        """Send a room's view, and then what changes in it, until the browser goes or `may_stay` no longer holds.

        `about` goes into the first message. Raises HTTPServiceUnavailable if too many watch already, or only the places
        are left that are to be `kept_free`, and HTTPNotFound for a room name that no room can have.
        """
        if self.watchers >= self._most_watchers - kept_free:
            raise web.HTTPServiceUnavailable(text="too many browsers are watching", headers={"Retry-After": "10"})
        self.watchers += 1
        try:
            with self._hubs.watching(room) as hub:
                return await _stream(request, hub, may_stay, about)
        except TooManyRooms as error:
            raise web.HTTPServiceUnavailable(text=str(error), headers={"Retry-After": "10"}) from None
        except RoomNameUnusable as error:
            raise web.HTTPNotFound(text=str(error)) from None
        finally:
            self.watchers -= 1


async def _stream(
    request: web.Request, hub: RoomHub, may_stay: Callable[[], bool], about: dict[str, object]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(request)
    seen = -1
    try:
        await response.write(b"retry: 1000\n\n")
        while may_stay() and not hub.closed:
            news, view = hub.news, hub.view(seen)
            async with asyncio.timeout(STUCK_SECONDS):
                await response.write(_message({**about, **view} if seen < 0 else view))
            seen = view["version"]
            await asyncio.sleep(REST_SECONDS)
            await heard(news, SILENCE_SECONDS)
    except (ClientConnectionResetError, TimeoutError):
        pass  # the browser went away, or takes nothing more
    return response


def _message(view: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(view, separators=(',', ':'))}\n\n".encode()
