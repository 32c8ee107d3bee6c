"""What the bot publishes: CloudEvents 1.0, with names that subscribers depend on.

Names are API: they change only with a new `SCHEMA_VERSION`. Within a version, fields and types may be added, and an event
that is read here keeps fields that are not known.
Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, WithJsonSchema

from model.faces import EMOTIONS, Emotion
from pipeline.coverage import Coverage

SCHEMA_VERSION = 1

UNKNOWN: Literal["unknown"] = "unknown"

Label = Emotion | Literal["unknown"]
"""One of the seven emotions, or `unknown` where the scores do not allow a choice."""

BotState = Literal["starting", "running", "stopping"]

Classification = Literal["sensitive", "personal", "aggregate", "operational"]
"""What an event says about people: one person's feelings or consent, who one is, how the class as a whole is, or nothing."""

Publication = Literal["individual", "aggregate"]

ConsentMode = Literal["asked", "everyone"]

Fraction = Annotated[float, Field(ge=0, le=1)]

Count = Annotated[int, Field(ge=0)]

Seconds = Annotated[float, Field(ge=0)]

EachEmotion = Annotated[
    dict[Emotion, Fraction],
    Field(min_length=len(EMOTIONS)),
    # names all seven keys: from pydantic's own schema, code generators would make a plain dictionary
    WithJsonSchema(
        {
            "type": "object",
            "properties": {emotion.value: {"type": "number", "minimum": 0, "maximum": 1} for emotion in EMOTIONS},
            "required": [emotion.value for emotion in EMOTIONS],
            "additionalProperties": False,
        }
    ),
]
"""A fraction for each of the seven emotions."""

ParticipantId = Annotated[
    str, Field(min_length=1, description="a pseudonym, or the room's id for a person; never the display name")
]


def _checked_time(text: str) -> str:
    datetime.fromisoformat(text)  # a ValueError says which part is out of range
    return text


Time = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
        json_schema_extra={"format": "date-time"},
    ),
    AfterValidator(_checked_time),
]
"""A moment as RFC 3339 in UTC."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


class FaceBox(_Frozen):
    """A bounding box as fractions of the picture's width and height; it may reach over the edge."""

    x: float = Field(description="left edge")
    y: float = Field(description="top edge")
    # the detector finds no face without an area, but rounding may leave nothing of it
    width: float = Field(ge=0)
    height: float = Field(ge=0)


class ParticipantJoined(_Frozen):
    """Somebody came into the room."""

    classification: ClassVar[Classification] = "personal"
    type: Literal["classmood.participant.joined"] = Field(default="classmood.participant.joined", exclude=True)
    participant: ParticipantId
    name: str = Field(description="a pseudonym, or the display name as the person gave it")
    reason: str = Field(description="open text, such as `joined`")


RESTARTED = "bot restarted"
"""The reason given for leaving where a new run finds people left over from the last one: nobody saw them go."""


class ParticipantLeft(_Frozen):
    """Somebody is gone from the room."""

    classification: ClassVar[Classification] = "personal"
    type: Literal["classmood.participant.left"] = Field(default="classmood.participant.left", exclude=True)
    participant: ParticipantId
    reason: str = Field(description="open text, such as `left`, `stalled`, `bot stopped` or `bot restarted`")


class EmotionSample(_Frozen):
    """The smoothed emotion of one participant at one moment."""

    classification: ClassVar[Classification] = "sensitive"
    type: Literal["classmood.emotion.sample"] = Field(default="classmood.emotion.sample", exclude=True)
    participant: ParticipantId
    at_ms: int = Field(description="when the frame was received, milliseconds since the epoch")
    emotion: Label = Field(description="the current emotion; it changes with `emotion.changed`")
    confidence: Fraction = Field(description="the smoothed score of the strongest emotion")
    scores: EachEmotion = Field(description="the smoothed scores of all seven; they add up to 1")
    face: FaceBox = Field(description="where the face is, as fractions of the picture")
    faces: int = Field(ge=1, description="faces in the picture; the largest is assumed to be the participant's")
    coverage: Literal[Coverage.OK] = Field(description="`ok` in every sample")
    model: str = Field(description="name and fingerprint of the weights")


