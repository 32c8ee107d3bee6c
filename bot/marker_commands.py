"""The command `mark`, which marks a moment of the lesson."""

import argparse
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from datetime import time as time_of_day
from typing import Any

from redis.exceptions import RedisError

from bot.errors import RedisRefused, SettingsWrong
from bot.redis_client import connect
from bot.settings import Settings
from pipeline.cancellation import cancellable
from pipeline.contract import shown
from pipeline.keys import Keys
from pipeline.markers import Marker, MarkRefused, has_events, mark
from pipeline.publish import reason

_TIME_OF_DAY = re.compile(r"\d\d:\d\d(:\d\d)?")


def add_mark_command(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `mark` to the parser's commands."""
    parser = command(commands, "mark", _mark, "mark a moment of the lesson, such as the beginning of an exercise")
    parser.add_argument("room", metavar="ROOM")
    parser.add_argument("label", metavar="LABEL", help="what begins, 1 to 60 characters")
    parser.add_argument(
        "--at", type=moment, metavar="TIME", help="a moment other than now: 2026-01-31T09:15:00Z, 09:15, or 90s (ago)"
    )
    parser.add_argument("--kind", default="", metavar="TEXT", help="free text for programs that read the mark")
    parser.add_argument("--json", action="store_true", help="print the mark as one JSON object")


async def _mark(arguments: argparse.Namespace, settings: Settings) -> None:
    marker = await make_mark(settings, arguments.room, arguments.label, arguments.at, arguments.kind)
    if arguments.json:
        print(marker.model_dump_json(), flush=True)
    else:
        from bot.cli import say

        say(f"marked at {datetime.fromtimestamp(marker.at_ms / 1000).astimezone().isoformat(timespec='seconds')}")


async def make_mark(settings: Settings, room: str, label: str, at_ms: int | None = None, kind: str = "") -> Marker:
    """Mark a moment in a room, and say so if the room has no events yet.

    Raises SettingsWrong for a mark out of bounds, and RedisRefused if Redis refuses or is away.
    """
    keys, retention_ms = Keys(settings.key_prefix, room), round(settings.retention_hours * 3_600_000)
    async with connect(settings) as redis:
        try:
            is_known = await cancellable(has_events(redis, keys))
            marker = await cancellable(mark(redis, keys, label, at_ms, kind=kind, retention_ms=retention_ms))
        except MarkRefused as error:
            raise SettingsWrong(str(error)) from None
        except RedisError as error:
            raise RedisRefused(f"not marked: {reason(error)}") from None
    if not is_known:
        from bot.cli import say

        say(f"room {shown(room)} has no events yet: is that its name?")
    return marker


def end(text: str) -> int:
    """The end of a period: like `moment`, except that a time of day is taken as today's and may be still to come."""
    return moment(f"{datetime.now():%Y-%m-%d}T{text}" if _TIME_OF_DAY.fullmatch(text) else text)


def moment(text: str) -> int:
    """A moment as a person writes it, in milliseconds since the epoch.

    Accepts a date and time as in RFC 3339, taken as local time without an offset; a time of day such as 09:15, taken as the last
    time that the clock showed it; or how long ago it was, such as 90s or 5m. Raises argparse.ArgumentTypeError for anything else.
    """
    if ago := re.fullmatch(r"-?(\d{1,6})([smh])", text):
        return round(time.time() * 1000) - int(ago[1]) * {"s": 1000, "m": 60_000, "h": 3_600_000}[ago[2]]
    try:
        if _TIME_OF_DAY.fullmatch(text):
            return last_time(text, datetime.now())
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment such as 2026-01-31T09:15:00Z, 09:15 or 90s (ago)") from None


def last_time(text: str, now: datetime) -> int:
    """When the clock last showed this time of day, in milliseconds since the epoch: a class may go on past midnight."""
    then = datetime.combine(now.date(), time_of_day.fromisoformat(text))
    return round((then if then <= now else then - timedelta(days=1)).timestamp() * 1000)
