"""The report as files: their contents, who may read them, and what a hostile name does to them."""

import csv
import io
import json
import math
import os
import re
import signal
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.cli import main
from bot.errors import SettingsWrong
from bot.recorded_marks import MarksToPlay, keep_marks, marks_file
from bot.whole_files import CannotWrite, write_whole
from dashboard.palette import EMOTION_LOOKS, FAINT, INK, PAPER, THEMES, css_variables
from dashboard.report.build import Options, build
from dashboard.report.classes import Classes
from dashboard.report.compare import ReportUnusable, read_report
from dashboard.report.model import Report
from dashboard.report.page import page
from dashboard.report.plots import valence_plot
from dashboard.report.read import Reading
from dashboard.report.tables import csv_table, markdown
from model.faces import Emotion
from pipeline.keys import Keys
from pipeline.markers import mark, markers, new_marker
from tests.commands import started
from tests.lessons import STARTS_MS, basis, comes, goes, heartbeats, lines, summary, two_minutes
from tests.redis_servers import RedisServer, free_port, needs_redis

EXAMPLE = Path(__file__).parent / "fixtures" / "example-class.jsonl.gz"
SCHEMA = Path(__file__).parents[1] / "docs" / "report.schema.json"
KEYS = Keys("classmood", "demo")
HOSTILE = "=cmd|' /C calc'!A1 <script>alert(1)</script> \u202e|*x*$\\frac$"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "class.jsonl"
    path.write_bytes(b"\n".join(lines(two_minutes())))
    marks_file(path).write_text(new_marker("exercise", STARTS_MS + 60_000).model_dump_json())
    return path


@pytest.fixture(scope="module")
def hostile() -> Report:
    named = [(0, basis(names=True)), *comes(0, "p0", HOSTILE), *heartbeats(0, 120, 6), goes(120, "p0")]
    reading = Reading(Classes())
    reading.add_lines(lines([*named, summary(0, {Emotion.HAPPY: 3, Emotion.SAD: 3}), summary(60, {Emotion.HAPPY: 6})]))
    marks = [new_marker("=1+1 <img src=x onerror=alert(1)> $x^2$", STARTS_MS + 60_000)]
    report = build(reading.classes, marks, 0, Options(HOSTILE, STARTS_MS, "names"))
    assert report is not None
    return report


@pytest.fixture(scope="module")
def hostile_page(hostile: Report) -> str:
    return page(hostile, UTC)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    code = main([*arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_recording_with_its_marks_becomes_a_report_in_every_format(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("report.html", "report.json", "report.csv", "report.md"):
        code, _, err = said(capsys, "report", "--recording", str(recording), "--out", str(tmp_path / name))
        assert (code, err) == (0, f"written to {tmp_path / name}\n")
        assert "exercise" in (tmp_path / name).read_text()
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert read_report((tmp_path / "report.json").read_bytes()).overall.scored == 6


def test_the_page_is_one_file_without_scripts_that_asks_nobody(hostile_page: str) -> None:
    text = hostile_page
    assert "<script" not in text and "<img" not in text
    assert re.findall(r"""(?:src|href)=["'](?!#)""", text) == []
    assert re.findall(r"url\((?!#)", text) == []
    assert "default-src 'none'" in text
    assert "&lt;script&gt;" in text and "&lt;img src" in text


def test_every_id_on_the_page_is_its_own_and_every_plot_has_a_text(hostile_page: str) -> None:
    text = hostile_page
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", text)) <= set(ids)
    for plot in ("shares", "valence", "coverage"):
        assert f'<title id="{plot}-title">' in text and f'<desc id="{plot}-description">' in text


def test_the_same_report_is_drawn_the_same_every_time(hostile: Report, hostile_page: str) -> None:
    assert valence_plot(hostile) in hostile_page


def test_no_cell_of_the_table_is_a_formula(hostile: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_table(hostile))))
    texts = {row[column] for row in rows for column in ("room", "subject", "figure", "of")}
    assert any(text.startswith("'=") for text in texts)
    assert [text for text in texts if text.startswith(("=", "+", "-", "@"))] == []
    assert {row["of"] for row in rows} == {"class", "participant", "mark"}
    assert all(float(row["value"]) == float(row["value"]) for row in rows)


def test_the_table_has_a_row_for_each_step_and_figure_and_none_for_what_was_withheld(recording: Path) -> None:
    reading = Reading(Classes())
    reading.add_lines(recording.read_bytes().splitlines())
    report = build(reading.classes, [], 0, Options("demo", STARTS_MS))
    assert report is not None
    rows = list(csv.DictReader(io.StringIO(csv_table(report))))
    valence = {row["at_seconds"]: row["value"] for row in rows if (row["of"], row["figure"]) == ("class", "valence")}
    assert valence == {**{f"{10.0 * step}": "0.5" for step in range(6)}, **{f"{10.0 * step}": "-0.5" for step in range(6, 9)}}


def test_a_name_breaks_no_row_of_the_markdown(hostile: Report) -> None:
    text = markdown(hostile, UTC)
    assert "<script>" not in text and "<img" not in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}) == 1


