"""The table in the terminal: what it says, and what a hostile name cannot do to it."""

import asyncio
import io
from collections.abc import Callable

import pytest
from rich.console import Console

from bot.errors import NothingHappened, RedisRefused, SettingsWrong
from bot.settings import Settings
from bot.tasks import background
from bot.watch import table, watch
from model.faces import EMOTIONS, Emotion
from pipeline.coverage import Coverage
from pipeline.events import BasisStated, BotStatus, ParticipantJoined, Publication
from pipeline.follow import RoomState
from pipeline.keys import Keys
from pipeline.publish import Publisher
from pipeline.state import ParticipantState, SummaryState
from tests.redis_servers import SERVER, RedisServer, needs_redis, running_redis

RUNNING = BotStatus(
    state="running",
    participants=3,
    looks_per_second=5.96,
    frames_received=0,
    looks=0,
    frames_skipped=0,
    frames_dropped=0,
    events_dropped=0,
    tracks_failed=0,
)


def person(participant_id: str, **fields: object) -> ParticipantState:
    return ParticipantState(**{"id": participant_id, "present": True, "updated_ms": 1, "epoch": "1", "sequence": 1, **fields})  # type: ignore[arg-type]


ADA = person("ada", name="Ada", coverage=Coverage.OK, emotion="happy", confidence=0.834, at_ms=10_000)
BEN = person("ben", name="Ben", coverage=Coverage.CAMERA_OFF, emotion="sad", confidence=0.9, at_ms=5_000)
CLO = person("clo", name="Clo", present=False, coverage=Coverage.OK, sequence=9)
DAN = person("dan", name="Dan", present=False, coverage=Coverage.OK, sequence=9, updated_ms=0, epoch="0")


def shown(state: RoomState, trouble: str = "") -> str:
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(table(state, 11_500, trouble))
    return console.export_text()


def test_it_shows_who_is_present_and_how_they_are_read() -> None:
    text = shown(RoomState("algebra", (ADA, BEN, CLO, DAN), bot=RUNNING))
    title, counts, *lines = text.splitlines()
    assert title.split() == ["algebra", "running,", "6.0", "looks", "per", "second"]
    [ada] = [line for line in lines if "Ada" in line]
    assert [part.strip() for part in ada.strip("│ ").split("│")] == ["Ada", "happy", "83%", "ok", "1.5 s"]
    [ben] = [line for line in lines if "Ben" in line]
    assert [part.strip() for part in ben.strip("│ ").split("│")] == ["Ben", "-", "-", "camera_off", "6.5 s"]
    assert "Clo" not in text
    assert counts.strip() == "1 of 2 seen: 1 camera_off; 1 left", "who left in an earlier run is not counted"


def on_a_terminal(state: RoomState, lines: int, width: int = 100) -> list[str]:
    console = Console(record=True, width=width, height=lines, file=io.StringIO(), force_terminal=True)
    console.print(table(state, 11_500, console=console))
    return [line.strip() for line in console.export_text().splitlines()]


def test_a_class_of_more_people_than_lines_is_cut_and_says_so() -> None:
    people = [person(f"s{n:02}", name=f"Student {n:02}", coverage=Coverage.OK) for n in range(49)]
    people.append(person("zoe", name="Zoe", coverage=Coverage.OK, attention="changed", attention_since_ms=1_500))
    text = on_a_terminal(RoomState("algebra", tuple(people), bot=RUNNING), 24)
    assert (len(text), text[0].split()[0], text[1]) == (24, "algebra", "50 of 50 seen")
    names = [line.strip("│ ").split("│")[0].strip() for line in text if line.startswith("│")]
    assert names == ["Zoe", *(f"Student {n:02}" for n in range(len(names) - 1))], "who may need help is not cut off"
    assert text[-1] == f"and {50 - len(names)} more"
    narrow = on_a_terminal(RoomState("algebra", tuple(people), bot=RUNNING), 24, width=60)
    assert len(narrow) <= 24 and narrow[-1].endswith(" more")
    assert not any("more" in line for line in on_a_terminal(RoomState("algebra", tuple(people), bot=RUNNING), 60))
    assert on_a_terminal(RoomState("algebra", tuple(people), bot=RUNNING), 3)[-1] == "and 50 more"


