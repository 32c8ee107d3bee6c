"""Checks whether a text is an event that follows the contract, and if not, what is wrong and where."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic_core import from_json

from pipeline.events import (
    CLASSIFICATION,
    DATA_BY_TYPE,
    SCHEMA_VERSION,
    Data,
    EmotionSample,
    Envelope,
    Event,
    Summary,
    schema_url,
)

ROUNDING = 0.01
"""How far rounded figures may be from what they should come to."""

LONGEST_WORD = 80
REMEMBERED_GAPS = 1000

_MEMBER = re.compile(r"<\w+\.\w+: ('\w+')>")
"""How pydantic shows the one member of an enumeration that a field may have."""

_SCHEMA = re.compile(r"urn:classmood:schema:([0-9]{1,9}):.+", re.DOTALL)


class Wrong(StrEnum):
    """The kinds of problems, as machine output names them."""

    NOT_JSON = "not_json"
    SCHEMA = "schema"
    INCONSISTENT = "inconsistent"
    UNKNOWN_TYPE = "unknown_type"
    FUTURE_VERSION = "future_version"
    GAP = "gap"
    DUPLICATE = "duplicate"
    BACKWARDS = "backwards"
    FOREIGN = "foreign"
    STATE = "state"
    CONSENT = "consent"
    ATTENTION = "attention"
    LEVEL = "level"
    PRESENCE = "presence"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: its kind, its JSON path, and why; never the value found there."""

    kind: Wrong
    path: str
    reason: str


class TypedEvent(Envelope):
    """An event whose data is of a type that is known here."""

    data: Data


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found out about one text.

    `event` is None if there is a problem; `epoch` and `sequence` are given for broken events too, if they can be read.
    `unknown_fields` are the JSON paths of fields that this version does not know, which are not a problem.
    """

    event: TypedEvent | None
    type: str
    problems: tuple[Problem, ...] = ()
    unknown_fields: tuple[str, ...] = ()
    epoch: str | None = None
    sequence: int | None = None


def _event_model(event_type: str, data: type[BaseModel]) -> type[TypedEvent]:
    about_one = {"subject": (str, Field(description="the participant's id"))} if "participant" in data.model_fields else {}
    named: dict[str, Any] = {
        "type": (Literal[event_type], _field("type")),
        "dataschema": (Literal[schema_url(event_type)], _field("dataschema")),
        "data": (data, _field("data")),
        # our events always carry these attributes, though CloudEvents makes some of them optional
        "specversion": (Literal["1.0"], Field(description="version of CloudEvents")),
        "datacontenttype": (Literal["application/json"], Field(description="media type of the data")),
        "dataclassification": (Literal[CLASSIFICATION[event_type]], _field("dataclassification")),
        **about_one,
    }
    return create_model(f"{data.__name__}Event", __base__=TypedEvent, __doc__=data.__doc__, **named)


def _field(name: str) -> Any:
    return Event.model_fields[name]


EVENT_MODELS: dict[str, type[TypedEvent]] = {each: _event_model(each, data) for each, data in DATA_BY_TYPE.items()}
"""For each event type, the model of the whole event with its typed data."""


def judge(text: str | bytes) -> Judged:
    """Judge one text of any origin."""
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        return Judged(None, "", (Problem(Wrong.NOT_JSON, "$", str(error)),))
    if not isinstance(value, dict):
        return Judged(None, "", (Problem(Wrong.SCHEMA, "$", "not an object"),))
    named, known = _type(value), _identity(value)
    if problem := _not_of_this_version(value, named):
        return Judged(None, named, (problem,), (), *known)
    model: type[Envelope] = EVENT_MODELS.get(named, Event)  # Event only if the type is missing or not a string, which it refuses
    try:
        event = model.model_validate_json(text, strict=True)
    except ValidationError as error:
        return Judged(None, named, tuple(_problems(error, value)), (), *known)
    assert isinstance(event, TypedEvent)
    problems = tuple(_inconsistencies(event))
    return Judged(None if problems else event, named, problems, tuple(_unknown(event, "$")), *known)


def _type(value: dict[str, Any]) -> str:
    named = value.get("type")
    return named if isinstance(named, str) else ""


def _identity(value: dict[str, Any]) -> tuple[str | None, int | None]:
    epoch, sequence = value.get("epoch"), value.get("sequence")
    readable = isinstance(epoch, str) and type(sequence) is int and sequence > 0
    return (epoch, sequence) if readable else (None, None)


def _not_of_this_version(value: dict[str, Any], named: str) -> Problem | None:
    dataschema = value.get("dataschema")
    found = _SCHEMA.fullmatch(dataschema) if isinstance(dataschema, str) else None
    if found and int(found[1]) > SCHEMA_VERSION:
        reason = f"schema version {int(found[1])} is of the future: version {SCHEMA_VERSION} is the newest known here"
        return Problem(Wrong.FUTURE_VERSION, "$.dataschema", reason)
    if isinstance(value.get("type"), str) and named not in EVENT_MODELS:
        return Problem(Wrong.UNKNOWN_TYPE, "$.type", f"{shown(named)} is no type of schema version {SCHEMA_VERSION}")
    return None


def _problems(error: ValidationError, value: object) -> Iterator[Problem]:
    """One problem for each place; for a union, it joins the reasons of all members."""
    reasons: dict[str, list[str]] = {}
    for each in error.errors(include_input=False, include_url=False):
        reasons.setdefault(_path(each["loc"], value), []).append(_MEMBER.sub(r"\1", each["msg"]))
    for path, said in reasons.items():
        again = [reason.removeprefix("Input should be ") for reason in said[1:]]
        yield Problem(Wrong.SCHEMA, path, " or ".join([said[0], *again]))


def _path(loc: Iterable[str | int], value: Any) -> str:
    """The JSON path of a pydantic location: as far as the value goes, and one step further for a missing field."""
    path = "$"
    for step in loc:
        if isinstance(value, dict) and isinstance(step, str):
            path += _step(step)
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            path += f"[{step}]"
            value = value[step]
        else:  # the name of a union's member
            break
    return path


def _step(name: str) -> str:
    return f".{name}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,79}", name) else f"['{shown(name)}']"


def shown(text: str, longest: int = LONGEST_WORD) -> str:
    """Text of unknown origin, cut to `longest` characters, without any that move a terminal's cursor or reverse its text."""
    clean = "".join(character for character in text if character.isprintable())
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def _inconsistencies(event: TypedEvent) -> Iterator[Problem]:
    data = event.data
    if event.id != f"{event.epoch}-{event.sequence}":
        yield Problem(Wrong.INCONSISTENT, "$.id", "not EPOCH-SEQUENCE")
    if event.subject != getattr(data, "participant", None):
        yield Problem(Wrong.INCONSISTENT, "$.subject", "not the participant of the data")
    if isinstance(data, EmotionSample):
        yield from _inconsistencies_of_sample(data)
    if isinstance(data, Summary):
        yield from _inconsistencies_of_summary(data)