def test_the_schema_in_the_docs_is_that_of_the_reports() -> None:
    assert json.loads(SCHEMA.read_text()) == Report.model_json_schema()


def test_a_report_reads_its_own_json(hostile: Report) -> None:
    assert read_report(hostile.model_dump_json().encode()) == hostile


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"{}", b'{"report_version": 2}', b'{"report_version": 1}', b"\xff"])
def test_what_is_no_report_is_refused_in_one_line(text: bytes) -> None:
    with pytest.raises(ReportUnusable, match=r"\A[^\n]+\Z"):
        read_report(text)


def test_reports_are_laid_side_by_side(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    assert main(["report", "--recording", str(recording), "--out", str(first)]) == 0
    assert main(["report", "--recording", str(recording), "--until", "2026-01-01T09:00:59Z", "--out", str(second)]) == 0
    capsys.readouterr()
    code, out, _ = said(capsys, "report", "--compare", str(first), str(second))
    assert code == 0
    assert "| demo (a.json) | demo (b.json) |" in out and "| valence | +0.17 | +0.50 |" in out
    for name in ("c.html", "c.csv", "c.json"):
        assert main(["report", "--compare", str(first), str(second), "--out", str(tmp_path / name)]) == 0
    assert "<svg" in (tmp_path / "c.html").read_text()
    assert [each["overall"]["valence"] for each in json.loads((tmp_path / "c.json").read_text())["classes"]] == [0.1667, 0.5]


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ([], 2, "takes a room"),
        (["demo", "--recording", "x.jsonl"], 2, "either a room or --recording"),
        (["--recording", "/nowhere/x.jsonl"], 3, "cannot read /nowhere/x.jsonl"),
        (["--recording", "CLASS", "--run", "7"], 6, "no event of run 7"),
        (["--recording", "CLASS", "--since", "2027-01-01T00:00:00Z"], 6, "nobody was in the room then"),
        (
            # with dates, because before ten in the morning a bare 10:00 would mean yesterday, and 09:00 might still be to come
            ["--recording", "CLASS", "--since", "2026-09-01T10:00:00Z", "--until", "2026-09-01T09:00:00Z"],
            2,
            "--since is not before --until",
        ),
        (["--recording", "CLASS", "--markers", "/nowhere"], 3, "cannot read /nowhere"),
        (["--compare", "CLASS", "CLASS"], 3, "not JSON"),
        (["--compare", "CLASS"], 3, "takes 2 to 12"),
        (["--recording", "CLASS", "--out", "FOLDER"], 2, "is a folder"),
        (["--recording", "CLASS", "--out", "FOLDER/x.pdf"], 2, "no report ends in .pdf: name a file that ends in .html, .json"),
        (["--compare", "CLASS", "CLASS", "--out", "x.TXT"], 2, "no report ends in .txt"),
        (["--recording", "CLASS", "--out", "/nowhere/r.md"], 3, "cannot write /nowhere/r.md"),
        (["--recording", "CLASS", "--out", "/dev/full", "--format", "md"], 3, "No space left"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    recording: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, why: str
) -> None:
    names = {"CLASS": str(recording), "FOLDER": str(recording.parent)}
    in_folder = (each.replace("FOLDER/", f"{recording.parent}/") for each in arguments)
    ended, out, err = said(capsys, "report", *(names.get(each, each) for each in in_folder), "--force")
    assert (ended, out) == (code, "")
    assert why in err and err.count("\n") == 1
    assert sorted(path.name for path in recording.parent.iterdir()) == ["class.jsonl", "class.markers.jsonl"]


def test_a_file_of_any_ending_is_written_if_the_format_is_said_and_one_without_any_is_a_page(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, said_format, begins in (("r.txt", ["--format", "md"], "# Class in demo"), ("report", [], "<!doctype html>")):
        code, _, _ = said(capsys, "report", "--recording", str(recording), "--out", str(tmp_path / name), *said_format)
        assert code == 0 and (tmp_path / name).read_text().startswith(begins)


def test_a_recording_that_is_cut_off_counts_up_to_there(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording.write_bytes(recording.read_bytes()[:-40] + b"\n\nno json\n")
    code, out, _ = said(capsys, "report", "--recording", str(recording), "--format", "json")
    assert code == 0
    assert json.loads(out)["source"]["broken"] == 2


def cut(packed: bytes) -> bytes:
    return packed[: len(packed) * 2 // 3]


def damaged(packed: bytes) -> bytes:
    middle = len(packed) * 2 // 3
    return packed[:middle] + bytes(64) + packed[middle + 64 :]


@pytest.mark.parametrize(("spoil", "why"), [(cut, "ends too early: the gzip stream is cut off"), (damaged, "is damaged: ")])
def test_a_recording_that_cannot_be_read_to_its_end_is_told_to_on_the_terminal_and_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[bytes], bytes], why: str
) -> None:
    recording = tmp_path / "class.jsonl.gz"
    recording.write_bytes(spoil(EXAMPLE.read_bytes()))
    reports = {}
    for form in ("json", "md", "html"):
        code, reports[form], err = said(capsys, "report", "--recording", str(recording), "--format", form)
        assert code == 0 and err.startswith(f"{recording} {why}") and err.count("\n") == 1
    source = read_report(reports["json"].encode()).source
    assert source.ends_early and source.events > 1000
    assert all("The recording is cut off or damaged" in report for report in reports.values())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_report_that_waits_for_its_recording_can_be_ended(tmp_path: Path, number: signal.Signals, code: int) -> None:
    os.mkfifo(tmp_path / "class.jsonl")
    with started(tmp_path, "report", "--recording", "class.jsonl") as report, (tmp_path / "class.jsonl").open("wb"):
        report.signal(number)
        assert report.exit_code(5) == code
    assert "Traceback" not in report.err


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_whole(path, b"first")
    with pytest.raises(SettingsWrong, match="--force overwrites"):
        write_whole(path, b"second")
    write_whole(path, b"second", force=True)
    with pytest.raises(CannotWrite, match="cannot write"):
        write_whole(tmp_path / "no" / "folder.html", b"third")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("report.html", b"second")]


@needs_redis
def test_a_room_in_redis_becomes_a_report_and_an_unknown_one_a_line(
    server: RedisServer, recording: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLASSMOOD_REDIS_URL", server.url)
    assert main(["replay", str(recording), "--room", "algebra", "--history"]) == 0
    capsys.readouterr()
    code, out, _ = said(capsys, "report", "algebra", "--format", "json")
    report = read_report(out.encode())
    assert (code, report.room, report.overall.valence) == (0, "algebra", 0.1667)
    assert [(each.label, each.at_seconds) for each in report.marks] == [("exercise", 60)]
    assert main(["mark", "nowhere", "exercise"]) == 0
    capsys.readouterr()
    code, out, err = said(capsys, "report", "nowhere")
    assert (code, out, err) == (6, "", "classmood: room nowhere holds no event, but 1 mark\n")
    monkeypatch.setenv("CLASSMOOD_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    code, _, err = said(capsys, "report", "algebra")
    assert (code, err.count("\n")) == (4, 1)


@needs_redis
async def test_the_marks_of_a_class_are_kept_beside_its_recording_and_made_again(redis: Redis, tmp_path: Path) -> None:
    for label, at_ms in (("before", 500), ("exercise", 2000), ("end", 9000)):
        await mark(redis, KEYS, label, at_ms)
    recording = tmp_path / "class.jsonl.gz"
    assert await keep_marks(redis, KEYS, recording, 1000) == 2
    await redis.flushall()
    marks = MarksToPlay(str(recording), 1000, redis, KEYS, 3_600_000)
    await marks.play(500, 50_000, None)
    assert await markers(redis, KEYS) == []
    await marks.play(5000, 50_000, None)
    assert [(each.label, each.at_ms) for each in await markers(redis, KEYS)] == [("exercise", 51_000)]
    await marks.play(8000, 50_000, 77_000)
    assert [(each.label, each.at_ms) for each in await markers(redis, KEYS)] == [("exercise", 51_000), ("end", 77_000)]


def test_the_colours_can_be_told_apart_by_every_eye_and_from_the_paper() -> None:
    for theme in THEMES:
        paper = PAPER.on(theme)
        colours = [look.on(theme) for look in EMOTION_LOOKS.values()]
        assert min(contrast(colour, paper) for colour in colours) >= 3
        assert min(contrast(look.on(theme), paper) for look in (INK, FAINT)) >= 4.5
        for seen in EYES.values():
            labs = [
                lab([sum(weight * part for weight, part in zip(row, linear(each), strict=True)) for row in seen])
                for each in colours
            ]
            assert min(distance(a, b) for number, a in enumerate(labs) for b in labs[:number]) >= 26
    assert len({look.sign for look in EMOTION_LOOKS.values()}) == 7
    assert "--happy: #bf8117;" in css_variables("light")


EYES = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
"""What linear red, green and blue become without one kind of cone. Source: Machado, Oliveira and Fernandes 2009, table 1."""


def linear(colour: str) -> list[float]:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def contrast(one: str, other: str) -> float:
    light, dark = sorted(
        sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear(each), strict=True)) for each in (one, other)
    )[::-1]
    return (light + 0.05) / (dark + 0.05)


def lab(parts: list[float]) -> tuple[float, float, float]:
    rows = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
    inside = [min(1.0, max(0.0, part)) for part in parts]
    white = (0.95047, 1.0, 1.08883)
    x, y, z = (sum(w * p for w, p in zip(row, inside, strict=True)) / full for row, full in zip(rows, white, strict=True))
    f = [each ** (1 / 3) if each > 0.008856 else 7.787 * each + 16 / 116 for each in (x, y, z)]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return math.dist(one, other)


def test_a_file_that_is_nested_beyond_any_report_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    ended, out, err = said(capsys, "report", "--compare", str(deep), str(deep))
    assert (ended, out, err.count("\n")) == (3, "", 1)
    assert "not JSON" in err
