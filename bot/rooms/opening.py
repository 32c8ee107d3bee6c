"""From a room's URL to the room."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

from bot.errors import SettingsWrong
from bot.rooms import Room
from bot.rooms.janus import PORTS, join_janus
from bot.rooms.local import host
from bot.settings import Settings


@asynccontextmanager
async def open_room(url: str, settings: Settings) -> AsyncIterator[Room]:
    """Join, or host, the room that `url` names. Raises SettingsWrong for a URL of no known kind, RoomRefused by a room."""
    scheme, name = split_room_url(url)
    if scheme in PORTS:
        async with join_janus(url, settings) as janus_room:
            yield janus_room
    elif scheme == "local":
        async with host(name, settings) as local_room:
            yield local_room
    else:
        raise SettingsWrong(f"{scheme}:// is no kind of room this bot can join; there are local://, janus:// and januss://")


def split_room_url(url: str) -> tuple[str, str]:
    """Scheme and room name of a URL such as local://algebra; raises SettingsWrong if one is missing."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise SettingsWrong(f"{url} is not a room URL: {error}") from None
    name = unquote(parts.netloc + parts.path)
    if not parts.scheme or not name:
        raise SettingsWrong(f"{url} is not a room URL such as local://algebra")
    return parts.scheme, name
