"""The contract as Markdown tables, made from the schemas."""

from collections.abc import Callable, Iterator
from typing import Any

from pipeline.contract import EVENT_MODELS
from pipeline.coverage import Coverage
from pipeline.events import CLASSIFICATION, Classification, Envelope
from pipeline.schemas import STATES, Schema, event_schema, state_schema

HEAD = "| {} | type | says |\n|---|---|---|\n"

COVERAGE_MEANS = {
    Coverage.OK: "a face was read; the only state with emotions",
    Coverage.NO_FACE: "a picture without a face",
    Coverage.FACE_TOO_SMALL: "a face too small to be read",
    Coverage.TOO_DARK: "too little light on the face, or in the picture",
    Coverage.BLURRED: "a face without detail",
    Coverage.CAMERA_OFF: "no picture is sent",
    Coverage.STALLED: "pictures stopped coming, though nobody said so",
    Coverage.NOT_CONSENTED: "the participant did not agree to be read, and is not looked at",
    Coverage.UNSUPPORTED_CODEC: "video that the bot cannot decode",
}

CLASSIFICATION_MEANS: dict[Classification, str] = {
    "sensitive": "says something about one person's emotions, or whether they agreed to be read",
    "personal": "names one person, and says nothing of the kind",
    "aggregate": "is about the class, and names nobody",
    "operational": "is about the bot",
}


def attributes_table() -> str:
    """The attributes that every event has."""
    schema = event_schema("classmood.emotion.sample")
    subject = schema["properties"]["subject"] | {"description": Envelope.model_fields["subject"].description}
    fixed = {
        "type": "one of the types below",
        "data": "object",
        "dataschema": "string",
        "dataclassification": "a [classification](#classification)",
    }
    rows = (_row(name, field, schema, fixed) for name, field in (schema["properties"] | {"subject": subject}).items())
    return HEAD.format("attribute") + "".join(rows)


def types_table() -> str:
    """A heading and a table of fields for each event type."""
    return "\n".join(_event_type(event_type) for event_type in EVENT_MODELS)


def states_table() -> str:
    """A heading and a table for each state that Redis holds, except the bot's, which is the data of its event."""
    return "\n".join(_state(name) for name in STATES if name != "bot")


def coverage_table() -> str:
    """What each coverage means."""
    return "| coverage | means |\n|---|---|\n" + "".join(f"| `{each}` | {COVERAGE_MEANS[each]} |\n" for each in Coverage)


def classification_table() -> str:
    """What each classification means, and which types have it."""
    rows = (f"| `{each}` | {means} | {_types_of(each)} |\n" for each, means in CLASSIFICATION_MEANS.items())
    return "| classification | means | types |\n|---|---|---|\n" + "".join(rows)


def _types_of(classification: Classification) -> str:
    named = (event_type.removeprefix("classmood.") for event_type, each in CLASSIFICATION.items() if each == classification)
    return ", ".join(f"`{each}`" for each in named)


TABLES: dict[str, Callable[[], str]] = {
    "attributes": attributes_table,
    "types": types_table,
    "states": states_table,
    "coverage": coverage_table,
    "classification": classification_table,
}
"""Each table by the name of its place in docs/events.md."""


def _event_type(event_type: str) -> str:
    schema = event_schema(event_type)
    data = schema["$defs"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]
    rows = "".join(_row(name, field, schema, {}) for name, field in data["properties"].items())
    title = f"### [`{event_type}`](schemas/{event_type}.json)"
    return f"{title}\n\n{data['description']} Classification: `{CLASSIFICATION[event_type]}`.\n\n{HEAD.format('field')}{rows}"


def _state(name: str) -> str:
    schema = state_schema(name)
    rows = "".join(
        f"| `{field}` | {_in_words(value, schema)} | {'always' if field in schema['required'] else 'once it is known'} |\n"
        for field, value in schema["properties"].items()
    )
    title = f"### [`…:{name}{':ID' if name == 'participant' else ''}`](schemas/state.{name}.json)"
    return f"{title}\n\n{schema['description']}\n\n| field | text | there |\n|---|---|---|\n{rows}"


def _row(name: str, field: Schema, schema: Schema, fixed: dict[str, str]) -> str:
    says = field.get("description", "").replace("|", "\\|")
    return f"| `{name}` | {fixed.get(name) or _in_words(field, schema)} | {says} |\n"


def _in_words(field: Schema, schema: Schema) -> str:
    if "anyOf" in field:
        return " or ".join(_in_words(each, schema) for each in field["anyOf"])
    if "$ref" in field:
        return _of_definition(field["$ref"].rpartition("/")[2], schema)
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{each}`" for each in field["enum"])
    return "".join(_parts(field, schema))


def _of_definition(name: str, schema: Schema) -> str:
    if name == "Coverage":
        return "a [coverage](#coverage)"
    if name == "Emotion":
        return "an [emotion](#emotions)"
    fields = schema["$defs"][name]["properties"]
    return "{" + ", ".join(f"`{field}`" for field in fields) + "}"


def _parts(field: Schema, schema: Schema) -> Iterator[str]:
    if "contentSchema" in field:
        yield "JSON: " + _in_words(field["contentSchema"], schema)
    elif field.get("pattern", "").startswith("^-?[0-9]+"):
        yield "number" if "." in field["pattern"] else "integer"
    elif "propertyNames" in field:
        keys, values = _in_words(field["propertyNames"], schema), _in_words(field["additionalProperties"], schema)
        yield f"{values} for {keys.replace('a [', 'each [').replace('an [', 'each [')}"
    elif "properties" in field:
        yield _in_words(next(iter(field["properties"].values())), schema) + " for each [emotion](#emotions)"
    else:
        yield str(field["type"]) + _range(field)


def _range(field: dict[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is None:
        return ""
    return f" {_number(low)} to {_number(high)}" if high is not None else f" from {_number(low)}"


def _number(value: float) -> str:
    return f"{value:g}"
