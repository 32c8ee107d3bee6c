"""What the bot tells the world: CloudEvents 1.0 whose names subscribers depend on.

Names are API. They change only with a new `SCHEMA_VERSION`.
Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from model.faces import Emotion
from pipeline.coverage import Coverage

SCHEMA_VERSION = 1

UNKNOWN: Literal["unknown"] = "unknown"

Label = Emotion | Literal["unknown"]
"""One of the seven emotions, or `unknown` where the scores do not allow to choose."""

BotState = Literal["starting", "running", "stopping"]

Fraction = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FaceBox(_Frozen):
    """A bounding box as fractions of the picture's width and height; it may reach over the edge."""

    x: float
    y: float
    width: float
    height: float


class ParticipantJoined(_Frozen):
    """Somebody came into the room."""

    type: Literal["classmood.participant.joined"] = Field(default="classmood.participant.joined", exclude=True)
    participant: str
    name: str
    reason: str


class ParticipantLeft(_Frozen):
    """Somebody is gone from the room."""

    type: Literal["classmood.participant.left"] = Field(default="classmood.participant.left", exclude=True)
    participant: str
    reason: str


class EmotionSample(_Frozen):
    """The smoothed emotion of one participant at one moment."""

    type: Literal["classmood.emotion.sample"] = Field(default="classmood.emotion.sample", exclude=True)
    participant: str
    at_ms: int = Field(description="when the frame was received, milliseconds since the epoch")
    emotion: Label
    confidence: Fraction = Field(description="the smoothed score of the strongest emotion")
    scores: dict[Emotion, Fraction] = Field(description="the smoothed scores of all seven; they add up to 1")
    face: FaceBox
    faces: int = Field(ge=1, description="faces in the picture; the largest is taken for the participant's")
    coverage: Coverage
    model: str = Field(description="name and fingerprint of the weights")


class EmotionChanged(_Frozen):
    """A participant's emotion changed, and stayed changed for the minimum dwell."""

    type: Literal["classmood.emotion.changed"] = Field(default="classmood.emotion.changed", exclude=True)
    participant: str
    before: Label | None = Field(description="null for the first")
    after: Label
    since_ms: int = Field(description="when the new emotion first led, milliseconds since the epoch")


class CoverageChanged(_Frozen):
    """A participant began or ceased to be readable."""

    type: Literal["classmood.coverage.changed"] = Field(default="classmood.coverage.changed", exclude=True)
    participant: str
    before: Coverage | None = Field(description="null for the first")
    after: Coverage


class Summary(_Frozen):
    """The class as a whole; shares and valence are null below the smallest group."""

    type: Literal["classmood.summary"] = Field(default="classmood.summary", exclude=True)
    participants: int
    scored: int = Field(description="participants whose emotion is known at present")
    coverage: dict[Coverage, int]
    shares: dict[Emotion, Fraction] | None
    valence: float | None = Field(ge=-1, le=1, description="mean of +1 happy, 0 neutral and surprise, -1 the others")
    withheld: bool


class BotStatus(_Frozen):
    """How the bot itself is doing; published every heartbeat."""

    type: Literal["classmood.bot.status"] = Field(default="classmood.bot.status", exclude=True)
    state: BotState
    participants: int
    looks_per_second: float = Field(ge=0, description="achieved since the last status, over all participants")
    frames_received: int
    looks: int
    frames_skipped: int = Field(description="frames received between two looks")
    frames_dropped: int = Field(description="frames replaced by a newer one before they were looked at")
    events_dropped: int = Field(description="events that fell out of the outbox while Redis was away")
    tracks_failed: int = Field(description="tracks that ended in an unexpected error")


Data = Annotated[
    ParticipantJoined | ParticipantLeft | EmotionSample | EmotionChanged | CoverageChanged | Summary | BotStatus,
    Field(discriminator="type"),
]

_DATA: TypeAdapter[Data] = TypeAdapter(Data)


class Event(_Frozen):
    """The CloudEvents envelope around one piece of data."""

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(description="EPOCH-SEQUENCE")
    source: str = Field(description="/classmood/rooms/ROOM, percent-encoded")
    type: str
    subject: str | None = Field(None, description="the participant's id, where the event is about one")
    time: str = Field(description="RFC 3339, UTC")
    sequence: int = Field(ge=1, description="per bot run, without gaps")
    epoch: str = Field(description="the bot run: its start in milliseconds since the epoch")
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str
    data: dict[str, object]

    def typed(self) -> Data:
        """The data as its own model; raises pydantic.ValidationError if it does not fit its type."""
        return _DATA.validate_python({"type": self.type, **self.data})

    def to_json(self) -> str:
        """One line in the CloudEvents JSON format, which leaves out an attribute that is not set; data keeps its nulls."""
        return self.model_dump_json(exclude={"subject"} if self.subject is None else None)


def schema_url(event_type: str) -> str:
    """Names the schema of an event type; a name to compare, not a page to fetch."""
    return f"urn:classmood:schema:{SCHEMA_VERSION}:{event_type}"


def rfc3339(at_ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339 in UTC, such as 2026-01-31T08:00:00.250Z."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
