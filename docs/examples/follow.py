"""A room's present state, then every change; python follow.py ROOM [redis://…]"""

import asyncio
import sys

from redis.asyncio import Redis

from pipeline.events import EmotionChanged
from pipeline.follow import Change, Missed, RoomState, follow


async def main(room: str, url: str = "redis://127.0.0.1:6379/0") -> None:
    async for item in follow(Redis.from_url(url), room):
        match item:
            case RoomState():
                print(len(item.present), "present", flush=True)
            case Change(data=EmotionChanged(participant=who, after=emotion)):
                print(who, emotion, flush=True)
            case Missed():
                print("missed:", item.first, "to", item.last, flush=True)


asyncio.run(main(*sys.argv[1:]))
