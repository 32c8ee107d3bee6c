"""The command `forget`, which erases what Redis holds about a participant."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from redis.exceptions import RedisError

from bot.errors import NothingHappened, RedisRefused
from bot.redis_client import connect
from bot.settings import Settings
from pipeline.cancellation import cancellable
from pipeline.forget import Forgotten, forget
from pipeline.keys import Keys
from pipeline.publish import reason


def add_forget_command(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `forget` to the parser's commands."""
    parser = command(commands, "forget", _forget, "erase everything that Redis holds about one participant")
    parser.add_argument("room", metavar="ROOM")
    parser.add_argument("participant", metavar="PARTICIPANT", help="their id, as events name it in `subject`")
    parser.add_argument("--keep-consent", action="store_true", help="keep the audit stream's record of their consent")
    parser.add_argument("--summaries", action="store_true", help="also erase the class summaries, see docs/redis.md")
    parser.add_argument("--json", action="store_true", help="print what was erased as one JSON object")


async def _forget(arguments: argparse.Namespace, settings: Settings) -> None:
    which = {"keep_consent": arguments.keep_consent, "summaries": arguments.summaries}
    forgotten = await forget_participant(settings, arguments.room, arguments.participant, **which)
    print(json.dumps(asdict(forgotten)) if arguments.json else in_words(forgotten), flush=True)
    if not forgotten.anything:
        raise NothingHappened("Redis holds nothing about this participant")


async def forget_participant(settings: Settings, room: str, participant_id: str, **which: bool) -> Forgotten:
    """Erase a participant from a room, as pipeline's `forget` does; raises RedisRefused if Redis refuses or is away."""
    keys = Keys(settings.key_prefix, room)
    async with connect(settings) as redis:
        try:
            return await cancellable(forget(redis, keys, participant_id, **which))
        except RedisError as error:
            raise RedisRefused(f"not everything was erased, run it again: {reason(error)}") from None


def in_words(forgotten: Forgotten) -> str:
    """What was erased, in counts and without names."""
    state = "their state" if forgotten.states or forgotten.ranks else "no state"
    line = f"erased {state} and {forgotten.entries} of {forgotten.scanned} stream entries"
    if forgotten.audit:
        line += f", and {forgotten.audit} of the audit stream"
    if forgotten.summaries:
        line += f", and {forgotten.summaries} summaries of the class"
    if forgotten.is_present:
        line += "\nthey are still in the room: what the bot publishes from now on stays, until this is run again after they left"
    return line
