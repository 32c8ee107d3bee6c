"""The contract as documents: a JSON Schema for each event type and each state, and an AsyncAPI document of the whole.

All of them are generated from the models that write and read the events.
Sources: https://json-schema.org/draft/2020-12, https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from pipeline.contract import EVENT_MODELS
from pipeline.events import AUDITED, DATA_BY_TYPE, SCHEMA_VERSION, BotStatus, schema_url
from pipeline.state import PARTICIPANT, SUMMARY

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

WHOLE_NUMBER = {"type": "string", "pattern": "^-?[0-9]+$"}
NUMBER = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$"}
YES_OR_NO = {"type": "string", "enum": ["0", "1"]}

STATES: dict[str, tuple[str, str]] = {
    "participant": ("ParticipantState", "The latest state of one participant, as HGETALL gives it."),
    "summary": ("SummaryState", "The latest class summary, as HGETALL gives it."),
    "bot": ("BotStatus", "The bot's latest status, as GET gives it."),
}
"""Each state that Redis holds: its key's last word, the name of its schema, and what it is."""


def documents() -> dict[str, str]:
    """The text of every generated document, by its path under the folder of documents."""
    schemas = {f"schemas/{event_type}.json": event_schema(event_type) for event_type in EVENT_MODELS}
    states = {f"schemas/state.{name}.json": state_schema(name) for name in STATES}
    return {path: as_text(value) for path, value in {**schemas, **states, "asyncapi.json": asyncapi()}.items()}


def as_text(value: object) -> str:
    """The text of a committed file that holds the value as JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def event_schema(event_type: str) -> Schema:
    """The JSON Schema of a whole event; its `$id` is the event's `dataschema`."""
    schema = EVENT_MODELS[event_type].model_json_schema(mode="serialization")
    return {"$schema": DIALECT, "$id": schema_url(event_type), **_tidy(schema)}


def state_schema(name: str) -> Schema:
    """The JSON Schema of one of `STATES`: of the hash's fields and values as strings, or of the JSON in the string."""
    title, description = STATES[name]
    schema = _state_schemas("#/$defs/{model}")[name]
    return {"$schema": DIALECT, "$id": schema_url(f"state.{name}"), **schema, "title": title, "description": description}


def _state_schemas(ref_template: str) -> dict[str, Schema]:
    # a hash is described as it is read: in validation mode, JSON within a field is a string with a schema of its own
    return {
        "participant": _as_strings(PARTICIPANT.json_schema(ref_template=ref_template)),
        "summary": _as_strings(SUMMARY.json_schema(ref_template=ref_template)),
        "bot": _tidy(TypeAdapter(BotStatus).json_schema(mode="serialization", ref_template=ref_template)),
    }


def _as_strings(schema: Schema) -> Schema:
    """The schema of a hash whose fields are described by their parsed values; a field without a value is missing."""
    fields = {name: _as_string(field) for name, field in _tidy(schema)["properties"].items()}
    return {**_tidy(schema), "properties": fields, "additionalProperties": True}


def _as_string(field: Schema) -> Schema:
    members = [member for member in field.get("anyOf", [field]) if member.get("type") != "null"]
    kept = [_as_string_member(member) for member in members]
    return kept[0] if len(kept) == 1 else {"anyOf": kept}


def _as_string_member(member: Schema) -> Schema:
    kinds: dict[str, Schema] = {"integer": WHOLE_NUMBER, "number": NUMBER, "boolean": YES_OR_NO}
    return kinds.get(member.get("type", ""), {key: value for key, value in member.items() if key != "default"})


def _tidy(schema: Any) -> Any:
    """A schema without the titles that pydantic makes of field names, and without defaults, which nobody fills in."""
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _tidy(value) for name, value in schema.items() if name != "default"}
    for field in kept.get("properties", {}).values():
        field.pop("title", None)
    return kept