class EmotionChanged(_Frozen):
    """A participant's emotion changed, and stayed changed for the minimum time."""

    classification: ClassVar[Classification] = "sensitive"
    type: Literal["classmood.emotion.changed"] = Field(default="classmood.emotion.changed", exclude=True)
    participant: ParticipantId
    before: Label | None = Field(description="null for the first")
    after: Label = Field(description="the emotion that holds from now on")
    since_ms: int = Field(description="when the new emotion first led, milliseconds since the epoch")


class CoverageChanged(_Frozen):
    """A participant became readable, or stopped being readable."""

    classification: ClassVar[Classification] = "sensitive"  # it tells who did not consent
    type: Literal["classmood.coverage.changed"] = Field(default="classmood.coverage.changed", exclude=True)
    participant: ParticipantId
    before: Coverage | None = Field(description="null for the first")
    after: Coverage = Field(description="why the participant is, or is not, being read from now on")


class ConsentGranted(_Frozen):
    """A participant agreed to be read."""

    classification: ClassVar[Classification] = "sensitive"
    type: Literal["classmood.consent.granted"] = Field(default="classmood.consent.granted", exclude=True)
    participant: ParticipantId
    source: str = Field(description="open text: where it was said, such as `page`, `room`, `settings` or `everyone`")


class ConsentWithdrawn(_Frozen):
    """A participant who had agreed to be read no longer does."""

    classification: ClassVar[Classification] = "sensitive"
    type: Literal["classmood.consent.withdrawn"] = Field(default="classmood.consent.withdrawn", exclude=True)
    participant: ParticipantId
    source: str = Field(description="open text: where it was said, such as `page`, `room` or `settings`")


class AttentionRaised(_Frozen):
    """A participant may need the teacher, compared with their own usual."""

    classification: ClassVar[Classification] = "sensitive"
    type: Literal["classmood.attention.raised"] = Field(default="classmood.attention.raised", exclude=True)
    participant: ParticipantId
    reason: str = Field(description="open text, such as `changed` or `not_visible`")
    for_seconds: Seconds = Field(description="how long the reason had held when attention was raised")


class AttentionCleared(_Frozen):
    """The reason for which a participant may have needed the teacher has ended."""

    classification: ClassVar[Classification] = "sensitive"
    type: Literal["classmood.attention.cleared"] = Field(default="classmood.attention.cleared", exclude=True)
    participant: ParticipantId
    reason: str = Field(description="the reason of the `attention.raised` that this ends")
    for_seconds: Seconds = Field(description="how long the reason held in all")


class BasisStated(_Frozen):
    """What the operator declared, and how this run of the bot is set up; the first event of a run about itself."""

    classification: ClassVar[Classification] = "operational"
    type: Literal["classmood.basis.stated"] = Field(default="classmood.basis.stated", exclude=True)
    jurisdiction: str = Field(description="open text: whose law applies, such as `US`; empty if none was stated")
    basis: str = Field(description="open text: the ground on which people are read, such as `consent`; empty if none was stated")
    purpose: str | None = Field(description="open text: the purpose, where the law asks for one")
    level: Publication = Field(
        description="`individual`: events of each participant and of the class; `aggregate`: of the class only"
    )
    consent: ConsentMode = Field(description="whether participants are `asked`, or `everyone` in the room is read")
    names: bool = Field(description="whether ids and names are the room's own; pseudonyms otherwise")
    attention: bool = Field(default=False, description="whether `attention` events are published about people who may need help")
    retention_hours: float = Field(gt=0, description="age at which events and states are dropped; the audit stream has its own")
    model: str = Field(description="name and fingerprint of the weights")
    version: str = Field(description="version of classmood")


