"""The commands as a user runs them: one readable line for what they can mend, and an exit code that says which kind it was."""

import asyncio
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.cli import main
from bot.settings import Settings
from model.card import SHIPPED_WEIGHTS
from pipeline.events import Event
from pipeline.follow import events_since, room_state
from pipeline.keys import Keys
from tests.commands import BASIS, ROOT, ended, environment, started, until
from tests.redis_servers import SERVER, RedisServer, free_port, needs_redis, running_redis, stopped_redis
from tests.videos import portrait, write_video

COMMANDS = (
    "demo",
    "join",
    "simulate",
    "analyse",
    "watch",
    "health",
    "settings",
    "train",
    "teach",
    "average",
    "export",
    "evaluate",
)
COMMANDS += ("basis", "validate", "record", "replay", "schemas", "forget", "forward", "bench", "dashboard", "report", "mark")
COMMANDS += ("average", "model-card", "train-students", "export-students")
HEAVY = {"aiortc", "aiohttp", "av", "cv2", "ai_edge_litert", "tensorflow", "keras", "rich"}
KEYS = Keys("classmood", "algebra")


LOADED = """
import sys
from bot.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print("LOADED", code, *sys.modules)
"""


@pytest.fixture(autouse=True)
def no_env_file_and_a_stated_basis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in BASIS.items():
        monkeypatch.setenv(name, value)


