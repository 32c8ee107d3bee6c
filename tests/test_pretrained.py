"""ImageNet weights are fetched once, completely, and a fetch that fails is reported in one line."""

import hashlib
import logging
import socket
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from model.pretrained import Published, fetched

WEIGHTS = bytes(range(256)) * 400
NAME = "vgg16_notop.h5"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def source(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the folder that it serves."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=folder)) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()


def published(source: str) -> Published:
    return Published(source + NAME, hashlib.md5(WEIGHTS, usedforsecurity=False).hexdigest())


def nowhere() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


def test_weights_are_fetched_into_keras_cache_and_need_no_network_afterwards(home: Path, source: tuple[str, Path]) -> None:
    (source[1] / NAME).write_bytes(WEIGHTS)
    assert fetched("vgg16", published(source[0])) == home / "models" / NAME
    assert (home / "models" / NAME).read_bytes() == WEIGHTS
    assert fetched("vgg16", published(nowhere())) == home / "models" / NAME
    assert [path.name for path in (home / "models").iterdir()] == [NAME]


def test_half_a_file_of_an_earlier_fetch_is_fetched_again(home: Path, source: tuple[str, Path]) -> None:
    (source[1] / NAME).write_bytes(WEIGHTS)
    (home / "models").mkdir()
    (home / "models" / NAME).write_bytes(WEIGHTS[:1000])
    assert fetched("vgg16", published(source[0])) == home / "models" / NAME
    assert (home / "models" / NAME).read_bytes() == WEIGHTS


@pytest.mark.parametrize("served", [None, b"a page of somebody else's"])
def test_what_cannot_be_had_or_is_something_else_is_one_line_and_leaves_no_file(
    home: Path, source: tuple[str, Path], served: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    if served is not None:
        (source[1] / NAME).write_bytes(served)
    with caplog.at_level(logging.WARNING):
        assert fetched("vgg16", published(source[0])) is None
    (line,) = caplog.messages
    assert line.startswith("the ImageNet weights of vgg16 cannot be fetched (") and line.endswith("): it starts from scratch")
    assert not list((home / "models").iterdir())


def test_without_a_network_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert fetched("vgg16", published(nowhere())) is None
    assert len(caplog.messages) == 1 and "Connection refused" in caplog.messages[0]
