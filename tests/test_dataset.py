"""Reading FER-2013's layout, and finding pictures that occur in both of two splits."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from model.dataset import VOTES, Split, read_faces, read_mosaic, read_split, repeats, resized
from model.errors import DataUnusable
from model.faces import EMOTIONS, Emotion
from tests.synthetic import synthetic_split, write_split


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_split(synthetic_split(200), tmp_path, "split")


def refusal(pixels: Path, labels: Path) -> str:
    """The line with which the files are refused."""
    with pytest.raises(DataUnusable) as caught:
        read_split(pixels, labels)
    line = str(caught.value)
    assert "\n" not in line
    return line


def change_line(labels: Path, number: int, line: str) -> None:
    lines = labels.read_text().splitlines()
    lines[number - 1] = line
    labels.write_text("\n".join(lines) + "\n")


def test_a_split_is_read_as_it_was_written(files: tuple[Path, Path]) -> None:
    wanted, read = synthetic_split(200), read_split(*files)
    assert (read.pixels == wanted.pixels).all()
    assert (read.labels == wanted.labels).all()
    assert (read.votes == wanted.votes).all()


def test_the_crowds_columns_are_put_in_the_order_of_the_emotions() -> None:
    votes = np.arange(len(VOTES), dtype=np.float32)[None]
    split = Split(np.zeros((1, 48, 48), np.uint8), np.zeros(1, np.int64), votes)
    named = dict(zip(EMOTIONS, split.votes_per_emotion()[0].tolist(), strict=True))
    assert named[Emotion.NEUTRAL] == VOTES.index("neutral")
    assert named[Emotion.HAPPY] == VOTES.index("happiness")
    assert named[Emotion.ANGRY] == VOTES.index("anger")
    assert named[Emotion.FEAR] == VOTES.index("fear")


def test_chosen_rows_stay_together() -> None:
    split = synthetic_split(20)
    chosen = split.only(split.labels == 3)
    assert len(chosen) == 3
    assert (chosen.pixels == split.pixels[[3, 10, 17]]).all()


def test_two_parts_share_no_row_and_leave_none_out_and_the_seed_decides() -> None:
    split = synthetic_split(200)
    rest, part = split.parted(0.1, seed=5)
    faces = [{face.tobytes() for face in each.pixels} for each in (rest, part, split)]
    assert (len(rest), len(part)) == (180, 20)
    assert not faces[0] & faces[1] and faces[0] | faces[1] == faces[2]
    assert np.array_equal(split.parted(0.1, seed=5)[1].pixels, part.pixels)
    assert not np.array_equal(split.parted(0.1, seed=6)[1].pixels, part.pixels)
    assert len(split.parted(0.0, seed=5)[1]) == 0


def test_a_missing_picture_is_named(files: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    files[0].unlink()
    assert refusal(*files) == f"{files[0]} cannot be read: No such file or directory"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_a_file_that_is_no_picture_is_named(files: tuple[Path, Path], content: bytes) -> None:
    files[0].write_bytes(content)
    assert refusal(*files) == f"{files[0]} cannot be read as a picture"


def test_a_picture_of_another_shape_is_no_mosaic(files: tuple[Path, Path]) -> None:
    cv2.imwrite(str(files[0]), np.zeros((48, 480), np.uint8))
    assert refusal(*files) == f"{files[0]} is 480x48, not a mosaic of 128 faces of 48 pixels to a row"


def test_a_mosaic_and_labels_of_different_length_do_not_fit(files: tuple[Path, Path]) -> None:
    lines = files[1].read_text().splitlines()
    files[1].write_text("\n".join(lines[:50]) + "\n")
    assert refusal(*files) == f"{files[0]} has more faces than {files[1]} has lines, 49"
    files[1].write_text("\n".join([*lines, *lines[1:]]) + "\n")
    assert refusal(*files) == f"{files[0]} has room for 256 faces, which does not fit the 400 lines of {files[1]}"


def test_labels_without_votes_will_do(files: tuple[Path, Path]) -> None:
    labels = [line.split(",")[0] for line in files[1].read_text().splitlines()]
    for rows in (labels, ["label," + ",".join(VOTES), *(label + 10 * "," for label in labels[1:])]):
        files[1].write_text("\n".join(rows) + "\n")
        read = read_split(*files)
        assert read.labels.tolist() == synthetic_split(200).labels.tolist() and not read.votes.any()
        assert read.votes.shape == (200, len(VOTES))


@pytest.mark.parametrize(
    ("header", "missing"), [("Label", "label"), ("label,neutral,happiness", "surprise"), ("emotion", "label")]
)
def test_labels_that_lack_a_column_are_refused_by_its_name(files: tuple[Path, Path], header: str, missing: str) -> None:
    files[1].write_text(f"{header}\n3,1,1\n")
    assert refusal(*files) == f"{files[1]} has no column {missing}, it has {', '.join(header.split(','))}"


def test_a_black_face_may_be_the_last_of_a_full_mosaic_or_of_one_in_which_the_crowd_saw_none(tmp_path: Path) -> None:
    split = synthetic_split(256)
    split.pixels[[199, 255]] = 0
    assert len(read_split(*write_split(split, tmp_path, "full"))) == 256
    split.votes[199] = np.arange(len(VOTES)) == VOTES.index("not_face")
    assert len(read_split(*write_split(split.only(np.arange(200)), tmp_path, "seen"))) == 200


def test_a_mosaic_may_have_empty_rows_at_its_end(files: tuple[Path, Path]) -> None:
    mosaic = cv2.imread(str(files[0]), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(files[0]), np.concatenate([mosaic, np.zeros_like(mosaic)]))
    assert len(read_split(*files)) == 200


def test_labels_that_lack_their_last_line_do_not_fit(files: tuple[Path, Path]) -> None:
    files[1].write_text("\n".join(files[1].read_text().splitlines()[:-1]) + "\n")
    assert refusal(*files) == f"{files[0]} has more faces than {files[1]} has lines, 199"


def test_labels_with_a_line_too_many_do_not_fit(files: tuple[Path, Path]) -> None:
    lines = files[1].read_text().splitlines(keepends=True)
    files[1].write_text("".join([*lines[:5], lines[4], *lines[5:]]))
    with pytest.raises(DataUnusable, match=r"has fewer faces than .* has lines, \d+: the last one's place is empty$"):
        read_split(*files)


def test_a_picture_that_claims_to_be_larger_than_any_is_refused(files: tuple[Path, Path]) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    files[0].write_bytes(content + files[0].read_bytes()[33:])
    assert refusal(*files) == f"{files[0]} cannot be read as a picture"


@pytest.mark.parametrize("votes", ["-1", "1001", "1" + 30 * "0"])
def test_votes_that_no_crowd_gives_are_named(files: tuple[Path, Path], votes: str) -> None:
    change_line(files[1], 5, f"3,{votes}" + 9 * ",0")
    assert refusal(*files) == f"{files[1]} line 5: votes are numbers of 0 to 1000"


@pytest.mark.parametrize(
    "line", ["3,1,2", "three,0,0,0,0,0,0,0,0,0,0", "3,0,0,0,0,0,0,0,0,0,", "3,0,0,0,0,0,0,0,0,0,1.5", "-1" + 10 * ",0"]
)
def test_a_damaged_line_of_labels_is_named(files: tuple[Path, Path], line: str) -> None:
    change_line(files[1], 7, line)
    assert refusal(*files).startswith(f"{files[1]} line 7: ")


def test_a_label_out_of_range_is_named(files: tuple[Path, Path]) -> None:
    change_line(files[1], 3, "7" + 10 * ",0")
    assert refusal(*files) == f"{files[1]} line 3: label 7 is not one of 0 to 6"


def test_labels_without_faces_are_refused(files: tuple[Path, Path]) -> None:
    files[1].write_text(files[1].read_text().splitlines()[0] + "\n")
    assert refusal(*files) == f"{files[1]} has no faces"


def test_labels_that_are_no_text_are_refused(files: tuple[Path, Path]) -> None:
    files[1].write_bytes(b"\xff\xfe\xfa")
    assert refusal(*files).startswith(f"{files[1]} cannot be read: ")


def test_a_mosaic_alone_gives_all_its_places(files: tuple[Path, Path]) -> None:
    assert read_mosaic(files[0]).shape == (256, 48, 48)


def test_the_faces_of_a_mosaic_are_its_places_without_the_empty_ones_at_its_end(files: tuple[Path, Path]) -> None:
    split = read_split(*files)
    assert np.array_equal(read_faces(files[0]), split.pixels)


def test_where_there_are_no_faces_none_is_repeated() -> None:
    faces = synthetic_split(3).pixels
    assert repeats(faces[:0], among=faces).tolist() == [] and repeats(faces, among=faces[:0]).tolist() == [False] * 3


def test_repeats_are_found_even_if_they_are_a_little_changed() -> None:
    faces = np.random.default_rng(1).integers(0, 256, (40, 48, 48), dtype=np.uint8)
    faces = np.stack([cv2.GaussianBlur(face, (0, 0), 4) for face in faces]).astype(np.uint8)
    lighter = np.clip(faces[5].astype(int) + 9, 0, 255).astype(np.uint8)
    found = repeats(np.stack([faces[3], lighter, faces[39]]), among=faces[:20])
    assert found.tolist() == [True, True, False]


def test_even_pictures_repeat_only_themselves() -> None:
    black, grey = np.zeros((1, 48, 48), np.uint8), np.full((1, 48, 48), 90, np.uint8)
    assert repeats(np.concatenate([black, grey]), among=black).tolist() == [True, False]


def test_faces_of_the_right_size_are_not_touched() -> None:
    faces = synthetic_split(3).pixels
    assert resized(faces, 48) is faces
    assert resized(faces, 24).shape == (3, 24, 24)
