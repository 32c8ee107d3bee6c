"""Small classes written by hand: their events as a bot would have published them, for tests of what is computed from them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from model.faces import EMOTIONS, Emotion
from pipeline.coverage import Coverage
from pipeline.events import (
    BasisStated,
    BotStatus,
    CoverageChanged,
    Data,
    EmotionChanged,
    Event,
    Label,
    ParticipantJoined,
    ParticipantLeft,
    Summary,
    rfc3339,
    schema_url,
)
from pipeline.valence import valence

STARTS_MS = 1_767_258_000_000  # 2026-01-01T09:00:00Z

Moment = tuple[float, Data]
"""Seconds since `STARTS_MS`, and the event published then."""


def lines(moments: Iterable[Moment], epoch: str = "1", room: str = "demo", first: int = 1) -> list[bytes]:
    """The events of one run in order of time, one JSON line each."""
    in_order = sorted(moments, key=lambda moment: moment[0])
    return [line(second, data, number, epoch, room) for number, (second, data) in enumerate(in_order, first)]


def line(second: float, data: Data, sequence: int, epoch: str = "1", room: str = "demo") -> bytes:
    """One event as JSON."""
    event: dict[str, Any] = {
        "id": f"{epoch}-{sequence}",
        "source": f"/classmood/rooms/{room}",
        "type": data.type,
        "subject": getattr(data, "participant", None),
        "time": rfc3339(STARTS_MS + round(second * 1000)),
        "sequence": sequence,
        "epoch": epoch,
        "dataschema": schema_url(data.type),
        "dataclassification": data.classification,
        "data": data.model_dump(mode="json"),
    }
    return Event.model_validate(event).to_json().encode()


def status(participants: int, state: Any = "running", dropped: int = 0) -> BotStatus:
    """A heartbeat."""
    return BotStatus(
        state=state,
        participants=participants,
        looks_per_second=0,
        frames_received=0,
        looks=0,
        frames_skipped=0,
        frames_dropped=0,
        events_dropped=dropped,
        tracks_failed=0,
    )


def heartbeats(from_second: float, to_second: float, participants: int) -> list[Moment]:
    """A heartbeat every five seconds."""
    return [(from_second + 5 * number, status(participants)) for number in range(round((to_second - from_second) / 5))]


def comes(second: float, who: str, name: str = "", emotion: Label = Emotion.NEUTRAL) -> list[Moment]:
    """Somebody arrives, and is read at once."""
    return [
        (second, ParticipantJoined(participant=who, name=name or f"Name of {who}", reason="joined")),
        (second, CoverageChanged(participant=who, before=None, after=Coverage.OK)),
        (second, EmotionChanged(participant=who, before=None, after=emotion, since_ms=0)),
    ]


def goes(second: float, who: str, reason: str = "left") -> Moment:
    """Somebody leaves."""
    return second, ParticipantLeft(participant=who, reason=reason)


def turns(second: float, who: str, before: Label, after: Label) -> Moment:
    """Somebody's emotion changes."""
    return second, EmotionChanged(participant=who, before=before, after=after, since_ms=0)


def hides(second: float, who: str, after: Coverage) -> Moment:
    """Somebody can no longer be read."""
    return second, CoverageChanged(participant=who, before=Coverage.OK, after=after)


def summary(second: float, counts: Mapping[Emotion, int], *, unseen: int = 0, withheld: bool = False) -> Moment:
    """A summary of the whole class."""
    people = sum(counts.values())
    shares = {emotion: Counter(counts)[emotion] / people for emotion in EMOTIONS} if not withheld else None
    return second, Summary(
        participants=people + unseen,
        scored=people,
        coverage={Coverage.OK: people, Coverage.NO_FACE: unseen} if unseen else {Coverage.OK: people},
        shares=shares,
        valence=None if shares is None else valence(shares),
        withheld=withheld,
    )


def basis(names: bool = False, level: Any = "individual") -> BasisStated:
    """A declaration."""
    return BasisStated(
        jurisdiction="US",
        basis="consent",
        purpose=None,
        level=level,
        consent="asked",
        names=names,
        retention_hours=24,
        model="tiny@01234567",
        version="0.1.0",
    )


def two_minutes() -> list[Moment]:
    """Six people: after a minute three turn from happy to sad; after a minute and a half two leave, and one turns away."""
    people = [f"p{number}" for number in range(6)]
    return [
        (0, basis()),
        *(each for number, who in enumerate(people) for each in comes(0, who, emotion=_at_first(number))),
        *heartbeats(0, 120, 6),
        summary(0, {Emotion.HAPPY: 3, Emotion.NEUTRAL: 3}),
        *(turns(60, who, Emotion.HAPPY, Emotion.SAD) for who in people[:3]),
        summary(60, {Emotion.SAD: 3, Emotion.NEUTRAL: 3}),
        hides(90, "p3", Coverage.NO_FACE),
        goes(90, "p4"),
        goes(90, "p5"),
        summary(90, {Emotion.SAD: 3}, unseen=1, withheld=True),
        *(goes(120, who, "bot stopped") for who in people[:4]),
        (120, status(0, "stopping")),
    ]


def _at_first(number: int) -> Emotion:
    return Emotion.HAPPY if number < 3 else Emotion.NEUTRAL
