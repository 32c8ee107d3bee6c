"""Events against their contract: whatever is wrong is named, with its place."""

import asyncio
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.cli import main
from bot.recordings import LONGEST_LINE
from bot.tasks import background
from bot.validate import Findings, check_room_as_it_goes
from model.faces import EMOTIONS
from pipeline.contract import Sequences, Wrong, judge
from pipeline.coverage import Coverage
from pipeline.events import (
    AttentionCleared,
    AttentionRaised,
    ConsentGranted,
    ConsentWithdrawn,
    CoverageChanged,
    Data,
    ParticipantJoined,
    ParticipantLeft,
    schema_url,
)
from pipeline.keys import Keys
from pipeline.publish import Publisher
from tests.dashboards import status, summary
from tests.redis_servers import RedisServer, needs_redis
from tests.test_publish import BASIS, sample

GOLDEN = Path(__file__).parent / "fixtures" / "events"
EXAMPLE = Path(__file__).parent / "fixtures" / "example-class.jsonl.gz"
KEYS = Keys("classmood", "algebra")


def event(sequence: int = 1, epoch: str = "1", **changed: Any) -> dict[str, Any]:
    """A change of emotion, valid except for what is changed."""
    value: dict[str, Any] = json.loads((GOLDEN / "classmood.emotion.changed.json").read_text())
    return {**value, "id": f"{epoch}-{sequence}", "sequence": sequence, "epoch": epoch, **changed}


def lines(*events: dict[str, Any]) -> str:
    return "".join(json.dumps(each) + "\n" for each in events)


