"""From a room's URL to the room."""

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
    """Join, or host, the room that `url` names; raises SettingsWrong or RoomNameUnusable for a bad URL, RoomRefused by a room."""
    if scheme_of(url) == LOCAL:
        async with host(local_name(url), settings) as local_room:
            yield local_room
    else:
        async with join_janus(url, settings) as janus_room:
            yield janus_room


def scheme_of(url: str, *others: str) -> str:
    """What kind of room a URL names: one that the bot can join, or one of `others`; raises SettingsWrong for any other."""
    scheme, _, rest = url.partition("://")
    if not scheme or not rest:
        raise SettingsWrong(f"{url} is not a room URL such as local://algebra")
    kinds = (LOCAL, *PORTS, *others)
    if scheme.lower() not in kinds:
        known = ", ".join(f"{kind}://" for kind in kinds)
        raise SettingsWrong(f"{scheme}:// is not a kind of room that classmood knows; known are {known}")
    return scheme.lower()


def local_name(url: str) -> str:
    """The name of a local:// room, the whole of what follows; raises SettingsWrong or RoomNameUnusable."""
    written = url.partition("://")[2].strip("/")
    if {"?", "#", "@"} & set(written):  # else a query, a fragment or a password
        raise SettingsWrong("a local room is written local://ROOM, where ?, # and @ are %3F, %23 and %40")
    name = unquote(written, errors="surrogateescape")  # as on the command line: what is no UTF-8 is told below
    check_room_name(name)
    return name
