"""Reading FER-2013's well-known CSV."""

from pathlib import Path

import numpy as np
import pytest

from model.errors import DataUnusable
from model.fer2013_csv import read_fer2013_csv, read_usages

GREY = " ".join(["7"] * 48 * 48)
HEADER = "emotion,pixels,Usage"


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "fer2013.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_each_face_goes_to_its_split(tmp_path: Path) -> None:
    path = written(tmp_path, f"3,{GREY},PublicTest", f"0,{GREY},Training", f"6,{GREY},Training", f"1,{GREY},PrivateTest")
    training, test = read_fer2013_csv(path, "Training", "PublicTest")
    assert training.labels.tolist() == [0, 6] and test.labels.tolist() == [3]
    assert training.pixels.shape == (2, 48, 48) and np.all(training.pixels == 7)
    assert not training.votes.any()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"7,{GREY},Training", "line 2: emotion 7 is not one of 0 to 6"),
        (f"x,{GREY},Training", "line 2: an emotion and pixels are wanted as whole numbers"),
        ("3,1 2 x,Training", "line 2: an emotion and pixels are wanted as whole numbers"),
        ("3,1 2 3,Training", "line 2: 2304 pixels are wanted, 3 stand there"),
        (f"3,{GREY} 300,Training", "line 2: 2304 pixels are wanted, 2305 stand there"),
        (f"3,{GREY[:-1]}300,Training", "line 2: a pixel is "),
        (f"3,{GREY[:-1]}{30 * '9'},Training", "line 2: an emotion and pixels are wanted as whole numbers"),
        (f"3,{GREY},Test", "line 2: 'Test' is none of Training, PublicTest, PrivateTest"),
        ("3", "line 2 ends before its Usage"),
    ],
)
def test_a_line_that_is_no_face_is_named(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(DataUnusable) as caught:
        read_fer2013_csv(written(tmp_path, line), "Training")
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_of_something_else_and_an_empty_split_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataUnusable, match="has no column pixels, it has emotion, happy"):
        read_fer2013_csv(written(tmp_path, "1,2", header="emotion,happy"), "Training")
    with pytest.raises(DataUnusable, match="has no faces of PublicTest"):
        read_fer2013_csv(written(tmp_path, f"3,{GREY},Training"), "Training", "PublicTest")
    with pytest.raises(DataUnusable, match=r"absent.csv cannot be read: "):
        read_fer2013_csv(tmp_path / "absent.csv", "Training")


def test_the_edition_with_a_space_behind_each_comma_is_read_too(tmp_path: Path) -> None:
    path = written(tmp_path, f"3, Training, {GREY}", f"5, PrivateTest, {GREY}", header="emotion, Usage, pixels")
    assert {usage: split.labels.tolist() for usage, split in read_usages(path).items()} == {"Training": [3], "PrivateTest": [5]}
