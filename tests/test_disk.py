"""Files that a training, a teacher or a page writes: complete, in the right place, and never over somebody else's."""

import os
import threading
from pathlib import Path

import pytest

from model.disk import check_writable, drafted


def write(path: Path, text: str) -> None:
    check_writable(path)
    with drafted(path) as draft:
        draft.write_text(text)


def test_a_file_is_written_beside_its_place_and_nothing_else_there_is_touched(tmp_path: Path) -> None:
    (tmp_path / "draft-page.md").write_text("somebody's own")
    write(tmp_path / "page.md", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"page.md": "new", "draft-page.md": "somebody's own"}


def test_a_file_that_was_not_finished_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    write(path, "old")
    with pytest.raises(ValueError, match="half"), drafted(path) as draft:
        draft.write_text("ne")
        raise ValueError("half")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.md").symlink_to(tmp_path / "there" / "page.md")
    write(tmp_path / "link.md", "new")
    assert (tmp_path / "link.md").is_symlink() and (tmp_path / "there" / "page.md").read_text() == "new"


def test_whoever_reads_a_pipe_gets_all_of_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    write(tmp_path / "pipe", "new")
    reader.join(5)
    assert read == ["new"] and (tmp_path / "pipe").is_fifo()