def asyncapi() -> Schema:
    """The AsyncAPI document: what the bot sends where."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "classmood",
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": "The mood of an online class, as CloudEvents in Redis. Subscribers ignore fields, attributes and"
            " types that they do not know; names change only with a new schema version.",
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "redis": {"host": "127.0.0.1:6379", "protocol": "redis", "description": "Redis 6.2 or later, or Valkey 8"},
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": dict(_messages()), "schemas": _component_schemas()},
    }


ADDRESS = "{prefix}:{tag}:"

PARAMETERS = {
    "prefix": {"description": "first part of every key", "default": "classmood"},
    "tag": {
        "description": "the room's name between braces, in which `%`, braces, blanks and control characters are percent-encoded",
        "examples": ["{algebra}", "{maths%207b}"],
    },
}

_AUDITED = [event_type for event_type, data in DATA_BY_TYPE.items() if issubclass(data, AUDITED)]
_OF_STREAM: Schema = {"type": "stream", "field": "event", "read": "XRANGE, XREAD, XREADGROUP"}

EVENT_CHANNELS: dict[str, tuple[str, list[str], Schema]] = {
    "live": ("Every event as it happens", [*EVENT_MODELS], {"type": "pub/sub channel", "read": "SUBSCRIBE"}),
    "events": ("Every event within the retention", [*EVENT_MODELS], _OF_STREAM),
    "audit": ("A second copy of consent and the stated basis, with its own retention", _AUDITED, _OF_STREAM),
}
"""Where events go: its title, the event types that go there, and how it is read."""

STATE_CHANNELS: dict[str, tuple[str, str, Schema]] = {
    "participant": ("participant:{participant}", "The latest state of one participant", {"type": "hash", "read": "HGETALL"}),
    "summary": ("summary", "The latest class summary", {"type": "hash", "read": "HGETALL"}),
    "bot": ("bot", "The bot's status; absent means gone", {"type": "string", "read": "GET"}),
}

MEMBERS: Schema = {
    "address": f"{ADDRESS}participants",
    "title": "The participants' ids by the time they were last seen, in milliseconds",
    "parameters": PARAMETERS,
    "x-redis": {"type": "sorted set", "read": "ZRANGE … WITHSCORES"},
}


def _channels() -> Schema:
    """Redis has channels, streams and keys; AsyncAPI has only channels, so `x-redis` says what each one is."""
    of_events = {
        name: {
            "address": ADDRESS + name,
            "title": title,
            "parameters": PARAMETERS,
            "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in types},
            "bindings": {"redis": {}},
            "x-redis": redis,
        }
        for name, (title, types, redis) in EVENT_CHANNELS.items()
    }
    of_states = {name: _state_channel(name) for name in STATE_CHANNELS}
    return {**of_events, **of_states, "participants": MEMBERS}


def _state_channel(name: str) -> Schema:
    address, title, redis = STATE_CHANNELS[name]
    who = {"participant": {"description": "the participant's id"}} if "{participant}" in address else {}
    return {
        "address": ADDRESS + address,
        "title": title,
        "parameters": {**PARAMETERS, **who},
        "messages": {f"state.{name}": {"$ref": f"#/components/messages/state.{name}"}},
        "bindings": {"redis": {}},
        "x-redis": redis,
    }


def _operations() -> Schema:
    return {
        f"write-{name}": {"action": "send", "channel": {"$ref": f"#/channels/{name}"}}
        for name in (*EVENT_CHANNELS, *STATE_CHANNELS)
    }


def _messages() -> Iterator[tuple[str, Schema]]:
    for event_type, model in EVENT_MODELS.items():
        payload = {"$ref": f"#/components/schemas/{model.__name__}"}
        yield event_type, {"name": event_type, "summary": model.__doc__, "payload": payload}
    for name, (title, description) in STATES.items():
        payload = {"$ref": f"#/components/schemas/{title}"}
        yield f"state.{name}", {"summary": description, "contentType": "application/json", "payload": payload}


def _component_schemas() -> Schema:
    template = "#/components/schemas/{model}"
    _, events = models_json_schema([(model, "serialization") for model in EVENT_MODELS.values()], ref_template=template)
    schemas: Schema = _tidy(events["$defs"])
    for name, state in _state_schemas(template).items():
        schemas |= state.pop("$defs", {})
        schemas.setdefault(STATES[name][0], state)
    return dict(sorted(schemas.items()))
