"""The pages, and answers to what they ask for."""

import html
from collections.abc import Mapping
from importlib.resources import files

from aiohttp import web
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dashboard.access import Access
from dashboard.hubs import Hubs
from dashboard.live import FOR_TEACHERS, Live
from dashboard.options import DashboardOptions
from dashboard.palette import EMOTION_LOOKS, THEMES, UNKNOWN_LOOK, Look, css_variables
from dashboard.presses import Press, Presses
from dashboard.rooms_list import RoomsList
from dashboard.static_files import StaticFiles
from dashboard.words import presentable
from pipeline.events import UNKNOWN
from pipeline.keys import Keys, RoomNameUnusable
from pipeline.markers import MarkRefused
from pipeline.publish import heals, reason

ROOM = "{room:[^/]+}"
"""aiohttp's own pattern for a part of a path leaves out braces."""


class Pages:
    """Answers browsers."""

    def __init__(self, redis: Redis, prefix: str, options: DashboardOptions, access: Access, hubs: Hubs) -> None:
        self._prefix = prefix
        self._options = options
        self._access = access
        self._hubs = hubs
        self._live = Live(hubs)
        self._rooms = RoomsList(redis, prefix)
        self._presses = Presses(redis, options.retention_ms)
        self._static = StaticFiles()
        folder = files("dashboard") / "page"
        self._html = {name: (folder / f"{name}.html").read_text() for name in ("rooms", "room", "login")}

    def routes(self) -> list[web.RouteDef]:
        """All routes of the dashboard."""
        return [
            web.get("/", self.rooms),
            web.get("/rooms.json", self.rooms_as_json),
            web.get(f"/rooms/{ROOM}", self.room),
            web.get(f"/rooms/{ROOM}/live", self.room_live),
            web.get(f"/rooms/{ROOM}/link", self.link),
            web.post(f"/rooms/{ROOM}/markers", self.make_mark),
            web.get(f"/look/{ROOM}/{{token}}", self.look),
            web.get(f"/look/{ROOM}/{{token}}/live", self.look_live),
            web.get("/login", self.login_form),
            web.post("/login", self.log_in),
            web.post("/logout", self.log_out),
            web.get("/static/palette.css", self.palette),
            web.get("/static/{file}", self._static.get),
        ]

    async def rooms(self, request: web.Request) -> web.Response:
        """The page with the list of rooms."""
        return self._page("rooms")

    async def rooms_as_json(self, request: web.Request) -> web.Response:
        """The list of rooms, or why there is none."""
        try:
            return web.json_response({"rooms": await self._rooms.get(), "password": self._access.secrets.asked})
        except RedisError as error:
            trouble = "is away" if heals(error) else "refuses the dashboard"
            raise web.HTTPServiceUnavailable(text=f"Redis {trouble}: {reason(error)}") from None

    async def room(self, request: web.Request) -> web.Response:
        """A room's page, which finds out by itself whether there is such a room."""
        self._keys(request)
        return self._page("room")

    async def room_live(self, request: web.Request) -> web.StreamResponse:
        """A room's stream, for whoever may also make marks."""
        room = self._keys(request).room
        about = {"room": presentable(room), "marks": self._options.marks, "password": self._access.secrets.asked}
        return await self._live.stream(request, room, lambda: self._access.is_known(request), about=about)

    async def link(self, request: web.Request) -> web.Response:
        """The path of the room's read-only link."""
        room = self._keys(request).room
        # from the request's own path, in which the room is encoded already
        encoded = request.rel_url.raw_path.split("/")[2]
        return web.json_response({"path": f"/look/{encoded}/{self._access.secrets.link_token(room)}"})

    async def make_mark(self, request: web.Request) -> web.Response:
        """Mark the moment of a press in the lesson, only once however often the press arrives."""
        keys = self._keys(request)
        press = await _press(request)
        try:
            made = await self._presses.mark(keys, press)
        except MarkRefused as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from None
        except RedisError as error:
            raise web.HTTPServiceUnavailable(text=f"Redis did not accept the mark: {reason(error)}") from None
        self._hubs.hurry(keys.room)
        return web.json_response({"id": made.id, "at_ms": made.at_ms}, status=201)

    async def look(self, request: web.Request) -> web.Response:
        """A room's page for whoever has the read-only link."""
        self._check_link(request)
        return self._page("room")

    async def look_live(self, request: web.Request) -> web.StreamResponse:
        """A room's stream for whoever has the read-only link."""
        room = self._check_link(request)
        about = {"room": presentable(room), "marks": None, "password": False}  # nosec B105
        return await self._live.stream(request, room, lambda: True, kept_free=FOR_TEACHERS, about=about)

    async def login_form(self, request: web.Request) -> web.Response:
        """The form that asks for the password."""
        return self._login(request.query.get("next", "/"))

    async def log_in(self, request: web.Request) -> web.Response:
        """Let in whoever gives the password."""
        form = await _form(request)
        then = str(form.get("next", "/"))
        try:
            return self._access.log_in(request, str(form.get("password", "")), then)
        except (web.HTTPForbidden, web.HTTPTooManyRequests) as refused:
            response = self._login(then, refused.text or "")
            response.set_status(refused.status)
            response.headers.extend({name: refused.headers[name] for name in ("Retry-After",) if name in refused.headers})
            return response

    async def log_out(self, request: web.Request) -> web.Response:
        """Forget that this browser gave the password."""
        return self._access.log_out(request)

    async def palette(self, request: web.Request) -> web.Response:
        """The colours of both themes, and a sign for each emotion, as CSS."""
        light, dark = (f":root {{ {css_variables(theme)} }}" for theme in THEMES)
        looks: dict[str, Look] = {**{emotion.value: look for emotion, look in EMOTION_LOOKS.items()}, UNKNOWN: UNKNOWN_LOOK}
        signs = (
            f'.sign[data-emotion="{name}"]::before {{ content: "{look.sign}"; color: var(--{name}); }}'
            for name, look in looks.items()
        )
        text = "\n".join([light, f"@media (prefers-color-scheme: dark) {{ {dark} }}", *signs, ""])
        return web.Response(text=text, content_type="text/css", headers={"Cache-Control": "no-cache"})

    def _page(self, name: str) -> web.Response:
        return web.Response(text=self._html[name], content_type="text/html")

    def _login(self, then: str, trouble: str = "") -> web.Response:
        page = self._html["login"].replace("{next}", html.escape(then)).replace("{trouble}", html.escape(trouble))
        return web.Response(text=page, content_type="text/html")

    def _keys(self, request: web.Request) -> Keys:
        try:
            return Keys(self._prefix, request.match_info["room"])
        except RoomNameUnusable as error:
            raise web.HTTPNotFound(text=str(error)) from None

    def _check_link(self, request: web.Request) -> str:
        """The room of a read-only link; raises HTTPNotFound if the link is not valid."""
        room = self._keys(request).room
        if not self._access.secrets.is_link(room, request.match_info["token"]):
            raise web.HTTPNotFound(text="this link is not valid, or no longer: ask for a new one")
        return room


async def _form(request: web.Request) -> Mapping[str, object]:
    """The fields of the form in a request; raises HTTPBadRequest if it holds none that can be read."""
    try:
        return await request.post()
    except (ValueError, LookupError):  # not text, no boundary, or an unknown charset
        raise web.HTTPBadRequest(text="the form cannot be read") from None


async def _press(request: web.Request) -> Press:
    """The press in a request to mark; raises HTTPUnsupportedMediaType or HTTPBadRequest if there is none."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send a mark as application/json")
    try:
        return Press.model_validate_json(await request.read())
    except ValidationError:
        raise web.HTTPBadRequest(text='the body is not {"label": "…", "id": "…", "at_ms": …}, of which a label will do') from None
