"""Accuracy group by group: published examples of the intervals, and files that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from bot.cli import main
from model.errors import DataUnusable
from model.fairness import LEAST_FACES, MOST_GROUPS, Groups, by_group, difference, read_groups, wilson
from tests.synthetic import synthetic_split, write_split


def csv_with(folder: Path, *lines: str) -> Path:
    path = folder / "people.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def hits(right: int, n: int) -> list[bool]:
    return [True] * right + [False] * (n - right)


def test_the_interval_of_a_share_is_wilsons() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(30, 30)[1] == 1.0


def test_the_interval_of_a_difference_is_newcombes() -> None:
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10
    gap, interval = difference(56, 70, 48, 80)
    assert gap == pytest.approx(0.2) and interval == pytest.approx((0.0524, 0.3339), abs=5e-5)
    gap, interval = difference(9, 10, 3, 10)
    assert gap == pytest.approx(0.6) and interval == pytest.approx((0.1705, 0.8090), abs=5e-5)


def test_each_group_has_its_accuracy_and_the_largest_gap_is_between_groups_that_are_large_enough() -> None:
    people = ("old",) * 70 + ("young",) * 80 + ("middle",) * 100 + ("few",) * (LEAST_FACES - 1) + ("",) * 3
    right = hits(48, 70) + hits(72, 80) + hits(80, 100) + hits(0, LEAST_FACES - 1) + hits(3, 3)
    found = by_group(Groups("age", people), np.array(right))
    assert {name: (group["n"], group["accuracy"], group["too_small"]) for name, group in found["groups"].items()} == {
        "old": (70, pytest.approx(48 / 70), False),
        "young": (80, 0.9, False),
        "middle": (100, 0.8, False),
        "few": (LEAST_FACES - 1, 0.0, True),
    }
    assert (found["not_stated"], found["column"]) == (3, "age")
    gap = found["largest_gap"]
    assert (gap["better"], gap["worse"]) == ("young", "old") and gap["gap"] == pytest.approx(0.9 - 48 / 70)
    assert gap["interval"][0] < gap["gap"] < gap["interval"][1]


def test_groups_that_are_alike_are_rarely_told_apart_however_many_there_are() -> None:
    chance, groups, faces = np.random.default_rng(1), 10, 200
    people = tuple(f"group {number}" for number in range(groups) for _ in range(faces))
    found = [by_group(Groups("age", people), chance.random(groups * faces) < 0.67)["largest_gap"]["interval"] for _ in range(100)]
    assert sum(low > 0 for low, _ in found) <= 10, "of 100, five may be expected; without correction it was 67"


def test_one_group_that_is_large_enough_has_no_gap_to_another() -> None:
    found = by_group(Groups("age", ("old",) * 40 + ("young",) * 5), np.array(hits(20, 45)))
    assert found["largest_gap"] is None and found["groups"]["young"]["too_small"]


def test_groups_are_read_in_the_order_of_the_faces_from_any_csv(tmp_path: Path) -> None:
    path = csv_with(tmp_path, "\ufeffid,skin", '1," dark "', "2,light", "3,")
    assert read_groups(path, "skin", 3).of_faces == ("dark", "light", "")
    assert read_groups(path, "id", 3).of_faces == ("1", "2", "3")  # a byte order mark is not part of the name


def test_an_empty_line_of_a_column_that_stands_alone_states_nothing(tmp_path: Path) -> None:
    assert read_groups(csv_with(tmp_path, "skin", "dark", "", "light"), "skin", 3).of_faces == ("dark", "", "light")
    assert read_groups(csv_with(tmp_path, "id,skin", "1,dark", "", "2,light"), "skin", 2).of_faces == ("dark", "light")


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (("id,skin", "1,dark"), "has 1 lines, which does not fit the 2 faces"),
        (("id,age", "1,old", "2,old"), "has no column 'skin', it has id, age"),
        ((), "has no column 'skin', it has none"),
        (("id,skin", "1,", "2"), "the column 'skin' is empty"),
    ],
)
def test_groups_that_do_not_fit_are_one_line(tmp_path: Path, lines: tuple[str, ...], complaint: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(DataUnusable) as refused:
        read_groups(path, "skin", 2)
    assert complaint in str(refused.value) and str(path) in str(refused.value)


def test_a_column_of_names_and_a_file_that_is_no_text_are_one_line(tmp_path: Path) -> None:
    many = MOST_GROUPS + 1
    with pytest.raises(DataUnusable, match=f"has {many} values"):
        read_groups(csv_with(tmp_path, "id", *map(str, range(many))), "id", many)
    (tmp_path / "people.csv").write_bytes(b"id\n\xff\xfe\n")
    for path in (tmp_path / "people.csv", tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(DataUnusable, match="cannot be read"):
            read_groups(path, "id", 1)


def test_evaluate_compares_the_groups_of_a_column_or_of_a_file_beside(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pixels, labels = write_split(synthetic_split(80), tmp_path, "faces")
    files = ("evaluate", "--pixels", str(pixels), "--labels", str(labels))
    people = csv_with(tmp_path, "group", *(["a"] * 40 + ["b"] * 40))
    assert main([*files, "--groups", "group", "--groups-file", str(people), "--json"]) == 0
    beside = json.loads(capsys.readouterr().out)
    assert {name: group["n"] for name, group in beside["by_group"]["groups"].items()} == {"a": 40, "b": 40}
    shares = [group["accuracy"] for group in beside["by_group"]["groups"].values()]
    assert np.mean(shares) == pytest.approx(beside["accuracy"])
    assert beside["by_group"]["largest_gap"]["gap"] == pytest.approx(abs(shares[0] - shares[1]))
    assert main([*files, "--groups", "label"]) == 0
    told = capsys.readouterr().out
    assert told.count("too small: under 30") == 7 and "largest gap: none, fewer than two groups have 30 faces" in told


def test_evaluate_says_nothing_of_groups_that_were_not_asked_for_and_one_line_of_wrong_ones(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pixels, labels = write_split(synthetic_split(8), tmp_path, "faces")
    files = ("evaluate", "--pixels", str(pixels), "--labels", str(labels))
    assert main([*files]) == 0
    assert "group" not in capsys.readouterr().out
    assert main([*files, "--groups", "skin"]) == 3
    assert "has no column 'skin', it has label, neutral" in capsys.readouterr().err
    assert main([*files, "--groups-file", str(labels)]) == 2
    assert capsys.readouterr().err == "classmood: --groups-file needs --groups, the column in it\n"