def one_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and error line of a command that prints nothing else."""
    code = main(list(arguments))
    out, err = capsys.readouterr()
    complaint = [line for line in err.splitlines() if line.startswith("classmood: ")]
    assert not out and len(complaint) == 1 and "Traceback" not in err, err
    return code, complaint[0].removeprefix("classmood: ")


def loaded_by(folder: Path, *arguments: str) -> tuple[str, set[str]]:
    """Exit code of a command run in its own process, and the libraries it had loaded by its end."""
    script = [sys.executable, "-c", LOADED, *arguments]
    result = subprocess.run(script, cwd=folder, env=environment(folder, {}), capture_output=True, text=True, check=True)
    code, *names = result.stdout.rpartition("LOADED ")[2].split()
    return code, {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_names_its_settings(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    told = capsys.readouterr().out
    assert end.value.code == 0 and told.startswith(f"usage: classmood {command} ") and "--redis-url" in told


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_says_what_it_does_and_the_settings_come_last(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    own, _, settings = re.sub(r"\n {10,}", "  ", capsys.readouterr().out).partition("\nsettings:\n")
    flags = [line for line in own.splitlines() if re.match(r"  -(h, -)?-", line)]
    assert flags and all("  " in line.strip() for line in flags), flags
    fields = ["--" + name.replace("_", "-") for name in Settings.model_fields]
    assert {line.split()[0] for line in settings.splitlines() if line.startswith("  --")} <= {*fields}


def test_a_wrong_argument_is_told_beside_what_the_command_itself_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["simulate"])
    usage, told = capsys.readouterr().err.rstrip().rsplit("\n", 1)
    assert end.value.code == 2 and told.endswith("the following arguments are required: ROOM_URL")
    assert "--script" in usage and "--redis-url" not in usage


def test_the_list_of_commands_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert set(re.findall(r"^    (\S+)", capsys.readouterr().out, re.M)) == set(COMMANDS)


@pytest.mark.parametrize("arguments", [("join", "--help"), ("health", "--redis-url", "redis://127.0.0.1:1/0")])
def test_help_and_the_health_check_load_nothing_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, loaded = loaded_by(tmp_path, *arguments)
    assert code == ("4" if arguments[0] == "health" else "0")
    assert "pydantic" in loaded and not HEAVY & loaded


def test_a_secret_has_no_flag(capsys: pytest.CaptureFixture[str]) -> None:
    secrets = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
    assert secrets
    for name in secrets:
        with pytest.raises(SystemExit) as end:
            main(["join", "local://algebra", "--" + name.replace("_", "-"), "hush"])
        assert end.value.code == 2 and "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--looks-per-second", "0"), "CLASSMOOD_LOOKS_PER_SECOND: Input should be greater than 0"),
        (("--port", "door"), "CLASSMOOD_PORT: Input should be a valid integer"),
        (("--smallest-group", "2"), "CLASSMOOD_SMALLEST_GROUP: Input should be greater than or equal to 3"),
        (("--tls-key", "key.pem"), "tls_certificate and tls_key go together"),
    ],
)
def test_a_setting_out_of_range_is_named(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str) -> None:
    code, told = one_line(capsys, "join", "local://algebra", *arguments)
    assert code == 2 and told.startswith(complaint)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("carrier-pigeon://coop/4", "carrier-pigeon:// is not a kind of room that classmood knows; known are local://, "),
        ("algebra", "algebra is not a room URL such as local://algebra"),
        ("local://", "local:// is not a room URL such as local://algebra"),
        ("local:///", "a room without a name has no keys"),
        ("local://Mathe #1", "a local room is written local://ROOM, where "),
        ("local://Was ist 2?", "a local room is written local://ROOM, where "),
        ("local://user:s3cret@class", "a local room is written local://ROOM, where "),
        ("local://\udcff", "the room's name is not valid text"),
        ("local://%ff", "the room's name is not valid text"),
        ("local://..", "no URL can lead to a room called ..: give it another name"),
        ("local://%2E/", "no URL can lead to a room called .: give it another name"),
        ("janus://gateway/Mathe #1", "a Janus room is written janus://HOST:PORT/ROOM, with "),
        ("janus://gateway/\udcff", "the room's URL is not valid text"),
        ("janus://a..b/1", "the room's URL: "),
        ("janus://gateway:door/1", "the room's URL: the port must be a number from 0 to 65535"),
    ],
)
def test_a_room_url_of_no_known_kind_or_that_says_more_than_a_room_is_named(
    capsys: pytest.CaptureFixture[str], url: str, complaint: str
) -> None:
    code, told = one_line(capsys, "join", url)
    assert code == 2 and told.startswith(complaint) and "s3cret" not in told


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, told = one_line(capsys, "join", "local://algebra", "--port", str(port))
    assert code == 5 and told.startswith(f"cannot listen on 127.0.0.1 port {port}: ")


@pytest.mark.parametrize("harm", ["missing", "no card", "truncated", "no model"])
def test_weights_that_cannot_be_used_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "weights"
    if harm != "missing":
        shutil.copytree(SHIPPED_WEIGHTS / "emotion", folder)
        [model] = folder.glob("*.tflite")
    if harm == "no card":
        (folder / "card.json").unlink()
    elif harm == "truncated":
        model.write_bytes(model.read_bytes()[:100_000])
    elif harm == "no model":
        model.unlink()
    code, told = one_line(capsys, "join", "local://algebra", "--weights", str(folder))
    assert code == 3 and str(folder) in told


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("janus://[bad/1", "the room's URL: Invalid IPv6 URL"),
        ("JANUS://[bad/1", "the room's URL: Invalid IPv6 URL"),
        ("livekit://host/x", "livekit:// is not a kind of room that classmood knows; known are local://, "),
        ("local://\udcff", "the room's name is not valid text"),
        ("http://classroom/\udcff", "the room's URL is not valid text"),
        ("http://[bad/whip/x", "the room's URL: Invalid IPv6 URL"),
        ("http://a..b/whip/x", "the room's URL: "),
        ("HTTP:///whip/x", "HTTP:///whip/x is not a room URL: it names no host"),
        ("http://classroom:70000/whip/x", "the room's URL: the port must be a number from 0 to 65535"),
    ],
)
def test_a_room_elsewhere_with_a_url_that_is_none_is_one_line(
    capsys: pytest.CaptureFixture[str], url: str, complaint: str
) -> None:
    code, told = one_line(capsys, "simulate", url, "--students", "1")
    assert code == 2 and told.startswith(complaint)


def test_a_host_that_is_no_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = one_line(capsys, "join", "local://algebra", "--host", "a..b")
    assert (code, told) == (2, "CLASSMOOD_HOST=a..b is not a host name")


def test_numbers_of_students_and_seconds_that_make_no_sense_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["--students", "0"],
        ["--students", "many"],
        ["--seconds", "-1"],
        ["--seconds", "nan"],
        ["--seconds", "inf"],
    ):
        with pytest.raises(SystemExit) as end:
            main(["simulate", "local://algebra", *arguments])
        assert end.value.code == 2 and arguments[0] in capsys.readouterr().err


def test_a_room_that_is_not_there_and_a_clip_that_is_none_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "ada.mkv", (64, 48), 5, 1)
    away = f"http://127.0.0.1:{free_port()}/whip/algebra"
    code, told = one_line(capsys, "simulate", away, "--students", "1", "--video", str(clip))
    assert code == 5 and told.startswith(f"no room answers at {away}: ")
    code, told = one_line(capsys, "simulate", away, "--video", str(clip), str(tmp_path / "nowhere.mp4"))
    assert code == 2 and told.startswith(f"{tmp_path}/nowhere.mp4 cannot be read as video: ")


def test_what_a_command_does_after_its_event_loop_can_be_ended_too() -> None:
    assert main(["health", "--redis-url", "redis://127.0.0.1:1/0"]) == 4
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == [signal.SIG_DFL, signal.SIG_DFL]


@needs_redis
def test_a_redis_that_refuses_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLASSMOOD_REDIS_PASSWORD", "a wrong one")
    with running_redis(SERVER, "--requirepass", "right") as server:
        code, told = one_line(capsys, "join", "local://algebra", "--port", "0", "--redis-url", server.url)
    assert code == 4 and told.startswith("redis refuses: ") and "a wrong one" not in told


@needs_redis
def test_health_is_asked_of_redis(capsys: pytest.CaptureFixture[str]) -> None:
    async def tell(server: RedisServer) -> None:
        async with server.client() as redis:
            await redis.set(KEYS.bot, "{}")

    with running_redis(SERVER) as server:
        assert one_line(capsys, "health", "--redis-url", server.url) == (6, "no bot is live in any room")
        asyncio.run(tell(server))
        assert main(["health", "--redis-url", server.url]) == main(["health", "algebra", "--redis-url", server.url]) == 0
        assert one_line(capsys, "health", "geometry", "--redis-url", server.url) == (6, "no bot is live in room 'geometry'")
    assert main(["health", "--redis-url", server.url]) == 4


def events_of(server: RedisServer) -> list[Event]:
    async def read() -> list[Event]:
        async with server.client() as redis:
            return [event async for event in events_since(redis, KEYS)]

    return asyncio.run(read())


def is_live(server: RedisServer) -> bool:
    async def read() -> bool:
        async with server.client() as redis:
            return (await room_state(redis, KEYS)).bot is not None

    return asyncio.run(read())


@pytest.mark.slow
def test_results_that_a_full_disk_does_not_take_are_one_line() -> None:
    command = [sys.executable, "-m", "bot", "settings"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert (result.returncode, result.stderr) == (1, "classmood: cannot write the output: No space left on device\n")


@pytest.mark.slow
def test_a_reader_who_has_seen_enough_is_no_traceback() -> None:
    # `true` has ended long before anything is written
    command = f"set -o pipefail; {sys.executable} -m bot basis | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 141 and "Error" not in result.stderr


@needs_redis
@pytest.mark.slow
def test_a_bot_waits_for_its_redis_at_the_start_and_rides_out_an_outage_later(tmp_path: Path) -> None:
    with stopped_redis(SERVER) as server:
        settings = ("--redis-url", server.url, "--port", "0", "--heartbeat-seconds", "0.2", "--redis-retry-seconds", "0.1")
        with started(tmp_path, "join", "local://algebra", *settings) as bot:
            bot.until_it_says("redis is away")
            server.start()
            until(lambda: is_live(server))
            server.kill()
            until(lambda: bot.err.count("redis is away") == 2)
            server.start()
            until(lambda: is_live(server))
            assert bot.err.count("redis is away") == 2, "one line for each outage"
            bot.signal(signal.SIGHUP)  # as when its terminal is closed; other tests cover SIGTERM
            assert bot.exit_code() == 0 and "Traceback" not in bot.err
        assert not is_live(server)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with running_redis(SERVER) as running:
        yield running


@needs_redis
@pytest.mark.slow
def test_students_of_another_process_become_events_and_are_told_when_the_room_closes(tmp_path: Path, server: RedisServer) -> None:
    clip = write_video(tmp_path / "ada.mkv", (320, 180), 10, 2, portrait(320, 180))
    with started(tmp_path, "join", "local://algebra", "--redis-url", server.url, "--port", "0") as bot:
        until(lambda: is_live(server))
        # it took a free port, and says which
        said = r"students open http://127\.0\.0\.1:(\d+)/ in a browser, or publish to http://\S+/whip/algebra by WHIP"
        address = re.search(said, bot.err)
        assert address, bot.err
        publish = ("simulate", "local://algebra", "--students", "2", "--video", str(clip), "--port", address[1])
        code, out, err = ended(tmp_path, *publish, "--seconds", "1.5")
        assert (code, out) == (0, "") and "2 students are in the room" in err
        until(lambda: sum(event.type == "classmood.participant.left" for event in events_of(server)) == 2)
        with started(tmp_path, *publish) as simulation:
            simulation.until_it_says("2 students are in the room")
            bot.signal(signal.SIGINT)
            assert bot.exit_code() == 130
            assert simulation.exit_code() == 5
    assert simulation.err.splitlines()[-1] == "classmood: the room at local://algebra closed"
    assert "Traceback" not in simulation.err + bot.err
    kinds = {event.type for event in events_of(server)}
    assert {"classmood.participant.joined", "classmood.emotion.sample", "classmood.participant.left"} <= kinds
    assert not is_live(server)


@needs_redis
def test_watch_without_a_terminal_prints_a_table_and_ends_with_ctrl_c(tmp_path: Path, server: RedisServer) -> None:
    with started(tmp_path, "watch", "algebra", "--redis-url", server.url, PYTHONPROFILEIMPORTTIME="1") as command:
        command.until_it_says(" bot.watch\n")
        until(lambda: len(connections(server)) == 2)
        command.signal(signal.SIGINT, group=True)
        assert command.exit_code() == 130
    assert "algebra   no bot: not live" in command.out and "Traceback" not in command.err


def connections(server: RedisServer) -> list[dict[str, str]]:
    """The connections to a server, including the one that asks."""

    async def read() -> list[dict[str, str]]:
        async with server.client() as redis:
            return list(await redis.client_list())

    return asyncio.run(read())
