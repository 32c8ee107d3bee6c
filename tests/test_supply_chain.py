"""Everything in the image is pinned to the byte, and whoever asks for its vulnerabilities learns what was not answered."""

import json
import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.audit import verdict
from tests.commands import ROOT
from tests.test_imports import importers

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pinned() -> dict[str, tuple[Requirement, int]]:
    """Each package of the lock file, and how many hashes it has."""
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().replace(" \\\n", "\n"))
    pins = [(Requirement(entry.splitlines()[0]), entry.count("--hash=sha256:")) for entry in entries if not entry.startswith("#")]
    return {canonicalize_name(pin.name): (pin, hashes) for pin, hashes in pins}


def test_every_package_is_locked_to_one_version_and_to_its_hashes() -> None:
    pins = pinned()
    assert len(pins) > 20
    for name, (pin, hashes) in pins.items():
        assert [specifier.operator for specifier in pin.specifier] == ["=="] and hashes, name


IN_THE_IMAGE: list[str] = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["dashboard"],
    *PROJECT["build-system"]["requires"],
]


@pytest.mark.parametrize("text", IN_THE_IMAGE)
def test_the_lock_file_has_what_the_project_asks_for_within_its_bounds(text: str) -> None:
    wanted = Requirement(text)
    pin, _ = pinned().get(canonicalize_name(wanted.name), (Requirement(wanted.name), 0))
    locked = "".join(specifier.version for specifier in pin.specifier)
    assert locked and locked in wanted.specifier, f"{wanted} is locked at {locked or 'nothing'}: make lock"


def test_the_image_installs_nothing_but_what_is_locked() -> None:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if "pip install" in line]
    assert len(lines) == 2
    assert "--require-hashes --no-deps -r requirements.lock" in lines[0] and "--no-index ." in lines[1]
    assert "pip uninstall --yes setuptools pip" in lines[1]


def test_random_numbers_that_can_be_foretold_are_kept_out_of_what_runs() -> None:
    assert importers("random") == set()


def answer(**packages: list[str] | None) -> str:
    """The output of pip-audit: each package's vulnerabilities, or None for one that it could not ask about."""
    judged = [
        {"name": name, "version": "1", "vulns": [{"id": i} for i in ids]} for name, ids in packages.items() if ids is not None
    ]
    skipped = [{"name": name, "skip_reason": "not found"} for name, ids in packages.items() if ids is None]
    return json.dumps({"dependencies": [*judged, *skipped], "fixes": []})


@pytest.mark.parametrize(
    ("report", "vulnerable", "line"),
    [
        (answer(av=[], redis=[]), False, "pypi knows 0 vulnerabilities of 2 packages"),
        (answer(av=["PYSEC-1"], redis=[]), True, "av 1: PYSEC-1"),
        (answer(av=[], redis=None), False, "NOT ANSWERED for redis"),
        (answer(av=None, redis=None), None, "NOT DONE by pypi"),
        ("", None, "NOT DONE by pypi"),
    ],
)
def test_silence_of_the_advisory_service_is_no_clean_bill(report: str, vulnerable: bool | None, line: str) -> None:
    found, told = verdict("pypi", report)
    assert found is vulnerable and line in told
