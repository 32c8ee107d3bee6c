"""The class of the compose file's profile `janus`: its commands and configuration, run here on other ports."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bot.settings import PREFIX, Settings
from tests.commands import ROOT, ended, started, until
from tests.janus_client import JanusSaidNo, janus_client
from tests.janus_servers import JanusOptions, JanusServer, needs_janus
from tests.redis_servers import PROGRAMS, free_port, running_redis

FOLDER = ROOT / "deploy" / "janus"
SERVICES: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("profiles") == ["janus"]}

needs_redis = pytest.mark.skipif(PROGRAMS["debian"] is None, reason="no redis-server")


def instructions(word: str) -> list[str]:
    """The arguments of every such instruction in the Dockerfile of Janus."""
    lines = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]


def environment(service: str, **values: str) -> dict[str, str]:
    """A service's environment, with `${NAME:-default}` replaced as Compose does it."""

    def filled(text: str) -> str:
        return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: values.get(found[1]) or found[2], text)

    return {name: filled(str(value)) for name, value in SERVICES[service].get("environment", {}).items()}


@dataclass
class Deployed:
    """The compose file's Janus, on another port."""

    port: int
    process: subprocess.Popen[bytes]

    def here(self, text: str) -> str:
        """A text of the compose file with the port that is used here."""
        assert "8188" in text
        return text.replace("8188", str(self.port))

    @property
    def is_healthy(self) -> bool:
        """Whether the container's health check passes."""
        command = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
        return (
            subprocess.run([self.here(word) if "8188" in word else word for word in command], capture_output=True).returncode == 0
        )

    def as_known_to_tests(self, folder: Path, pin: str, secret: str) -> JanusServer:
        """The same server, as the tests' own client needs it."""
        server = JanusServer(folder, JanusOptions(room=1001, pin=pin, room_secret=secret))
        server.url = f"ws://127.0.0.1:{self.port}"
        return server


