"""Opening the room that a URL names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote

from bot.errors import SettingsWrong
from bot.rooms import Room
from bot.rooms.janus import PORTS, join_janus
from bot.rooms.local import host
from bot.settings import Settings
from pipeline.keys import check_room_name

LOCAL = "local"


@asynccontextmanager
async def open_room(url: str, settings: Settings) -> AsyncIterator[Room]:
    """Join or host the room that `url` names; raises SettingsWrong or RoomNameUnusable for a bad URL, or RoomRefused."""
    if scheme_of(url) == LOCAL:
        async with host(local_name(url), settings) as local_room:
            yield local_room
    else:
        async with join_janus(url, settings) as janus_room:
            yield janus_room


def scheme_of(url: str, *others: str) -> str:
    """The scheme of a room's URL, in lower case; raises SettingsWrong unless the bot can open it or it is one of `others`."""
    scheme, _, rest = url.partition("://")
    if not scheme or not rest:
        raise SettingsWrong(f"{url} is not a room URL such as local://algebra")
    kinds = (LOCAL, *PORTS, *others)
    if scheme.lower() not in kinds:
        known = ", ".join(f"{kind}://" for kind in kinds)
        raise SettingsWrong(f"{scheme}:// is not a kind of room that classmood knows; known are {known}")
    return scheme.lower()


def local_name(url: str) -> str:
    """The room's name in a local:// URL, which is all that follows; raises SettingsWrong or RoomNameUnusable."""
    written = url.partition("://")[2].strip("/")
    if {"?", "#", "@"} & set(written):  # they would begin a query or a fragment, or end a password
        raise SettingsWrong("a local room is written local://ROOM, where ?, # and @ are %3F, %23 and %40")
    name = unquote(written, errors="surrogateescape")  # bytes that are not UTF-8 are refused below
    check_room_name(name)
    # in a URL's path these are steps, however they are written: https://url.spec.whatwg.org/#single-dot-path-segment
    if name in (".", ".."):
        raise SettingsWrong(f"no URL can lead to a room called {name}: give it another name")
    return name
