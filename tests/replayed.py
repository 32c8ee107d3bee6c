"""The state of a room as its stream implies it, worked out independently of the code that writes the state."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

from redis.asyncio import Redis

from pipeline.keys import Keys

Hash = dict[str, Any]


class Replayed:
    """Follows a stream from its beginning; `check` makes sure that Redis holds the state that results.

    `texts` are the events as the stream holds them; `gaps` lists what is wrong with the sequence numbers.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.texts: list[str] = []
        self.gaps: list[str] = []
        self.last: Counter[str] = Counter()
        self.people: dict[str, Hash] = {}
        self.summary: Hash = {}
        self.bot: Hash | None = None
        self._redis: Any = redis  # its replies are text, which its type hints do not say
        self._keys, self._after = keys, "-"

    async def check(self) -> None:
        """Read what is new in the stream, and compare the hashes, the sorted set and the bot's status with what it implies."""
        await self._read_on()
        assert self.gaps == []
        keys, redis = self._keys, self._redis
        assert set(await redis.zrange(keys.participants, 0, -1)) >= {who for who, state in self.people.items() if "name" in state}
        for who, expected in self.people.items():
            assert _read(await redis.hgetall(keys.participant(who))) == expected, who
        assert _read(await redis.hgetall(keys.summary)) == self.summary
        assert json.loads(await redis.get(keys.bot) or "null") == self.bot
        for epoch, sequence in self.last.items():
            assert await redis.get(keys.last(epoch)) == str(sequence)

    async def _read_on(self) -> None:
        while page := await self._redis.xrange(self._keys.events, min=self._after, count=1000):
            self._after = f"({page[-1][0]}"
            for _, fields in page:
                self.texts.append(fields["event"])
                self._add(json.loads(fields["event"]))

    def _add(self, event: Hash) -> None:
        self.last[event["epoch"]] += 1
        if event["sequence"] != self.last[event["epoch"]]:
            self.gaps.append(f"{event['sequence']} stands where {self.last[event['epoch']]} should be")
        stamp = {"updated_ms": _ms(event["time"]), "epoch": event["epoch"], "sequence": event["sequence"]}
        kind, data = event["type"].removeprefix("classmood."), event["data"]
        if kind == "summary":
            self.summary = {**data, **stamp}
        elif kind == "bot.status":
            self.bot = None if data["state"] == "stopping" else data
        elif kind != "basis.stated":
            self._add_to_person(kind, data, {"id": event["subject"], **stamp})

    def _add_to_person(self, kind: str, data: Hash, stamp: Hash) -> None:
        person = self.people.setdefault(data["participant"], {})
        if kind == "participant.joined":
            person.clear()
            person["name"] = data["name"]
        elif kind == "coverage.changed":
            person["coverage"] = data["after"]
        elif kind == "emotion.changed":
            person["emotion"] = data["after"]
        elif kind == "emotion.sample":
            person |= {name: value for name, value in data.items() if name not in ("participant", "model")}
        elif kind == "consent.granted":
            person["consent"] = 1
        elif kind == "consent.withdrawn":
            kept = {"name": person["name"]} if "name" in person else {}
            person.clear()
            person |= {**kept, "consent": 0, "coverage": "not_consented"}
        elif kind == "attention.raised":
            since_ms = stamp["updated_ms"] - round(1000 * data["for_seconds"])
            person |= {"attention": data["reason"], "attention_since_ms": since_ms}
        if kind in ("attention.cleared", "participant.left"):
            person.pop("attention", None)
            person.pop("attention_since_ms", None)
        person |= {**stamp, "present": int(kind != "participant.left")}


def _ms(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def _read(fields: dict[str, str]) -> Hash:
    """A hash whose numbers and JSON are decoded; text that only looks like a number stays text."""
    return {name: value if name in ("id", "name", "epoch") else _value(value) for name, value in fields.items()} | (
        {"withheld": fields["withheld"] == "1"} if "withheld" in fields else {}
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