class Summary(_Frozen):
    """The class as a whole; shares and valence are rounded, and null below the smallest group."""

    classification: ClassVar[Classification] = "aggregate"
    type: Literal["classmood.summary"] = Field(default="classmood.summary", exclude=True)
    participants: Count = Field(description="participants in the room")
    scored: Count = Field(
        description="participants that the shares cover, who enter and leave in groups; if withheld, those whose emotion is known"
    )
    coverage: dict[Coverage, Count] = Field(description="participants by coverage; a state that nobody is in may be missing")
    shares: EachEmotion | None = Field(
        description="share of the scored participants with that emotion, in steps of 0.05 that add up to 1"
    )
    valence: float | None = Field(ge=-1, le=1, description="mean of +1 happy, 0 neutral and surprise, -1 the others")
    withheld: bool = Field(description="whether the group is too small to hide anybody, so that shares and valence are null")


class BotStatus(_Frozen):
    """How the bot itself is doing; published every heartbeat."""

    classification: ClassVar[Classification] = "operational"
    type: Literal["classmood.bot.status"] = Field(default="classmood.bot.status", exclude=True)
    state: BotState = Field(description="`stopping` is the last status of a run that ends in an orderly way")
    participants: Count = Field(description="participants in the room")
    looks_per_second: float = Field(ge=0, description="achieved since the last status, over all participants")
    frames_received: Count = Field(description="since the start, as are all counts below")
    looks: Count = Field(description="frames that were looked at")
    frames_skipped: Count = Field(description="frames received between two looks")
    frames_dropped: Count = Field(description="frames replaced by a newer one, or too old, before they were looked at")
    events_dropped: Count = Field(description="events dropped from the outbox while Redis was away")
    tracks_failed: Count = Field(description="tracks that ended in an unexpected error")


OfParticipant = (
    ParticipantJoined
    | ParticipantLeft
    | EmotionSample
    | EmotionChanged
    | CoverageChanged
    | ConsentGranted
    | ConsentWithdrawn
    | AttentionRaised
    | AttentionCleared
)
"""Data about one person."""

Data = Annotated[OfParticipant | BasisStated | Summary | BotStatus, Field(discriminator="type")]

AUDITED = ConsentGranted | ConsentWithdrawn | BasisStated
"""What an operator may have to account for later; it goes into the audit stream too."""

_DATA: TypeAdapter[Data] = TypeAdapter(Data)

_MODELS: tuple[type[Data], ...] = get_args(get_args(Data)[0])

DATA_BY_TYPE: dict[str, type[BaseModel]] = {kind.model_fields["type"].default: kind for kind in _MODELS}
"""The model of each event type's data."""

CLASSIFICATION: dict[str, Classification] = {kind.model_fields["type"].default: kind.classification for kind in _MODELS}
"""What events of each type say about people."""


class Envelope(_Frozen):
    """The CloudEvents attributes around the data."""

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(description="`EPOCH-SEQUENCE`")
    source: str = Field(description="`/classmood/rooms/ROOM`, the room percent-encoded")
    type: str = Field(description="what happened")
    subject: str | None = Field(None, description="the participant's id, where the event is about one")
    time: Time = Field(description="when it was published: RFC 3339, UTC")
    sequence: int = Field(ge=1, description="per bot run, from 1, without gaps")
    epoch: str = Field(min_length=1, description="the bot run: its start in milliseconds since the epoch")
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str = Field(description="`urn:classmood:schema:VERSION:TYPE`; a name to compare, not a page to fetch")
    # absent from events recorded before it was introduced
    dataclassification: Classification | None = Field(None, description="what the event says about people, by its type")

    def to_json(self) -> str:
        """One line of CloudEvents JSON, without attributes that are not set; data keeps its nulls."""
        return self.model_dump_json(exclude={name for name in ("subject", "dataclassification") if getattr(self, name) is None})


class Event(Envelope):
    """An event whose data may be of any type, also of one that is not known here."""

    data: dict[str, object] = Field(description="the content, by type")

    def typed(self) -> Data:
        """The data as its own model; raises pydantic.ValidationError if it does not fit its type."""
        return _DATA.validate_python({**self.data, "type": self.type})


def schema_url(event_type: str) -> str:
    """The name of an event type's schema: to compare, not to fetch."""
    return f"urn:classmood:schema:{SCHEMA_VERSION}:{event_type}"


def rfc3339(at_ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339 in UTC, such as 2026-01-31T08:00:00.250Z."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
