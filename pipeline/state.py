"""The latest state of a room in Redis: what each event changes in it, and the models that read it back.

Like the events, the fields of the hashes are API.
"""

import json
from dataclasses import dataclass

from pydantic import Json, TypeAdapter

from model.faces import Emotion
from pipeline.coverage import Coverage
from pipeline.events import (
    AttentionCleared,
    AttentionRaised,
    BasisStated,
    BotStatus,
    ConsentGranted,
    ConsentWithdrawn,
    CoverageChanged,
    Data,
    EmotionChanged,
    EmotionSample,
    Event,
    FaceBox,
    Fraction,
    Label,
    OfParticipant,
    ParticipantJoined,
    ParticipantLeft,
    Summary,
)
from pipeline.keys import Keys

Command = tuple[str | int | float, ...]
"""A Redis command: its name, its key, its arguments."""

Fields = dict[str, str | int | float]

AUDIT_DAYS = 90
"""Default age at which the audit stream's entries are dropped."""

_OF_ATTENTION = ("attention", "attention_since_ms")
_OF_READING = ("coverage", "emotion", "confidence", "scores", "face", "faces", "at_ms", *_OF_ATTENTION)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long Redis keeps what it is told."""

    retention_ms: int
    status_ttl_ms: int
    audit_ms: int = AUDIT_DAYS * 86_400_000


@dataclass(frozen=True, slots=True)
class ParticipantState:
    """A participant's hash.

    `emotion` to `faces` are of the latest sample or change, and speak of the present only while `coverage` is `ok`.
    `present` and `consent` are 1 or 0, `scores` and `face` are JSON; `at_ms` is the look that gave the latest sample;
    `attention` is the reason why the participant may need the teacher at present, and since when. `updated_ms`, `epoch`
    and `sequence` are of the event that changed the hash last. A field that has no value, or none any more, is missing.
    """

    id: str
    present: bool
    updated_ms: int
    epoch: str
    sequence: int
    name: str = ""
    coverage: Coverage | None = None
    emotion: Label | None = None
    confidence: Fraction | None = None
    scores: Json[dict[Emotion, Fraction]] | None = None
    face: Json[FaceBox] | None = None
    faces: int | None = None
    at_ms: int | None = None
    consent: bool | None = None
    attention: str | None = None
    attention_since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SummaryState:
    """The hash of the class summary: `coverage`, `shares` and `valence` are JSON, `withheld` is 1 or 0."""

    participants: int
    scored: int
    coverage: Json[dict[Coverage, int]]
    shares: Json[dict[Emotion, Fraction] | None]
    valence: Json[float | None]
    withheld: bool
    updated_ms: int
    epoch: str
    sequence: int


PARTICIPANT: TypeAdapter[ParticipantState] = TypeAdapter(ParticipantState)
SUMMARY: TypeAdapter[SummaryState] = TypeAdapter(SummaryState)


def changes(event: Event, data: Data, at_ms: int, keys: Keys, lifetimes: Lifetimes) -> list[Command]:
    """The commands that bring a room's state up to date with an event published at `at_ms`."""
    if isinstance(data, BotStatus) and data.state == "stopping":
        return [("DEL", keys.bot)]  # absent means gone
    if isinstance(data, BotStatus):
        return [("SET", keys.bot, data.model_dump_json(), "PX", lifetimes.status_ttl_ms)]
    if isinstance(data, BasisStated):
        return []  # the audit stream holds it
    stamp: Fields = {"updated_ms": at_ms, "epoch": event.epoch, "sequence": event.sequence}
    if isinstance(data, Summary):
        return _hash(keys.summary, {**_of_summary(data), **stamp}, lifetimes)
    key = keys.participant(data.participant)
    commands = [*_outdated(key, data), *_hash(key, {"id": data.participant, **_of_participant(data, at_ms), **stamp}, lifetimes)]
    if not isinstance(data, ParticipantLeft):
        seen_ms = data.at_ms if isinstance(data, EmotionSample) else at_ms
        commands.append(("ZADD", keys.participants, "GT", seen_ms, data.participant))
    return commands