@pytest.mark.parametrize("width", [80, 60])
def test_a_long_name_is_cut_and_hides_nobodys_emotion(width: int) -> None:
    long = person("long", name="Maria-Magdalena " * 5, coverage=Coverage.OK, emotion="surprise", confidence=1.0, at_ms=10_000)
    text = on_a_terminal(RoomState("algebra", (ADA, BEN, long), bot=RUNNING), 24, width=width)
    rows = [[part.strip() for part in line.strip("│ ").split("│")] for line in text if line.startswith("│")]
    ada, maria = (next(row for row in rows if row[0].startswith(name)) for name in ("Ada", "Maria"))
    assert ada == ["Ada", "happy", "83%", "ok", "1.5 s"]
    assert maria[0].endswith("…") and maria[1:] == ["surprise", "100%", "ok", "1.5 s"]


def test_without_a_bot_it_is_not_live() -> None:
    assert "algebra   no bot: not live" in shown(RoomState("algebra", (ADA,)))


def test_an_outage_is_shown_over_what_was_last_known() -> None:
    text = shown(RoomState("algebra", (ADA,), bot=RUNNING), "redis is away: refused")
    assert "not live: redis is away: refused" in text and "Ada" in text


@pytest.mark.parametrize(
    ("name", "visible"),
    [
        ("[red]x[/red]", "[red]x[/red]"),
        ("[/]", "[/]"),
        (":smile:", ":smile:"),
        ("a\x1b[2J\r\nb\x07", "a[2Jb"),
        ("abc\u202edef\u2066", "abcdef"),
        ("x" * 5000, "x" * 39 + "…"),
        ("\u200b\u0000", "fallback-id"),
    ],
)
def test_a_hostile_name_is_shown_harmlessly(name: str, visible: str) -> None:
    text = shown(RoomState(name, (person("fallback-id", name=name),), bot=RUNNING))
    assert f"│ {visible} " in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_whom_attention_is_raised_for_is_told_with_the_reason_and_for_how_long() -> None:
    clo = person("clo", name="Clo", coverage=Coverage.OK, attention="not_visible", attention_since_ms=-170_000)
    lines = shown(RoomState("algebra", (ADA, clo), bot=RUNNING)).splitlines()
    [row] = [line for line in lines if "Clo" in line]
    assert row.strip("│ ").split("│")[-1].strip() == "not visible for 181 s"
    assert "attention" not in shown(RoomState("algebra", (ADA,), bot=RUNNING))


def class_alone(summary: SummaryState | None) -> list[str]:
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(table(RoomState("algebra", summary=summary, bot=RUNNING), 11_500, class_alone=True))
    return console.export_text().splitlines()[1:]


def test_at_aggregate_it_shows_the_class_alone_and_says_so() -> None:
    shares = {**dict.fromkeys(EMOTIONS, 0.0), Emotion.HAPPY: 0.25, Emotion.NEUTRAL: 0.75}
    summary = SummaryState(15, 10, {Coverage.OK: 10, Coverage.CAMERA_OFF: 5}, shares, 0.25, False, 1, "1", 1)
    assert [line.strip() for line in class_alone(summary)] == [
        "only the class is published, nobody individually",
        "neutral 75%  happy 25%",
        "valence +0.25, over about 10; 10 of 15 seen: 5 camera_off",
    ]