@contextmanager
def deployed_janus(folder: Path, **values: str) -> Iterator[Deployed]:
    """Start Janus as its image does, with the environment of the compose file and those values in it."""
    copy = folder / "image"
    shutil.copytree(FOLDER, copy)
    port = free_port()
    for file in copy.glob("*.jcfg"):
        file.write_text(file.read_text().replace("8188", str(port)))
    program, script = json.loads(instructions("ENTRYPOINT")[0])
    command = [program, str(copy / Path(script).name)]
    settings = {**os.environ, **environment("janus", **values), "TMPDIR": str(folder)}
    with (folder / "janus.log").open("wb") as log:
        process = subprocess.Popen(command, env=settings, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        deployed = Deployed(port, process)
        until(lambda: deployed.is_healthy or process.poll() is not None, 10)
        yield deployed
    finally:
        process.kill()
        process.wait()


def test_the_profile_holds_a_janus_a_bot_and_students_and_changes_nothing_of_what_runs_without_it() -> None:
    assert set(OURS) == {"janus", "janus-bot", "janus-students"}
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == {"redis", "bot", "dashboard"}
    assert OURS["janus-bot"]["depends_on"] == {name: {"condition": "service_healthy"} for name in ("redis", "janus")}
    for name, service in OURS.items():
        assert service["network_mode"] == "host" and service["read_only"] and service["cap_drop"] == ["ALL"], name
    # a bot that was removed exits with 0, and so is not restarted
    assert OURS["janus-bot"]["restart"] == "on-failure"
    assert OURS["janus-bot"]["environment"]["CLASSMOOD_REMOVED_EXIT_CODE"] == "0"


def test_the_image_of_janus_holds_every_file_it_needs_and_runs_as_nobody_special() -> None:
    *sources, place = instructions("COPY")[0].split()
    assert {FOLDER / source for source in sources} == {*FOLDER.glob("*.jcfg"), FOLDER / "start.sh"}
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["sh", f"{place}start.sh"]
    assert instructions("USER") == ["classroom"]
    assert OURS["janus"]["build"] == str(FOLDER.relative_to(ROOT))


def test_janus_listens_on_loopback_alone_and_its_admin_interface_nowhere() -> None:
    websockets = (FOLDER / "janus.transport.websockets.jcfg").read_text()
    assert 'ws_ip = "127.0.0.1"' in websockets and "admin_ws = false" in websockets
    assert "libjanus_http.so" in (FOLDER / "janus.jcfg").read_text()


def test_every_setting_and_every_file_that_the_deployment_page_names_exists() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    of_compose = {"CLASSMOOD_STUDENTS"}
    assert set(re.findall(r"CLASSMOOD_[A-Z_]+", page + (ROOT / "docker-compose.yml").read_text())) <= settings | of_compose
    for link in re.findall(r"\]\(([^#)][^)]*)\)", page):
        assert (ROOT / "docs" / link.partition("#")[0]).exists(), link
    titles = {re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.+)$", page, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= titles


@needs_janus
async def test_the_room_asks_for_the_pin_and_its_owner_for_the_secret_that_were_set(tmp_path: Path) -> None:
    values = {"CLASSMOOD_JANUS_PIN": "1234", "JANUS_ROOM_SECRET": "of-the-owner"}
    with deployed_janus(tmp_path, **values) as janus:
        async with janus_client(janus.as_known_to_tests(tmp_path, "1234", "of-the-owner")) as client:
            (room,) = (await client.room("list"))["list"]
            assert (room["room"], room["max_publishers"], room["pin_required"], room["record"]) == (1001, 100, True, False)
            await client.room("join", ptype="publisher", pin="1234", display="Ada")
            await client.kick("Ada")
        guessing = janus.as_known_to_tests(tmp_path, "1234", "guessed")
        async with janus_client(guessing) as client:
            with pytest.raises(JanusSaidNo, match="433"):
                await client.destroy()


@needs_janus
async def test_without_a_pin_anybody_may_join_and_the_rooms_secret_is_nobodys(tmp_path: Path) -> None:
    with deployed_janus(tmp_path) as janus:
        async with janus_client(janus.as_known_to_tests(tmp_path, "", "")) as client:
            await client.room("join", ptype="publisher", display="Ada")
            with pytest.raises(JanusSaidNo, match="433"):
                await client.destroy()


def test_a_pin_that_would_break_the_configuration_is_refused(tmp_path: Path) -> None:
    for pin in ('"', "a b", "a/b", "a\nb"):
        run = subprocess.run(
            ["sh", str(FOLDER / "start.sh")], env={**os.environ, "JANUS_PIN": pin}, capture_output=True, text=True
        )
        assert run.returncode == 2 and run.stderr.startswith("JANUS_PIN and JANUS_ROOM_SECRET may hold")


@needs_janus
@needs_redis
@pytest.mark.slow
def test_a_whole_class_comes_up_is_read_and_lets_the_bot_go_for_good(tmp_path: Path) -> None:
    values = {"CLASSMOOD_JANUS_PIN": "1234", "JANUS_ROOM_SECRET": "of-the-owner", "CLASSMOOD_STUDENTS": "3"}
    health = OURS["janus-bot"]["healthcheck"]["test"][2:]
    with running_redis(PROGRAMS["debian"]) as redis, deployed_janus(tmp_path, **values) as janus:
        settings = environment("janus-bot", **values) | {"CLASSMOOD_REDIS_URL": redis.url}
        simulate, room, flag, number = OURS["janus-students"]["command"]
        assert number == "${CLASSMOOD_STUDENTS:-8}"
        students = (simulate, janus.here(room), flag, "3")
        join = (OURS["janus-bot"]["command"][0], janus.here(OURS["janus-bot"]["command"][1]))
        with (
            started(tmp_path, *students, **environment("janus-students", **values)) as simulation,
            started(tmp_path, *join, **settings) as bot,
        ):
            until(lambda: ended(tmp_path, *health, **settings)[0] == 0, 40)
            summary = ["redis-cli", "-u", redis.url, "zcard", "classmood:{1001}:participants"]
            until(lambda: subprocess.run(summary, capture_output=True, text=True).stdout == "3\n", 40)
            asyncio.run(kick_the_bot(janus.as_known_to_tests(tmp_path, "1234", "of-the-owner")))
            assert bot.exit_code() == 0, bot.err
            simulation.signal(signal.SIGTERM)
            assert simulation.exit_code() == 0, simulation.err


async def kick_the_bot(server: JanusServer) -> None:
    async with janus_client(server) as owner:
        await owner.kick("classmood (reads emotions)")