def raised_since_ms(raised: AttentionRaised, at_ms: int) -> int:
    """When the reason for attention raised at `at_ms` began, in milliseconds since the epoch; never before the epoch."""
    return at_ms - round(min(raised.for_seconds * 1000, at_ms))


def housekeeping(bot_ms: int, redis_ms: int, keys: Keys, lifetimes: Lifetimes) -> list[Command]:
    """The commands that remove what has outlived the retention.

    Each age is measured by the clock that set the time: Redis made the ids in the stream, the bot says who was seen when,
    and the two clocks need not agree. `redis_ms` comes from the previous transaction, and is 0 if there was none.
    """
    kept_ms = lifetimes.retention_ms
    return [
        ("XTRIM", keys.events, "MINID", "=", max(0, redis_ms - kept_ms)),
        ("XTRIM", keys.audit, "MINID", "=", max(0, redis_ms - lifetimes.audit_ms)),
        ("XTRIM", keys.markers, "MINID", "=", max(0, redis_ms - kept_ms)),
        ("ZREMRANGEBYSCORE", keys.participants, "-inf", f"({bot_ms - kept_ms}"),
        ("ZREMRANGEBYSCORE", keys.participants, f"({bot_ms + kept_ms}", "+inf"),  # from an earlier run whose clock was ahead
    ]


def expiries(keys: Keys, lifetimes: Lifetimes) -> list[Command]:
    """The commands that make a silent room's keys expire; they must follow those that create the keys."""
    return [
        ("PEXPIRE", keys.events, lifetimes.retention_ms),
        ("PEXPIRE", keys.audit, lifetimes.audit_ms),
        ("PEXPIRE", keys.participants, lifetimes.retention_ms),
    ]


def _hash(key: str, fields: Fields, lifetimes: Lifetimes) -> list[Command]:
    pairs = [part for pair in fields.items() for part in pair]
    return [("HSET", key, *pairs), ("PEXPIRE", key, lifetimes.retention_ms)]


def _outdated(key: str, data: OfParticipant) -> list[Command]:
    """The commands that remove what no longer holds."""
    match data:
        case ParticipantJoined():
            return [("DEL", key)]  # whoever comes back starts without the emotions of last time
        case ConsentWithdrawn():
            return [("HDEL", key, *_OF_READING)]
        case AttentionCleared() | ParticipantLeft():
            return [("HDEL", key, *_OF_ATTENTION)]
        case _:
            return []


def _of_participant(data: OfParticipant, at_ms: int) -> Fields:
    match data:
        case ParticipantJoined():
            return {"name": data.name, "present": 1}
        case ParticipantLeft():
            return {"present": 0}
        case EmotionChanged():
            return {"present": 1, "emotion": data.after}
        case CoverageChanged():
            return {"present": 1, "coverage": data.after}
        case ConsentGranted():
            return {"present": 1, "consent": 1}
        case ConsentWithdrawn():
            return {"present": 1, "consent": 0, "coverage": Coverage.NOT_CONSENTED}
        case AttentionRaised():
            return {"present": 1, "attention": data.reason, "attention_since_ms": raised_since_ms(data, at_ms)}
        case AttentionCleared():
            return {"present": 1}
        case EmotionSample():
            return {"present": 1, **_of_sample(data)}


def _of_sample(sample: EmotionSample) -> Fields:
    return {
        "coverage": sample.coverage,
        "emotion": sample.emotion,
        "confidence": sample.confidence,
        "scores": json.dumps(sample.scores),
        "face": sample.face.model_dump_json(),
        "faces": sample.faces,
        "at_ms": sample.at_ms,
    }


def _of_summary(summary: Summary) -> Fields:
    return {
        "participants": summary.participants,
        "scored": summary.scored,
        "coverage": json.dumps(summary.coverage),
        "shares": json.dumps(summary.shares),
        "valence": json.dumps(summary.valence),
        "withheld": int(summary.withheld),
    }
