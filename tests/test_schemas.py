"""The documents of the contract match the models, and events match the documents."""

import copy
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from redis.asyncio import Redis

from bot.contract_documents import with_tables
from model.faces import EMOTIONS
from pipeline.contract import EVENT_MODELS, Wrong, judge
from pipeline.events import DATA_BY_TYPE, Event
from pipeline.keys import Keys
from pipeline.publish import Publisher
from pipeline.schemas import STATES, as_text, asyncapi, documents, event_schema, state_schema
from tests.redis_servers import SERVER, running_redis

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DOCUMENTS, ASYNCAPI = documents(), asyncapi()
GOLDEN = sorted((ROOT / "tests/fixtures/events").glob("*.json"))
EXAMPLE = ROOT / "tests/fixtures/example-class.jsonl.gz"

golden = pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


VALIDATORS = {each: validator(event_schema(each)) for each in EVENT_MODELS}


@pytest.mark.parametrize("path", sorted(DOCUMENTS))
def test_a_committed_document_is_what_the_models_make(path: str) -> None:
    assert (DOCS / path).read_text() == DOCUMENTS[path], "run `classmood schemas --out docs`"


def test_no_document_of_a_type_that_is_gone_is_left() -> None:
    assert {f"schemas/{path.name}" for path in (DOCS / "schemas").iterdir()} == {each for each in DOCUMENTS if "/" in each}


def test_the_tables_of_the_page_are_what_the_models_make() -> None:
    page = (DOCS / "events.md").read_text()
    assert with_tables(page) == page, "run `classmood schemas --out docs`"
    assert all(page.count(f"schemas/{event_type}.json") == 1 for event_type in EVENT_MODELS)
    assert all(f"| `{field}` |" in page for model in DATA_BY_TYPE.values() for field in model.model_fields if field != "type")


def test_a_table_that_was_changed_by_hand_is_made_anew() -> None:
    page = (DOCS / "events.md").read_text()
    assert with_tables(page.replace("| `since_ms` |", "| `since` |")) == page


def test_there_is_a_golden_event_of_every_type_and_no_other() -> None:
    assert {read(path)["type"] for path in GOLDEN} == set(EVENT_MODELS) == set(DATA_BY_TYPE)


@golden
def test_a_golden_event_fits_its_schema(path: Path) -> None:
    event = read(path)
    VALIDATORS[event["type"]].validate(event)
    assert VALIDATORS[event["type"]].schema["$id"] == event["dataschema"]


@golden
def test_an_event_from_before_it_was_classified_is_still_valid_and_comes_out_as_it_went_in(path: Path) -> None:
    event = read(path)
    del event["dataclassification"]
    VALIDATORS[event["type"]].validate(event)
    judged = judge(json.dumps(event))
    assert judged.event is not None and json.loads(judged.event.to_json()) == event


def test_the_audit_stream_carries_consent_and_basis_alone() -> None:
    assert list(ASYNCAPI["channels"]["audit"]["messages"]) == [
        "classmood.consent.granted",
        "classmood.consent.withdrawn",
        "classmood.basis.stated",
    ]


@golden
def test_a_golden_event_comes_out_of_our_models_as_it_went_in(path: Path) -> None:
    event, judged = Event.model_validate_json(path.read_bytes()), judge(path.read_bytes())
    assert json.loads(event.to_json()) == read(path)
    assert judged.event is not None and judged.unknown_fields == ()
    assert json.loads(judged.event.to_json()) == read(path)
    assert judged.event.data == event.typed()


@golden
def test_a_golden_event_is_a_cloud_event_to_the_cloudevents_sdk(path: Path) -> None:
    message = HTTPMessage({"content-type": "application/cloudevents+json"}, path.read_bytes())
    event = from_structured_event(message, JSONFormat())
    assert (event.get_type(), event.get_data()) == (read(path)["type"], read(path)["data"])
    assert (event.get_extension("sequence"), event.get_extension("epoch")) == (read(path)["sequence"], read(path)["epoch"])


@pytest.mark.parametrize("schema", [*map(event_schema, EVENT_MODELS), *map(state_schema, STATES)], ids=lambda each: each["$id"])
def test_every_schema_is_one_and_describes_every_field_of_an_event(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    if not schema["$id"].rpartition(":")[2].startswith("state."):
        fields = {
            **schema["properties"],
            **schema["$defs"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]["properties"],
        }
        assert [name for name, field in fields.items() if "description" not in field and "const" not in field] == []


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*path, step)
        yield from places(inner, (*path, step))


REMOVED = object()
# without 1.0, an integer to the schemas but not to the models, and without dates that only a calendar can refuse
VALUES = st.sampled_from(
    [REMOVED, None, "", "happy", "ok", "unknown", 0, 1, -1, 0.5, 7, True, False, [], {}, "stopping", {"x": 1}]
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(GOLDEN), st.data(), VALUES)
def test_our_models_and_the_schemas_agree_on_any_change_of_an_event(path: Path, data: st.DataObject, value: object) -> None:
    event = read(path)
    *above, last = data.draw(st.sampled_from(list(places(event))))
    inner = event
    for step in above:
        inner = inner[step]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = copy.deepcopy(value)
    schema = VALIDATORS.get(str(event.get("type")), VALIDATORS[read(path)["type"]])
    found = {problem.kind for problem in judge(json.dumps(event)).problems}
    assert schema.is_valid(event) == (not found - {Wrong.INCONSISTENT}), found


