"""The format of a report; programs depend on these names, and on their meaning in docs/report.md.

Times within the class are seconds since it began. A figure that was not published, or not by enough people, is null.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from model.faces import Emotion
from pipeline.coverage import Coverage
from pipeline.events import Time

REPORT_VERSION: Literal[1] = 1

STEP_SECONDS: Literal[10] = 10
"""Length of a time step, the same in every report, so that lessons can be compared."""


def _four_places(number: float) -> float:
    return round(number, 4)  # more digits would add no accuracy, and double the file of a lesson


Number = Annotated[float, AfterValidator(_four_places)]
Seconds = Annotated[Number, Field(ge=0)]
Mean = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
Valence = Annotated[Number, Field(ge=-1, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Figures(_Part):
    """The class over a stretch of time, as its published summaries tell."""

    seconds: Seconds = Field(description="length of the stretch")
    told_seconds: Seconds = Field(description="of these, with a summary in force")
    published_seconds: Seconds = Field(description="of these, with shares that were not withheld")
    participants: Mean | None = Field(description="mean number of people in the room")
    seen: Mean | None = Field(description="mean number of people whose face could be read")
    scored: Mean | None = Field(description="mean number of people that the shares cover, while they were published")
    coverage: dict[Coverage, Mean] | None = Field(description="mean number of people by coverage")
    seen_share: Share | None = Field(description="seen seconds by attended seconds, over all people")
    shares: dict[Emotion, Share] | None = Field(description="share of each emotion in the known seconds of all people")
    valence: Valence | None = Field(description="mean valence of these")


class Step(Figures):
    """One time step."""

    at_seconds: Seconds


class Phase(Figures):
    """From one mark of the teacher to the next."""

    label: str = Field(description="label of the mark that it begins with; empty before the first")
    from_seconds: Seconds
    to_seconds: Seconds


class Mark(_Part):
    """A mark of the teacher within the class."""

    label: str
    kind: str
    at_seconds: Seconds


class Difference(_Part):
    """One figure before and after a mark."""

    figure: str = Field(description="`valence`, or the name of an emotion")
    before: Number
    after: Number
    difference: Number
    plus_minus: Number = Field(ge=0, description="half the width of its 95 % interval")
    verdict: Literal["rose", "fell", "not clear"]


class BeforeAfter(_Part):
    """The class before and after a mark of the teacher."""

    label: str
    at_seconds: Seconds
    before_seconds: Seconds = Field(description="length of the stretch before that was compared")
    after_seconds: Seconds
    people_before: Mean | None = Field(description="mean number of people that the shares cover")
    people_after: Mean | None
    differences: tuple[Difference, ...] = Field(description="none where too little was published")


class Declared(_Part):
    """What the operator declared at the start of a run of the bot."""

    epoch: str
    jurisdiction: str
    basis: str
    purpose: str | None
    level: str
    consent: str
    names: bool
    retention_hours: float
    model: str
    version: str


class Run(_Part):
    """One run of the bot, as far as it belongs to the class."""

    epoch: str
    from_seconds: Number
    to_seconds: Number
    events: int
    missing_events: int = Field(description="numbers that are missing in the sequence")
    events_dropped: int = Field(description="events dropped while Redis was away, as the bot says")
    frames_dropped: int
    tracks_failed: int
    looks: int
    ended: bool = Field(description="whether it said that it was stopping")
    models: tuple[str, ...]


class Gap(_Part):
    """A time without a word of the bot."""

    from_seconds: Seconds
    to_seconds: Seconds


class Attention(_Part):
    """Somebody may have needed the teacher."""

    at_seconds: Seconds
    participant: str
    reason: str
    for_seconds: Seconds
    cleared: bool


class Person(_Part):
    """One participant over the class."""

    label: str
    attended_seconds: Seconds
    seen_seconds: Seconds
    known_seconds: Seconds
    changes: int = Field(description="changes of emotion")
    coverage: dict[Coverage, Seconds] = Field(description="seconds by coverage")
    shares: dict[Emotion, Share] | None = Field(description="of the known seconds; null below a minute of these")
    valence: Valence | None


class People(_Part):
    """The participants, and how they are named."""

    shown: Literal["pseudonyms", "names", "none"]
    why: str = Field(description="why none are listed, or what the labels are")
    participants: tuple[Person, ...]


class Certainty(_Part):
    """How far the figures can be trusted."""

    models: tuple[str, ...]
    accuracy: Share | None = Field(description="of the classifier, as its card says; null if the card was not found")
    macro_f1: Share | None
    crowd_agreement: Share | None = Field(description="with what most of the FER+ crowd saw, where most saw one emotion")
    calibration_error: Share | None
    unknown_share: Share | None = Field(
        description="of the seconds in which participants were seen, those too unclear to be named; null in the level `aggregate`"
    )


class Source(_Part):
    """What the report was made of."""

    events: int
    broken: int = Field(description="entries or lines that hold no event")
    repeated: int = Field(description="events that came again, or too late")
    left_out: int = Field(
        description="events that were too many to keep: of further people, calls for attention, absences of the bot"
    )
    clock_set_back: int = Field(description="times that a clock went back by more than a minute")
    # reports made before these fields were added lack them
    from_recording: bool = Field(False, description="whether it was made of a recording, and not of what Redis holds")
    ends_early: bool = Field(
        False, description="whether the recording is cut off or damaged, and what came after that is missing"
    )


class Report(_Part):
    """A report."""

    report_version: Literal[1] = REPORT_VERSION
    step_seconds: Literal[10] = STEP_SECONDS
    room: str
    started_at: Time
    ended_at: Time
    seconds: Seconds
    made_at: Time
    overall: Figures
    steps: tuple[Step, ...]
    marks: tuple[Mark, ...]
    phases: tuple[Phase, ...]
    before_after: tuple[BeforeAfter, ...]
    attention_on: bool = Field(description="whether anybody's attention was raised")
    attention: tuple[Attention, ...]
    people: People
    declared: tuple[Declared, ...]
    runs: tuple[Run, ...]
    gaps: tuple[Gap, ...]
    certainty: Certainty
    source: Source
    notes: tuple[str, ...] = Field(description="what a reader must know about this class, in sentences")
