"""Whether ImageNet weights can be had, without fetching them."""

import logging
import socket
from pathlib import Path

import pytest

from model.pretrained import can_be_had


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def test_weights_that_were_fetched_before_need_no_network(home: Path) -> None:
    (home / "models").mkdir()
    (home / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5").touch()
    assert can_be_had("vgg16", source="http://127.0.0.1:9/")
    assert not can_be_had("resnet50", source="http://127.0.0.1:9/")


def test_without_a_way_to_them_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.WARNING):
        port = taken.getsockname()[1]
        taken.close()
        assert not can_be_had("vgg16", source=f"http://127.0.0.1:{port}/")
    (line,) = caplog.messages
    assert line.startswith("the ImageNet weights of vgg16 cannot be fetched (") and line.endswith("): it starts from scratch")
