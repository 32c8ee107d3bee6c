"""What holds for every test, and the servers that tests ask for."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pylibsrtp  # noqa: F401  # before any test loads tensorflow: the other way round, their two OpenSSLs end the process
import pytest
from redis.asyncio import Redis

from bot.settings import PREFIX
from tests.redis_servers import SERVER, RedisServer, running_redis

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell's background jobs ignore Ctrl-C, and so would every process that the tests start and interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)

WITH_TENSORFLOW = {"test_train_generator.py"} | {
    f"test_{name}.py"
    for name in (
        *("average", "classifier", "distilling", "dlib_resnet", "export", "mobilenet", "networks", "normalisation"),
        *("recover", "settle", "teaching", "train"),
    )
}
"""All of their tests are slow; merely collecting them would load tensorflow, which takes seconds."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files that contain no test of the default suite."""
    return True if config.option.markexpr == "not slow" and collection_path.name in WITH_TENSORFLOW else None


@pytest.fixture(autouse=True)
def settings_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not change a test."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
async def no_task_left_behind() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"tasks outlived the test: {left}"


@pytest.fixture(autouse=True)
def no_model_thread_left_behind() -> Iterator[None]:
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("model")]
    assert not left, f"threads outlived the test: {left}"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis for one test file; a file that needs a different one defines its own."""
    with running_redis(SERVER) as running:
        yield running


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    """A client of that server, which is still empty."""
    async with server.client() as client:
        await client.flushall()
        yield client


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nothing-skipped", action="store_true", help="a test that is skipped fails the run")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("--nothing-skipped"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped where nothing may be: {report.longrepr}"
    return report
