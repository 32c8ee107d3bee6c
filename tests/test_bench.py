"""Measuring what a look and a face cost."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot.bench.packets import recorded
from bot.bench.stopwatch import compare
from bot.cli import main
from model.faces import Emotion
from tests.commands import started
from tests.synthetic import synthetic_split, write_split


def test_every_work_is_done_in_every_round_and_the_dearer_one_costs_more() -> None:
    done: list[str] = []
    costs = compare(
        {"dear": lambda: done.append("dear") or sum(range(200_000)), "cheap": lambda: done.append("cheap")}, 2, rounds=3
    )
    assert done == ["dear", "cheap"] + ["dear", "dear", "cheap", "cheap"] * 3
    assert costs["dear"].cpu_ms > costs["cheap"].cpu_ms


@pytest.mark.slow
def test_a_look_is_compared_with_the_sum_of_its_bare_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pipeline", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ms_per_look"] == pytest.approx(1000 / result["looks_per_second_per_core"])
    # a look does everything that the bare parts do, and more; other work may keep the machine busy meanwhile
    assert 1 < result["ratio_to_bare"] < 4
    assert set(result["ms_bare_parts"]) == {"conversion", "detector", "classifier"}


@pytest.mark.slow
def test_planning_the_detector_for_the_picture_makes_it_cheaper_than_its_square(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pipeline", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ms_bare_parts"]["detector"] < result["ms_bare_naive_parts"]["blazeface_128x128"]
    assert result["ratio_to_bare_naive"] < result["ratio_to_bare"]


@pytest.mark.slow
def test_a_face_is_measured_alone_and_in_a_batch_beside_the_detector(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "model"]) == 0
    said = capsys.readouterr().out
    assert "ms_per_face:\n  1: " in said and "\n  8: " in said and "blazeface_ms: " in said


@pytest.mark.slow
@pytest.mark.parametrize("what", ["model", "pipeline"])
def test_a_measurement_can_be_ended(tmp_path: Path, what: str) -> None:
    with started(tmp_path, "bench", what, PYTHONPROFILEIMPORTTIME="1") as measuring:
        measuring.until_it_says(" bot.bench.pipeline\n")
        measuring.signal(signal.SIGTERM)
        assert measuring.exit_code(5) == -signal.SIGTERM


FER = """
class FER:
    def __init__(self, offsets):
        assert offsets == (0, 0)

    def detect_emotions(self, image, face_rectangles):
        assert image.shape == (48, 48, 3) and face_rectangles == [(0, 0, 48, 48)]
        names = ("neutral", "happy", "sad", "angry", "fear", "surprise", "disgust")
        return [{"emotions": {name: float(name == "happy") for name in names}}]
"""

DEEPFACE = """
class DeepFace:
    @staticmethod
    def analyze(picture, **how):
        raise ValueError("the weights cannot be fetched\\nfrom there")
"""


@pytest.mark.slow
def test_peers_are_read_on_the_same_faces_and_one_that_cannot_read_costs_no_figure(tmp_path: Path) -> None:
    """Stand-in packages with the peers' names replace the real ones, which would bring tensorflow."""
    for name, text in {"fer/fer.py": FER, "fer/__init__.py": "", "deepface/__init__.py": DEEPFACE}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    split = synthetic_split(70)
    pixels, labels = write_split(split, tmp_path, "split")
    command = [sys.executable, "-m", "bot", "bench", "model", "--json", "--pixels", str(pixels), "--labels", str(labels)]
    ended = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    result = json.loads(ended.stdout)
    assert result["faces"] == 70 and set(result["accuracy"]) == {result["model"], "fer"}
    assert result["accuracy"]["fer"] == (split.labels == list(Emotion).index(Emotion.HAPPY)).mean()
    assert "fer" in result["peers"] and "deepface" not in result["peers"]
    assert "deepface is installed and cannot be measured: the weights cannot be fetched\n" in ended.stderr


FER_OF_ANOTHER_OPENCV = """
class FER:
    def __init__(self):
        raise AttributeError("module 'cv2' has no attribute 'CascadeClassifier'")
"""


@pytest.mark.slow
def test_a_peer_for_another_opencv_is_left_out_in_one_line(tmp_path: Path) -> None:
    for name, text in {"fer/fer.py": FER_OF_ANOTHER_OPENCV, "fer/__init__.py": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "bot", "bench", "pipeline", "--json"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    assert "fer" not in json.loads(ended.stdout)["peers"]
    assert "fer is installed and cannot be measured: module 'cv2' has no attribute 'CascadeClassifier'\n" in ended.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ["model", "--pixels", "p.png"],
        ["pipeline", "--pixels", "p.png", "--labels", "p.csv"],
        ["room", "--plot", "nowhere/x.png"],
        ["room", "--plot", "x.xyz"],
    ],
)
def test_what_would_fail_after_the_measurement_is_refused_before(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *wrong]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_receiving_is_compared_with_aiortcs_own_way_on_the_same_streams(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "receiving", "--students", "3", "--seconds", "2", "--runs", "1", "--json"]) == 0
    said = capsys.readouterr()
    (result,) = json.loads(said.out)
    assert [line.rpartition(", ")[2] for line in said.err.splitlines()] == ["stock", "ours"]
    recorded_rate = 3 * recorded("simulcast").frames_per_second
    for way in ("stock", "ours"):
        # CPU time per second over CPU time per frame
        rate = 10 * result["cpu_percent_of_core"][way] / result["cpu_ms_per_frame"][way]
        assert rate == pytest.approx(recorded_rate, rel=0.15)
    assert result["ratio_by_run"] == [result["ratio_to_stock"]]
    assert 0 < result["ratio_to_stock"] < 1.5  # other work may disturb the machine within these two seconds
    assert 0 < result["bare_decoding_ms_per_frame"] < result["cpu_ms_per_frame"]["stock"]


def test_the_command_knows_what_it_can_measure(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as over:
        main(["bench", "--help"])
    assert over.value.code == 0
    told = capsys.readouterr().out
    assert "{model,pipeline,receiving,room}" in told and "50 for receiving" in " ".join(told.split())


@pytest.mark.parametrize("wrong", [["receive"], ["receiving", "--students", "0"], ["receiving", "--seconds", "-1"]])
def test_what_cannot_be_measured_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as over:
        main(["bench", *wrong])
    assert over.value.code == 2
    assert capsys.readouterr().out == ""
