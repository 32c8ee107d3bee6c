"""The files of the pages, and the chart library from its Python package: nothing comes from another host."""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

from dashboard.options import DashboardRefused

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
CHARTS = "plotly.min.js"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent; `zipped` if that is worth it."""

    body: bytes
    content_type: str
    etag: str
    zipped: bytes | None = None


class StaticFiles:
    """The files under `/static/`, read once; the large one is compressed when it is first asked for."""

    def __init__(self) -> None:
        folder = files("dashboard") / "page"
        self._files = {
            entry.name: _file(entry.name, entry.read_bytes()) for entry in folder.iterdir() if Path(entry.name).suffix in _TYPES
        }
        self._charts_path = charts_path()
        self._reading = asyncio.Lock()

    async def get(self, request: web.Request) -> web.Response:
        """One file, or 304 if the browser's own copy is still good (RFC 9110, section 13)."""
        name = request.match_info["file"]
        if name == CHARTS and name not in self._files:
            async with self._reading:
                if name not in self._files:
                    self._files[name] = await asyncio.to_thread(_zipped, self._charts_path)
        found = self._files.get(name)
        if found is None:
            raise web.HTTPNotFound(text="there is no such file")
        return _answer(request, found)


def charts_path() -> Path:
    """Where the installed chart library lies; raises DashboardRefused if it is not installed."""
    # found, not imported: its Python half is of no use here
    found = find_spec("plotly")
    path = Path(found.origin or "").parent / "package_data" / CHARTS if found else None
    if path is None or not path.exists():
        raise DashboardRefused("the charts are not installed: pip install '.[dashboard]' in a checkout")
    return path


def _answer(request: web.Request, file: StaticFile) -> web.Response:
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("If-None-Match") == file.etag:
        return web.Response(status=304, headers=headers)
    if file.zipped and "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return web.Response(body=file.zipped, content_type=file.content_type, charset="utf-8", headers=headers)
    return web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)


def _file(name: str, body: bytes, zipped: bytes | None = None) -> StaticFile:
    return StaticFile(body, _TYPES[Path(name).suffix], f'"{hashlib.sha256(body).hexdigest()[:20]}"', zipped)


def _zipped(path: Path) -> StaticFile:
    body = path.read_bytes()
    return _file(path.name, body, gzip.compress(body, 6, mtime=0))
