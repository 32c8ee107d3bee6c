"""The real browser that tests drive: where it is, and how to start it."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