def test_at_aggregate_states_that_were_rounded_each_by_itself_are_told_of_as_many_as_there_are() -> None:
    shares = {**dict.fromkeys(EMOTIONS, 0.0), Emotion.NEUTRAL: 1.0}
    summary = SummaryState(15, 5, {Coverage.OK: 5, Coverage.NO_FACE: 5}, shares, 0.0, False, 1, "1", 1)
    assert class_alone(summary)[-1].strip().endswith("5 of 15 seen: 5 no_face")


def test_at_aggregate_it_says_why_there_is_no_figure() -> None:
    assert class_alone(None)[-1] == "no summary yet"
    assert class_alone(SummaryState(0, 0, {}, None, None, True, 1, "1", 1))[-1].startswith("withheld: too few")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # what it waits for sends no event
            await asyncio.sleep(0.01)


def settings(server: RedisServer, **more: object) -> Settings:
    return Settings(redis_url=server.url, _env_file=None, **more)  # type: ignore[arg-type, call-arg]


async def publish_joined(server: RedisServer, room: str) -> None:
    async with server.client() as redis:
        sender = Publisher(
            redis,
            Keys("classmood", room),
            "1",
            outbox_limit=10,
            retention_ms=60_000,
            status_ttl_ms=5000,
            retry_seconds=0.1,
        )
        sender.publish(ParticipantJoined(participant="ada", name="Ada", reason="published"))
        sender.publish(RUNNING)
        assert await sender.flush(5) == 0


@needs_redis
async def test_it_follows_the_only_room_through_an_outage() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)

    def newest() -> str:
        return screen.getvalue()[-1500:]

    with running_redis(SERVER) as server:
        await publish_joined(server, "algebra")
        async with background(watch(settings(server), console=console, every_seconds=0.02)):
            await until(lambda: "Ada" in newest())
            server.kill()
            await until(lambda: "not live" in newest() and "Ada" in newest())
            server.start()
            await publish_joined(server, "algebra")
            screen.truncate(0)
            await until(lambda: "running" in newest() and "not live" not in newest())


async def publish_basis(server: RedisServer, level: Publication, epoch: str) -> None:
    stated = {"jurisdiction": "US", "basis": "consent", "purpose": None, "consent": "asked", "names": False}
    async with server.client() as redis:
        sender = Publisher(
            redis,
            Keys("classmood", "algebra"),
            epoch,
            outbox_limit=10,
            retention_ms=60_000,
            status_ttl_ms=5000,
            retry_seconds=0.1,
        )
        sender.publish(BasisStated(**stated, level=level, retention_hours=24, model="test@0", version="1"))  # type: ignore[arg-type]
        sender.publish(RUNNING)
        assert await sender.flush(5) == 0


@needs_redis
async def test_it_learns_the_level_of_publication_from_what_the_run_declared() -> None:
    screen = io.StringIO()
    with running_redis(SERVER) as server:
        await publish_basis(server, "aggregate", "1")
        async with background(watch(settings(server), console=Console(file=screen, force_terminal=True), every_seconds=0.02)):
            await until(lambda: "only the class is published" in screen.getvalue())
            await publish_basis(server, "individual", "2")
            await until(lambda: "participant" in screen.getvalue()[-1500:])


@needs_redis
async def test_which_room_is_asked_in_one_line() -> None:
    with running_redis(SERVER, "--requirepass", "right") as server:
        allowed = settings(server, redis_password="right")
        console = Console(file=(screen := io.StringIO()))
        with pytest.raises(NothingHappened, match="no room"):
            await watch(allowed, console=console)
        with pytest.raises(RedisRefused, match=r"^redis refuses: [^\n]+$"):
            await watch(settings(server, redis_password="wrong"), console=console)
    with running_redis(SERVER) as server:
        await publish_joined(server, "algebra")
        await publish_joined(server, "geometry")
        with pytest.raises(SettingsWrong, match=r"^name a room: there are algebra, geometry$"):
            await watch(settings(server), console=console)
    assert screen.getvalue() == "", "no table of a room that is not chosen yet"