class Validated:
    """What `classmood validate` said, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.code = main(["validate", *arguments])
        self.out, self.err = capsys.readouterr()

    @property
    def found(self) -> dict[str, Any]:
        """The output as JSON."""
        value: dict[str, Any] = json.loads(self.out)
        return value

    @property
    def wrong(self) -> list[tuple[str, str, str]]:
        """Place, path and kind of each problem."""
        return [(each["place"], each["path"], each["kind"]) for each in self.found["problems"]]


def test_the_example_class_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    said = Validated(capsys, str(EXAMPLE), "--json")
    assert (said.code, said.found["ok"], said.found["missing"], said.found["wrong"]) == (0, True, 0, {})
    assert said.found["valid"] == said.found["events"] == sum(said.found["types"].values()) > 3000
    assert said.found["types"]["classmood.participant.joined"] == 30


def test_each_wrong_event_is_named_by_file_line_path_and_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "class.jsonl"
    file.write_text(
        lines(event(1), event(2, time="yesterday"))
        + "\n{half a line\n"
        + lines(event(3, data={"participant": "s01", "before": None, "after": "bored", "since_ms": 1}), event(4, id="7"))
        + lines(event(5, subject="s02"), event(6, datacontenttype="text/html"), event(7))
    )
    said = Validated(capsys, str(file), "--json")
    assert said.code == 3
    assert said.wrong == [
        (f"{file}:2", "$.time", "schema"),
        (f"{file}:4", "$", "not_json"),
        (f"{file}:5", "$.data.after", "schema"),
        (f"{file}:6", "$.id", "inconsistent"),
        (f"{file}:7", "$.subject", "inconsistent"),
        (f"{file}:8", "$.datacontenttype", "schema"),
    ]
    assert said.found["valid"] == 2 and said.found["events"] == 8
    assert f"{file}:5: $.data.after: Input should be 'angry', 'disgust'" in said.err and "bored" not in said.err


def test_a_person_reads_the_same_on_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "class.jsonl"
    file.write_text(lines(event(1), event(1)))
    said = Validated(capsys, str(file))
    counted = "2 of 2 events valid, 1 run of a bot; 1 duplicate"
    assert said.out == f"{file}:2: $.sequence: 1 comes again, after 1\n{counted}\n"
    assert (said.code, said.err) == (3, f"classmood: {file}: {counted}\n")


def test_gaps_repeats_and_latecomers_are_told_apart_run_by_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "class.jsonl"
    order = [("1", 5), ("1", 6), ("2", 1), ("1", 9), ("1", 8), ("1", 9), ("2", 2), ("1", 10), ("1", 4)]
    file.write_text(lines(*(event(sequence, epoch) for epoch, sequence in order)))
    said = Validated(capsys, str(file), "--json")
    assert said.found["wrong"] == {"gap": 1, "backwards": 2, "duplicate": 1}
    assert [place.rpartition(":")[2] for place, *_ in said.wrong] == ["4", "5", "6", "9"]
    assert said.found["missing"] == 2 and said.found["runs"]["2"] == {"first": 1, "last": 2}


def run_of(*told: Data, epoch: str = "1", missing: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """The events of a run in which the bot published this, without the numbers in `missing`."""
    events = [
        event(
            sequence,
            epoch,
            type=data.type,
            subject=getattr(data, "participant", None),
            dataschema=schema_url(data.type),
            dataclassification=data.classification,
            data=data.model_dump(mode="json"),
        )
        for sequence, data in enumerate(told, 1)
    ]
    return [
        {name: value for name, value in each.items() if value is not None} for each in events if each["sequence"] not in missing
    ]


ASKS, READS_EVERYBODY = BASIS, BASIS.model_copy(update={"consent": "everyone"})
THE_CLASS_ALONE = READS_EVERYBODY.model_copy(update={"level": "aggregate"})
JOINED = ParticipantJoined(participant="p1", name="Ada", reason="joined")
GRANTED, WITHDRAWN = ConsentGranted(participant="p1", source="page"), ConsentWithdrawn(participant="p1", source="page")
RAISED = AttentionRaised(participant="p1", reason="changed", for_seconds=90.0)
CLEARED = AttentionCleared(participant="p1", reason="changed", for_seconds=99.0)
LEFT = ParticipantLeft(participant="p1", reason="left")
NO_FACE = CoverageChanged(participant="p1", before=None, after=Coverage.NO_FACE)
CAMERA_OFF = CoverageChanged(participant="p1", before=None, after=Coverage.CAMERA_OFF)
SAMPLE = sample()
SUMMARY = summary(0.25)


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ([ASKS, JOINED, CAMERA_OFF, GRANTED, NO_FACE, SAMPLE, RAISED, CLEARED, WITHDRAWN, CAMERA_OFF, GRANTED, SAMPLE, LEFT], {}),
        ([ASKS, JOINED, SAMPLE], {3: "consent"}),
        ([ASKS, JOINED, NO_FACE], {3: "consent"}),
        ([ASKS, JOINED, GRANTED, WITHDRAWN, SAMPLE, LEFT, JOINED, SAMPLE, RAISED], {5: "consent", 8: "consent", 9: "consent"}),
        ([READS_EVERYBODY, JOINED, SAMPLE, WITHDRAWN, SAMPLE], {5: "consent"}),
        ([JOINED, SAMPLE], {}),
        ([JOINED, CLEARED], {2: "attention"}),
        ([JOINED, RAISED, RAISED, CLEARED, CLEARED], {3: "attention", 5: "attention"}),
        ([JOINED, RAISED, RAISED.model_copy(update={"reason": "not_visible"}), CLEARED], {}),
        ([JOINED, RAISED, LEFT, JOINED, RAISED, CLEARED], {}),
        ([CLEARED, SAMPLE], {}),
        ([JOINED, LEFT, SAMPLE, NO_FACE, CAMERA_OFF, RAISED, LEFT, JOINED, SAMPLE], dict.fromkeys(range(3, 7), "presence")),
        ([LEFT, WITHDRAWN, LEFT, JOINED, SAMPLE], {5: "consent"}),
        ([THE_CLASS_ALONE, SUMMARY, JOINED, GRANTED, SAMPLE, LEFT], dict.fromkeys(range(3, 7), "level")),
        ([THE_CLASS_ALONE, SUMMARY, status()], {}),
    ],
)
def test_what_a_run_tells_of_a_person_must_fit_what_it_told_before(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, told: list[Data], wrong: dict[int, str]
) -> None:
    file = tmp_path / "class.jsonl"
    file.write_text(lines(*run_of(*told)))
    said = Validated(capsys, str(file), "--json")
    assert {int(place.rpartition(":")[2]): kind for place, _, kind in said.wrong} == wrong
    assert said.found["valid"] == len(told) and said.code == (3 if wrong else 0)


@pytest.mark.parametrize(
    ("told", "changed", "path", "says"),
    [
        (SAMPLE, {"coverage": "no_face"}, "$.data.coverage", "Input should be 'ok'"),
        (SAMPLE, {"scores": dict.fromkeys(EMOTIONS, 0.5)}, "$.data.scores", "they do not add up to 1"),
        (SAMPLE, {"confidence": 0.3}, "$.data.confidence", "not the score of the strongest emotion"),
        (SAMPLE, {"face": {"x": 0, "y": 0, "width": -0.1, "height": 1}}, "$.data.face.width", "greater than or equal to 0"),
        (SAMPLE, {"face": {"x": 0, "y": 0, "width": 1, "height": -1}}, "$.data.face.height", "greater than or equal to 0"),
        (SUMMARY, {"shares": dict.fromkeys(EMOTIONS, 0.5)}, "$.data.shares", "they do not add up to 1"),
        (SUMMARY, {"withheld": True}, "$.data.withheld", "shares and valence are null where"),
        (SUMMARY, {"shares": None}, "$.data.withheld", "shares and valence are null where"),
    ],
)
def test_figures_that_contradict_the_contract_are_named(told: Data, changed: dict[str, Any], path: str, says: str) -> None:
    [valid] = run_of(told)
    assert judge(json.dumps(valid)).problems == ()
    [problem] = judge(json.dumps({**valid, "data": {**valid["data"], **changed}})).problems
    assert problem.path == path and says in problem.reason


def test_a_face_may_reach_over_the_edge_and_a_score_may_be_rounded() -> None:
    [valid] = run_of(SAMPLE)
    box = {"x": -0.2, "y": -0.3, "width": 1.5, "height": 1.4}
    assert judge(json.dumps({**valid, "data": {**valid["data"], "face": box, "confidence": 0.4999}})).problems == ()


def test_what_is_missing_may_have_made_sense_of_the_rest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "class.jsonl"
    lost = run_of(ASKS, JOINED, WITHDRAWN, GRANTED, SAMPLE, RAISED, CLEARED, missing=(4, 6))
    came_again = run_of(JOINED, LEFT, JOINED, SAMPLE, epoch="3", missing=(3,))
    stated_again = run_of(THE_CLASS_ALONE, READS_EVERYBODY, JOINED, SAMPLE, epoch="4", missing=(2,))
    file.write_text(lines(*lost, *run_of(JOINED, SAMPLE, epoch="2"), *came_again, *stated_again))
    said = Validated(capsys, str(file), "--json", "--allow-gaps")
    assert (said.code, said.found["wrong"]) == (0, {"gap": 4})


def test_an_event_that_says_the_wrong_of_people_is_named_and_one_from_before_that_was_said_is_valid(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, [old] = tmp_path / "class.jsonl", run_of(JOINED)
    del old["dataclassification"]
    file.write_text(lines(old, event(2, dataclassification="aggregate"), event(3, dataclassification=None)))
    said = Validated(capsys, str(file), "--json")
    assert said.wrong == [(f"{file}:{line}", "$.dataclassification", "schema") for line in (2, 3)]
    assert said.found["valid"] == 1


def test_gaps_of_erased_events_can_be_allowed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "class.jsonl"
    file.write_text(lines(event(1), event(4)))
    assert Validated(capsys, str(file)).code == 3
    assert Validated(capsys, str(file), "--allow-gaps").code == 0


@settings(max_examples=20)
@given(st.lists(st.integers(1, 12), unique=True, min_size=1))
def test_every_event_that_is_out_of_its_place_is_seen(order: list[int]) -> None:
    sequences = Sequences()
    found = [problem is None for problem in (sequences.check("1", sequence) for sequence in order)]
    assert all(found) == (order == list(range(order[0], order[0] + len(order))))
    assert sequences.check("1", order[0]) is not None


@pytest.mark.parametrize(
    ("changed", "kind", "says"),
    [
        ({"dataschema": "urn:classmood:schema:2:classmood.emotion.changed"}, Wrong.FUTURE_VERSION, "version 2 is of the future"),
        ({"dataschema": "urn:classmood:schema:99:classmood.wink", "type": "classmood.wink"}, Wrong.FUTURE_VERSION, "version 99"),
        ({"type": "classmood.wink"}, Wrong.UNKNOWN_TYPE, "classmood.wink is no type of schema version 1"),
        ({"type": "\x1b[2J" + "x" * 500}, Wrong.UNKNOWN_TYPE, "[2Jxxx"),
        (
            {"dataschema": "urn:classmood:schema:1:classmood.summary"},
            Wrong.SCHEMA,
            "urn:classmood:schema:1:classmood.emotion.chan",
        ),
        ({"dataschema": 2}, Wrong.SCHEMA, "Input should be"),
    ],
)
def test_what_a_newer_program_may_have_written_is_told_from_what_is_broken(changed: Any, kind: Wrong, says: str) -> None:
    [problem] = judge(json.dumps(event(**changed))).problems
    assert problem.kind is kind and says in problem.reason
    assert len(problem.reason) < 200 and problem.reason.isprintable()


@settings(max_examples=20)
@given(st.one_of(st.binary(), st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps)))
def test_whatever_is_no_event_is_a_problem_and_never_an_exception(text: bytes | str) -> None:
    assert judge(text).problems


@pytest.mark.parametrize("text", ["[" * 100_000, '{"data":' * 100_000, '{"sequence": ' + "9" * 10_000 + "}", '{"time": NaN}'])
def test_hostile_json_is_a_problem_and_never_an_exception(text: str) -> None:
    assert judge(text).problems


@pytest.mark.parametrize("form", ["lines", "gzip", "array", "pretty array", "object", "pretty object", "blank lines", "mark"])
def test_events_are_read_in_whatever_form_they_come(capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str) -> None:
    three, file = [event(1), event(2), event(3)], tmp_path / "events"
    forms = {
        "lines": lines(*three).encode(),
        "gzip": gzip.compress(lines(*three).encode()),
        "array": json.dumps(three).encode(),
        "pretty array": json.dumps(three, indent=2).encode(),
        "object": json.dumps(event()).encode(),
        "pretty object": json.dumps(event(), indent=2).encode(),
        "blank lines": b"\n" + lines(*three).replace("\n", "\r\n\r\n").encode(),
        "mark": "\ufeff".encode() + lines(*three).encode(),
    }
    file.write_bytes(forms[form])
    said = Validated(capsys, str(file), "--json")
    assert (said.code, said.found["valid"]) == (0, 1 if "object" in form else 3)


def test_an_event_in_an_array_is_named_by_its_number(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "array.json"
    file.write_text(json.dumps([event(1), 7, event(2)], indent=1))
    assert Validated(capsys, str(file), "--json").wrong == [(f"{file}[1]", "$", "schema")]


def test_a_minus_stands_for_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(lines(event(1), {}).encode()))))
    said = Validated(capsys, "-")
    assert said.code == 3 and said.out.startswith("standard input:2: $.id: Field required\n")


def test_a_line_without_an_end_is_a_problem_and_does_not_fill_the_memory(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "class.jsonl"
    file.write_text(lines(event(1)) + "x" * (3 * LONGEST_LINE) + "\n" + lines(event(2)))
    said = Validated(capsys, str(file), "--json")
    assert said.wrong == [(f"{file}:2", "$", "not_json")] and said.found["valid"] == 2


@pytest.mark.parametrize("harm", ["missing", "folder", "cut off", "damaged", "no json", "empty"])
def test_a_file_that_cannot_be_read_is_named_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, harm: str) -> None:
    file, packed = tmp_path / "class.jsonl.gz", EXAMPLE.read_bytes()
    says = {
        "missing": f"cannot read {file}: No such file or directory",
        "folder": f"cannot read {file}: Is a directory",
        "cut off": f"{file} ends too early: the gzip stream is cut off",
        "damaged": f"{file} is damaged: ",
        "no json": f"{file} is neither JSON lines nor JSON: ",
        "empty": f"{file} holds no event",
    }
    if harm == "folder":
        file.mkdir()
    elif harm != "missing":
        damaged = packed[:3000] + bytes(100) + packed[3100:]
        file.write_bytes({"cut off": packed[:3000], "damaged": damaged, "no json": b"[1,", "empty": b""}[harm])
    said = Validated(capsys, str(file), "--json")
    assert said.code == (6 if harm == "empty" else 3)
    [line] = [line for line in said.err.splitlines() if line.startswith("classmood: ")]
    assert line.startswith(f"classmood: {says[harm]}") and said.found["complete"] == (harm == "empty")


@pytest.mark.parametrize("arguments", [(), ("x", "--room", "y"), ("x", "--follow"), ("--room", "")])
def test_arguments_that_do_not_go_together_are_refused(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert Validated(capsys, *arguments).code == 2


async def room_of_three(redis: Redis) -> None:
    await redis.flushall()
    sender = Publisher(redis, KEYS, "1", outbox_limit=99, retention_ms=60_000, status_ttl_ms=60_000, retry_seconds=1)
    for name in ("ada", "ben", "zoe"):
        sender.publish(ParticipantJoined(participant=name, name=name, reason="joined"))
    await sender.flush(5)


async def leave_something_else(server: RedisServer) -> list[str]:
    """A room of three in which somebody else wrote two entries and two states; returns the ids of the entries."""
    async with server.client() as redis:
        await room_of_three(redis)
        await redis.hset(KEYS.participant("ada"), "present", "perhaps")
        await redis.set(KEYS.summary, "x")
        foreign = await redis.xadd(KEYS.events, {"note": "hello"})
        return [foreign, await redis.xadd(KEYS.events, {"event": json.dumps(event(4, type="classmood.wink"))})]


@needs_redis
def test_a_room_is_checked_with_what_others_left_in_it(capsys: pytest.CaptureFixture[str], server: RedisServer) -> None:
    foreign, broken = asyncio.run(leave_something_else(server))
    said = Validated(capsys, "--room", KEYS.room, "--redis-url", server.url, "--json")
    assert said.code == 3 and said.found["valid"] == 3
    states = [(key, "$", "state") for key in (KEYS.participant("ada"), KEYS.summary)]
    assert said.wrong == [(foreign, "$", "foreign"), (broken, "$.type", "unknown_type"), *states]


async def erase_an_event(server: RedisServer) -> bool:
    """A room of three whose second event was erased; returns whether this Redis can tell that it was."""
    async with server.client() as redis:
        await room_of_three(redis)
        entries: Any = await redis.xrange(KEYS.events)
        await redis.xdel(KEYS.events, entries[1][0])
        info: Any = await redis.xinfo_stream(KEYS.events)
        return "max-deleted-entry-id" in info


@needs_redis
def test_what_was_erased_from_a_room_is_no_gap_and_what_is_missing_behind_it_is(
    capsys: pytest.CaptureFixture[str], server: RedisServer
) -> None:
    if not asyncio.run(erase_an_event(server)):
        pytest.skip("a Redis before 7.0")
    said = Validated(capsys, "--room", KEYS.room, "--redis-url", server.url, "--json")
    assert (said.code, said.found["erased"], said.found["wrong"]) == (0, 1, {})
    asyncio.run(lose_events(server))
    said = Validated(capsys, "--room", KEYS.room, "--redis-url", server.url, "--json")
    assert (said.code, said.found["erased"], said.found["wrong"]) == (3, 1, {"gap": 1})


async def lose_events(server: RedisServer) -> None:
    """Add an entry whose number skips some."""
    async with server.client() as redis:
        entries: Any = await redis.xrevrange(KEYS.events, count=1)
        last = json.loads(entries[0][1]["event"])
        later = last["sequence"] + 5
        await redis.xadd(KEYS.events, {"event": json.dumps({**last, "sequence": later, "id": f"{last['epoch']}-{later}"})})


@needs_redis
def test_a_room_can_be_checked_as_it_goes(server: RedisServer) -> None:
    async def checked() -> Findings:
        findings = Findings(tell=lambda line: None)
        async with server.client() as redis:
            await redis.flushall()
            async with background(check_room_as_it_goes(redis, KEYS, findings, None, 0.1)):
                await room_of_three(redis)
                while findings.events < 3:
                    await asyncio.sleep(0.01)
        return findings

    found = asyncio.run(checked())
    assert (found.valid, found.kinds.total(), found.complete) == (3, 0, False)


@needs_redis
@pytest.mark.parametrize("follow", [(), ("--follow", "--seconds", "0.1")])
def test_a_room_without_events_is_told(capsys: pytest.CaptureFixture[str], server: RedisServer, follow: tuple[str, ...]) -> None:
    said = Validated(capsys, "--room", "nowhere", "--redis-url", server.url, *follow)
    assert (said.code, said.err) == (6, "classmood: room nowhere holds no event\n")


@needs_redis
def test_a_key_of_another_kind_and_a_redis_that_is_away_are_told(capsys: pytest.CaptureFixture[str], server: RedisServer) -> None:
    async def take_the_key() -> None:
        async with server.client() as redis:
            await redis.set(Keys("classmood", "taken").events, "mine")

    asyncio.run(take_the_key())
    said = Validated(capsys, "--room", "taken", "--redis-url", server.url)
    assert said.code == 4 and said.err.startswith("classmood: redis refuses: WRONGTYPE classmood:{taken}:events is")
    away = Validated(capsys, "--room", "taken", "--redis-url", "redis://127.0.0.1:1/0")
    assert away.code == 4 and away.err.startswith("classmood: redis is away: ")