def _inconsistencies_of_sample(sample: EmotionSample) -> Iterator[Problem]:
    if not _is_about(sum(sample.scores.values()), 1):
        yield Problem(Wrong.INCONSISTENT, "$.data.scores", "they do not add up to 1")
    if not _is_about(sample.confidence, max(sample.scores.values())):
        yield Problem(Wrong.INCONSISTENT, "$.data.confidence", "not the score of the strongest emotion")


def _inconsistencies_of_summary(summary: Summary) -> Iterator[Problem]:
    if {summary.shares is None, summary.valence is None} != {summary.withheld}:
        yield Problem(Wrong.INCONSISTENT, "$.data.withheld", "shares and valence are null where, and only where, it is true")
    if summary.shares is not None and not _is_about(sum(summary.shares.values()), 1):
        yield Problem(Wrong.INCONSISTENT, "$.data.shares", "they do not add up to 1")


def _is_about(number: float, other: float) -> bool:
    return abs(number - other) <= ROUNDING


def _unknown(model: BaseModel, path: str) -> Iterator[str]:
    yield from (path + _step(name) for name in model.model_extra or ())
    for name in type(model).model_fields:
        if isinstance(inner := getattr(model, name), BaseModel):
            yield from _unknown(inner, f"{path}.{name}")


class Sequences:
    """Checks that the sequence numbers of each run are consecutive, from the first that is seen."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[int, int]] = {}
        self.missing = 0
        # the newest gaps, to tell an event that comes late from one that is repeated
        self._gaps: deque[tuple[str, int, int]] = deque(maxlen=REMEMBERED_GAPS)

    def check(self, epoch: str, sequence: int) -> Problem | None:
        """Take in the next event of a run; returns what is wrong with its number, if anything."""
        first, last = self.runs.get(epoch, (sequence, sequence - 1))
        self.runs[epoch] = first, max(last, sequence)
        if sequence == last + 1:
            return None
        if sequence > last:
            self.missing += sequence - last - 1
            self._gaps.append((epoch, last + 1, sequence - 1))
            return Problem(Wrong.GAP, "$.sequence", f"{sequence} follows {last}: {sequence - last - 1} missing")
        if sequence < first or any(run == epoch and start <= sequence <= end for run, start, end in self._gaps):
            return Problem(Wrong.BACKWARDS, "$.sequence", f"{sequence} comes after {last}")
        return Problem(Wrong.DUPLICATE, "$.sequence", f"{sequence} comes again, after {last}")