def test_what_is_not_known_yet_is_ignored_and_kept() -> None:
    event = read(GOLDEN[0])
    event["traceparent"] = "00-1-2-01"
    event["data"]["posture"] = {"lean": 0.1}
    VALIDATORS[event["type"]].validate(event)
    judged = judge(json.dumps(event))
    assert judged.event is not None and judged.unknown_fields == ("$.traceparent", "$.data.posture")
    assert json.loads(judged.event.to_json()) == event == json.loads(Event.model_validate(event).to_json())


@pytest.mark.skipif(SERVER is None, reason="no redis-server")
async def test_the_states_of_a_real_redis_fit_their_schemas() -> None:
    keys = Keys("classmood", "algebra")
    with running_redis(SERVER) as server:
        async with server.client() as redis:
            sender = Publisher(redis, keys, "1", outbox_limit=99, retention_ms=60_000, status_ttl_ms=60_000, retry_seconds=1)
            for path in GOLDEN:
                if "left" not in path.name:
                    sender.publish(Event.model_validate_json(path.read_bytes()).typed())
            await sender.flush(5)
            found = await _states(redis, keys)
    for name, state in found.items():
        validator(state_schema(name)).validate(state)
    assert not validator(state_schema("participant")).is_valid({**found["participant"], "present": "yes"})


async def _states(redis: Redis, keys: Keys) -> dict[str, Any]:
    [participant, *_] = await redis.zrange(keys.participants, 0, -1)
    return {
        "participant": await redis.hgetall(keys.participant(participant)),
        "summary": await redis.hgetall(keys.summary),
        "bot": json.loads(await redis.get(keys.bot)),
    }


def test_the_asyncapi_document_names_every_event_on_both_of_its_ways_and_every_state() -> None:
    document = ASYNCAPI
    assert document["asyncapi"] == "3.0.0"
    for channel in ("live", "events"):
        assert set(document["channels"][channel]["messages"]) == set(EVENT_MODELS)
    keys = Keys("{prefix}", "ROOM")
    for name, key in {"live": keys.live, "events": keys.events, "summary": keys.summary, "bot": keys.bot}.items():
        assert document["channels"][name]["address"].replace("{tag}", "{ROOM}") == key
    assert document["channels"]["participant"]["address"].replace("{tag}", "{ROOM}") == keys.participant("{participant}")
    assert document["channels"]["participants"]["address"].replace("{tag}", "{ROOM}") == keys.participants


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = ASYNCAPI
    references = re.findall(r'"\$ref": "#/([^"]+)"', as_text(document))
    assert len(references) > 50
    for reference in references:
        target = document
        for step in reference.split("/"):
            target = target[step]


def test_parameters_of_an_asyncapi_address_are_those_that_stand_in_it() -> None:
    for channel in ASYNCAPI["channels"].values():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])


@golden
def test_the_asyncapi_document_describes_the_same_events(path: Path) -> None:
    document, event = ASYNCAPI, read(path)
    schema = {**document["components"]["messages"][event["type"]]["payload"], "components": document["components"]}
    # AsyncAPI reads a schema as a superset of draft 7; 2020-12 gives the same answers
    for draft in (Draft7Validator, Draft202012Validator):
        assert draft(schema).is_valid(event)
        assert not draft(schema).is_valid({**event, "sequence": 0})


def test_every_event_and_every_field_in_the_page_is_of_the_example_class() -> None:
    page = (DOCS / "events.md").read_text()
    with gzip.open(EXAMPLE) as lines:
        events = {event["sequence"]: event for event in map(json.loads, lines)}
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert len(shown) == 6 and all(events[each["sequence"]] == each for each in shown)
    rows = re.findall(r"^\| (\d+) \| ([\d:.]+Z) \| `([\w.]+)` \| `(.+)` \|$", page, re.MULTILINE)
    assert len(rows) == 5
    for sequence, time, event_type, data in rows:
        event = events[int(sequence)]
        assert (event["time"][11:], event["type"]) == (time, f"classmood.{event_type}")
        assert event["data"] == {"participant": "s05", **json.loads(data)}


def test_the_links_of_the_page_lead_to_files_and_headings() -> None:
    page = (DOCS / "events.md").read_text()
    for link in re.findall(r"\]\(([^)]+)\)", page):
        if not link.startswith("https://"):
            name, _, heading = link.partition("#")
            assert (DOCS / name).exists(), link
            assert not heading or heading in headings_of(DOCS / (name or "events.md")), link


def headings_of(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    found: list[str] = re.findall(r"^#+ ([\w ]+)$", page.read_text(), re.MULTILINE)
    return {heading.lower().replace(" ", "-") for heading in found}


def test_scores_are_of_all_seven() -> None:
    event = read(ROOT / "tests/fixtures/events/classmood.emotion.sample.json")
    del event["data"]["scores"][EMOTIONS[0]]
    [problem] = judge(json.dumps(event)).problems
    assert (problem.kind, problem.path) == (Wrong.SCHEMA, "$.data.scores")


def test_the_page_can_be_made_from_a_folder_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bot.cli import main

    assert main(["schemas", "--out", str(tmp_path)]) == 0
    assert {str(tmp_path / path) for path in DOCUMENTS} == set(capsys.readouterr().out.split())
    assert (tmp_path / "asyncapi.json").read_text() == DOCUMENTS["asyncapi.json"]
