"""The files that deploy the bot: they are valid, and every command in them is run here, outside a container."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.commands import ROOT, ended, left_in, started, until
from tests.redis_servers import free_port

COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]

needs_redis = pytest.mark.skipif(
    not (shutil.which("redis-server") and shutil.which("redis-cli")), reason="no redis-server or redis-cli"
)


def dockerfile() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each with its arguments."""
    lines = (line for line in (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines() if line.strip())
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if not line.startswith("#"))]


def last(instruction: str) -> str:
    """The arguments of the last such instruction in the final stage."""
    stages = "\n".join(f"{word} {rest}" for word, rest in dockerfile()).split("FROM ")
    return [line.removeprefix(instruction).strip() for line in stages[-1].splitlines() if line.startswith(instruction)][-1]


def environment_of_the_image() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in last("ENV").split())


def interpolated(text: str, **values: str) -> str:
    """The text with `${NAME:-default}` replaced as Compose does it, nested defaults included."""
    plain = re.sub(r"\$\{(\w+):-([^${}]*)\}", lambda found: values.get(found[1]) or found[2], text)
    return plain if plain == text else interpolated(plain, **values)


def classmood(command: list[str]) -> list[str]:
    """The arguments of a command, which must be ours."""
    assert command[0] == "classmood" and PROJECT["project"]["scripts"]["classmood"] == "bot.__main__:main"
    return command[1:]


@pytest.mark.slow
def test_the_compose_file_fits_the_compose_schema() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    result = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_service_has_a_capability_a_way_to_one_or_a_place_to_write_to_but_its_own(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid"} & set(service)
    assert "build" in service or service["user"] not in ("root", "0")


def test_the_bot_waits_for_a_healthy_redis_that_keeps_its_data() -> None:
    redis, bot = COMPOSE["services"]["redis"], COMPOSE["services"]["bot"]
    assert bot["depends_on"]["redis"]["condition"] == "service_healthy"
    volume, _, place = redis["volumes"][0].partition(":")
    assert volume in COMPOSE["volumes"] and place == "/data"
    assert redis["ports"][0].startswith("127.0.0.1:")


def test_every_package_of_ours_is_copied_and_every_source_exists() -> None:
    sources = [source for word, rest in dockerfile() if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]]
    ignored = (ROOT / ".dockerignore").read_text().split()
    for source in sources:
        assert (ROOT / source).exists() and source not in ignored
    assert {pattern.rstrip("*") for pattern in PACKAGES} <= set(sources)


def test_the_image_runs_as_nobody_special_and_says_how_it_is() -> None:
    assert last("USER") not in ("", "root", "0")
    assert any(
        word == "RUN" and f"useradd --system --uid 10001 --no-create-home {last('USER')}" in rest for word, rest in dockerfile()
    )
    assert "CMD [" in last("HEALTHCHECK")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the compose file's Redis on a free port; yields the port once the compose file's health check passes."""
    service, folder, port = COMPOSE["services"]["redis"], tmp_path_factory.mktemp("data"), str(free_port())
    process = subprocess.Popen(
        [*service["command"], "--port", port, "--dir", str(folder)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    kind, program, *question = service["healthcheck"]["test"]
    assert kind == "CMD"
    try:
        until(lambda: subprocess.run([program, "-p", port, *question], capture_output=True, text=True).stdout == "PONG\n")
        yield port
        assert list(folder.glob("appendonlydir/*.aof")) or (folder / "appendonly.aof").exists()
    finally:
        process.terminate()
        process.wait()


@needs_redis
def test_the_redis_of_the_compose_file_keeps_everything_it_is_told(redis: str) -> None:
    def setting(name: str) -> str:
        return subprocess.run(["redis-cli", "-p", redis, "config", "get", name], capture_output=True, text=True).stdout.split()[1]

    assert [setting(name) for name in ("appendonly", "appendfsync", "maxmemory-policy")] == ["yes", "everysec", "noeviction"]


@pytest.mark.slow
def test_the_dashboard_of_the_compose_file_serves_plainly_whatever_certificate_the_room_has(tmp_path: Path) -> None:
    service = COMPOSE["services"]["dashboard"]
    of_the_room = {"CLASSMOOD_TLS_CERTIFICATE": "/certificates/fullchain.pem", "CLASSMOOD_TLS_KEY": "/certificates/privkey.pem"}
    its_own = {name: interpolated(str(value)) for name, value in service["environment"].items()}
    with started(tmp_path, *service["command"], **of_the_room | its_own, CLASSMOOD_DASHBOARD_PORT="0") as running:
        running.until_it_says("http://127.0.0.1:")
        running.signal(signal.SIGTERM)
        assert running.exit_code() == 0, running.err


def test_the_dashboard_of_the_compose_file_has_a_redis_user_of_its_own_or_that_of_the_bot() -> None:
    def access(**values: str) -> list[str]:
        return [interpolated(COMPOSE["services"]["dashboard"]["environment"][name], **values) for name in the_bots]

    the_bots = {"CLASSMOOD_REDIS_USERNAME": "bot", "CLASSMOOD_REDIS_PASSWORD": "of the bot"}
    its_own = {"DASHBOARD_REDIS_USERNAME": "dashboard", "DASHBOARD_REDIS_PASSWORD": "of its own"}
    assert access() == ["", ""]
    assert access(**the_bots) == ["bot", "of the bot"]
    assert access(**the_bots, **its_own) == ["dashboard", "of its own"]


@needs_redis
@pytest.mark.slow
def test_the_bot_of_the_compose_file_is_healthy_while_it_runs_and_not_afterwards(redis: str, tmp_path: Path) -> None:
    bot = COMPOSE["services"]["bot"]
    assert bot["command"] == json.loads(last("CMD"))
    arguments = classmood(json.loads(last("ENTRYPOINT")) + bot["command"])
    settings = {name: interpolated(str(value), CLASSMOOD_PORT="0") for name, value in bot["environment"].items()}
    address = settings["CLASSMOOD_REDIS_URL"]
    settings = environment_of_the_image() | settings | {"CLASSMOOD_REDIS_URL": address.replace(":6379", f":{redis}")}
    assert address != settings["CLASSMOOD_REDIS_URL"]
    health = classmood(json.loads(last("HEALTHCHECK").partition("CMD ")[2]))
    with started(tmp_path, *arguments, **settings) as running:
        until(lambda: ended(tmp_path, *health, **settings)[0] == 0)
        kind, *of_the_room = bot["healthcheck"]["test"]
        assert kind == "CMD" and ended(tmp_path, *classmood(of_the_room), **settings)[0] == 0
        running.signal(signal.SIGTERM)
        assert running.exit_code() == 0, running.err
        assert not left_in(tmp_path)
    code, _, reason = ended(tmp_path, *health, **settings)
    assert code == 6 and reason == "classmood: no bot is live in any room\n"


def test_an_installed_package_has_every_file_that_the_folders_have(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    packages = [pattern.rstrip("*") for pattern in PACKAGES]
    for name in packages:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    build = ["from setuptools import setup; setup()", "--quiet", "build_py", "--build-lib", "built"]
    subprocess.run([sys.executable, "-c", *build], cwd=tmp_path, check=True, capture_output=True)
    expected = {path.relative_to(tmp_path) for name in packages for path in (tmp_path / name).rglob("*") if path.is_file()}
    assert {Path("bot/astronaut.jpg"), Path("model/weights/emotion/card.json")} <= expected
    assert {path for path in expected if not (tmp_path / "built" / path).exists()} == set()
