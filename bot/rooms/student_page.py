"""The page on which a student joins the local room, and which shows them their own mood."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from urllib.parse import quote

from aiohttp import ClientConnectionResetError, web

from bot.consent import NO_VISITORS, ConsentPolicy
from bot.rooms.ice import ice_servers_as_json
from bot.rooms.roster import Roster
from bot.rooms.tokens import check_token
from bot.settings import Settings
from pipeline.mood import Mood

OVER = b"event: over\ndata: {}\n\n"
"""Tells that the session is at its end: a browser takes a stream that merely ends for one that was interrupted."""

HEARTBEAT_SECONDS = 15.0
"""Silence after which a comment is sent, so that proxies keep the stream open and a vanished reader is noticed."""

MOST_READERS = 3
"""Most simultaneous streams of one student's moods: the page, another one, and one that is being replaced."""

_TYPES = {"index.html": "text/html", "page.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"}


class StudentPage:
    """The page, its settings, and the stream of a student's own mood."""

    def __init__(self, name: str, roster: Roster, settings: Settings, policy: ConsentPolicy) -> None:
        self._name = name
        self._roster = roster
        self._token = settings.room_token
        self._readers: dict[str, list[web.Request]] = defaultdict(list)
        self._configuration = _configuration(name, settings, policy)
        folder = files("bot.rooms") / "page"
        self._files = {file: (folder / file).read_bytes() for file in _TYPES}

    def routes(self) -> list[web.RouteDef]:
        """Routes for the page at `/` and what it requests."""
        return [
            web.get("/", self.page),
            *(web.get(f"/{file}", self.page) for file in _TYPES),
            web.get("/configuration.json", self.configuration),
            web.get("/whip/{room:[^/]+}/{secret}/mood", self.mood, allow_head=False),  # an endless stream has no length to report
        ]

    async def page(self, request: web.Request) -> web.Response:
        """One of the page's files."""
        file = request.path.removeprefix("/") or "index.html"
        headers = {"Cache-Control": "no-cache"}
        return web.Response(body=self._files[file], content_type=_TYPES[file], charset="utf-8", headers=headers)

    async def configuration(self, request: web.Request) -> web.Response:
        """The page's configuration, only for bearers of the token because it may contain TURN credentials."""
        check_token(request, self._token)
        return web.json_response(self._configuration, headers={"Cache-Control": "no-store"})

    async def mood(self, request: web.Request) -> web.StreamResponse:
        """The student's own mood as server-sent events, for whoever knows the session's secret.

        Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
        """
        session = self._roster.find(request.match_info["secret"])
        if session is None or request.match_info["room"] != self._name:
            raise web.HTTPNotFound(text="there is no such session")
        with self._reading(session.secret, request):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            await response.prepare(request)
            try:
                await response.write(b"retry: 1000\n\n")
                async for mood in session.mood.follow(HEARTBEAT_SECONDS):
                    await response.write(_as_event(mood))
                await response.write(OVER)
            except ClientConnectionResetError:
                pass  # the reader is gone
            return response

    @contextmanager
    def _reading(self, secret: str, request: web.Request) -> Iterator[None]:
        """Count a reader of a session's moods while the block runs; raises HTTPTooManyRequests for one too many."""
        readers = self._readers[secret]
        # a reader whose connection is gone does not count, though its stream ends only with the next heartbeat
        if sum(each.transport is not None for each in readers) >= MOST_READERS:
            raise web.HTTPTooManyRequests(text="too many readers of these moods", headers={"Retry-After": "15"})
        readers.append(request)
        try:
            yield
        finally:
            readers.remove(request)
            if not readers:
                self._readers.pop(secret, None)


def _as_event(mood: Mood | None) -> bytes:
    if mood is None:
        return b": still here\n\n"
    data = {"coverage": mood.coverage, "emotion": mood.emotion, "confidence": round(mood.confidence, 3)}
    return f"data: {json.dumps(data)}\n\n".encode()


def _configuration(name: str, settings: Settings, policy: ConsentPolicy) -> dict[str, object]:
    return {
        "room": name,
        "whip": f"/whip/{quote(name, safe='')}",
        "width": settings.page_width,
        "height": settings.page_height,
        "frames_per_second": settings.page_frames_per_second,
        "ice_servers": ice_servers_as_json(settings),
        "unread_because": "" if policy.reads_visitors else NO_VISITORS,
        "published": _published(settings),
    }


def _published(settings: Settings) -> dict[str, object]:
    """What a student must know before they consent: what is published about them, under which name, and for how long."""
    return {
        "level": settings.publication,
        "names": settings.names,
        "retention_hours": settings.retention_hours,
        "withdrawal_erases": settings.withdrawal_erases,
        "record_days": settings.audit_retention_days,
        "attention": settings.attention and settings.publication == "individual",
    }
