"""The tests that docs/security.md names as its evidence exist, and so do the settings."""

import re
from pathlib import Path

from bot.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+){3,})`", PAGE))
    assert len(named) > 20
    assert {name for name in named if f"def test_{name}(" not in sources} == set()


def test_every_file_and_setting_that_the_page_names_exists() -> None:
    files = set(re.findall(r"`(?:tests/)?(test_\w+\.py)`", PAGE))
    assert files and not {name for name in files if not (ROOT / "tests" / name).is_file()}
    settings = set(re.findall(rf"{PREFIX}([A-Z_]+)", PAGE))
    assert settings and not {name for name in settings if name.lower() not in Settings.model_fields}
