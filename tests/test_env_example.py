"""The file that an operator copies and fills in: every entry has an effect, and nothing needed is missing."""

import re
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from ruamel.yaml import YAML

from bot.basis import Basis, stated_basis
from bot.errors import BasisMissing
from bot.settings import PREFIX, Settings
from tests.commands import ROOT, ended

EXAMPLE = (ROOT / ".env.example").read_text()
SERVICES: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}
OF_COMPOSE = {"CLASSMOOD_STUDENTS", "DASHBOARD_REDIS_PASSWORD", "DASHBOARD_REDIS_USERNAME", "JANUS_ROOM_SECRET"}


def uncommented() -> str:
    """The file with every example in it uncommented."""
    return re.sub(r"^#(?=[A-Z_]+=)", "", EXAMPLE, flags=re.M)


def filled(**values: str) -> str:
    """The file as an operator fills it in."""
    text = EXAMPLE
    for name, value in values.items():
        text, count = re.subn(rf"^{PREFIX}{name}=$", f"{PREFIX}{name}={value}", text, flags=re.M)
        assert count == 1, name
    return text


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of `.env`, with nothing in the environment that overrides it."""
    for name in ("JURISDICTION", "BASIS", "PURPOSE"):
        monkeypatch.delenv(PREFIX + name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".env"


def test_every_variable_in_it_is_a_setting_or_one_of_the_compose_file(env_file: Path) -> None:
    env_file.write_text(uncommented())
    variables = set(dotenv_values(env_file))
    assert {"CLASSMOOD_JURISDICTION", "CLASSMOOD_BASIS", "CLASSMOOD_REDIS_URL", "CLASSMOOD_STUDENTS"} <= variables
    assert variables <= SETTINGS | OF_COMPOSE
    compose = (ROOT / "docker-compose.yml").read_text()
    assert all(name in compose for name in variables & OF_COMPOSE)


def test_every_example_in_it_is_a_value_that_the_setting_takes(env_file: Path) -> None:
    env_file.write_text(uncommented())
    settings = Settings()
    assert settings.redis_url.scheme == "rediss" and settings.consent == "asked" and settings.port == 8080


def test_as_it_stands_it_is_refused_and_filled_in_it_is_enough(env_file: Path) -> None:
    env_file.write_text(EXAMPLE)
    with pytest.raises(BasisMissing, match=r"CLASSMOOD_JURISDICTION .* and CLASSMOOD_BASIS"):
        stated_basis(Settings())
    env_file.write_text(filled(JURISDICTION="NZ", BASIS="research", PURPOSE="'a study of $100, #7'"))
    assert stated_basis(Settings()) == Basis("NZ", "research", "a study of $100, #7")


def test_compose_hands_it_to_what_needs_it_and_to_nobody_else_and_does_without_it() -> None:
    given = {name: service["env_file"] for name, service in SERVICES.items() if service.get("env_file")}
    assert given.keys() == {"bot", "janus-bot", "dashboard"}
    assert all(files == [{"path": ".env", "required": False}] for files in given.values())


def test_without_it_the_bot_of_the_compose_file_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    nothing = {"CLASSMOOD_JURISDICTION": "", "CLASSMOOD_BASIS": ""}
    code, out, err = ended(tmp_path, *SERVICES["bot"]["command"], **nothing)
    assert code == 2 and not out
    assert err.startswith("classmood: nobody is read until you state CLASSMOOD_JURISDICTION") and err.count("\n") == 1
