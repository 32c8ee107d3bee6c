"""The examples for subscribers, each its own program with a reader's rights, against a real Redis and a real publisher."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model.faces import Emotion
from pipeline.events import EmotionChanged, ParticipantJoined, ParticipantLeft
from pipeline.keys import Keys
from pipeline.publish import Publisher
from tests.commands import ROOT, environment
from tests.redis_servers import SERVER, needs_redis
from tests.test_redis_access import PASSWORD, with_users

EXAMPLES = ROOT / "docs" / "examples"
HERE = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
NODE = shutil.which("node", path=HERE) if (EXAMPLES / "node_modules" / "redis").is_dir() else None
REDIS_CLI = shutil.which("redis-cli")

pytestmark = needs_redis


def example(program: str | None, name: str, reason: str) -> object:
    return pytest.param(program, name, id=name, marks=pytest.mark.skipif(program is None, reason=reason))


@contextmanager
def running(folder: Path, *command: str) -> Iterator[Path]:
    """Run a program while the block runs; yields the file that its output goes to."""
    out = folder / "out"
    with out.open("wb") as to_out:
        # where Debian's JavaScript packages find each other
        surroundings = environment(folder, {"NODE_PATH": "/usr/share/nodejs"})
        process = subprocess.Popen(command, cwd=folder, env=surroundings, stdout=to_out, start_new_session=True)
    try:
        yield out
    finally:
        os.killpg(process.pid, 9)
        process.wait()


async def until_it_prints(out: Path, text: str) -> None:
    async with asyncio.timeout(30):
        while text not in _text(out):
            await asyncio.sleep(0.01)


def _text(path: Path) -> str:
    return path.read_text()


@pytest.mark.parametrize(
    ("program", "name"),
    [
        example(sys.executable, "follow.py", ""),
        example(NODE, "follow.mjs", "no node, or no docs/examples/node_modules"),
        example(REDIS_CLI and shutil.which("sh"), "follow.sh", "no redis-cli"),
    ],
)
async def test_an_example_prints_the_state_and_then_each_change_once(tmp_path: Path, program: str, name: str) -> None:
    async with with_users(SERVER) as (server, redis):
        times = {"retention_ms": 600_000, "status_ttl_ms": 5000, "retry_seconds": 0.02}
        sender = Publisher(redis, Keys("classmood", "maths"), "1", outbox_limit=100, **times)  # type: ignore[arg-type]
        sender.publish(ParticipantJoined(participant="p1", name="Ada", reason="published"))
        await sender.flush(5)
        sender.publish(ParticipantJoined(participant="p2", name="Ben", reason="published"))
        sender.publish(ParticipantLeft(participant="p2", reason="left"))
        await sender.flush(5)
        as_reader = f"redis://reader:{PASSWORD}@127.0.0.1:{server.port}/0"
        with running(tmp_path, program, str(EXAMPLES / name), "maths", as_reader) as out:
            await until_it_prints(out, "Ada" if name == "follow.sh" else "1 present")
            for before, after in ((None, Emotion.HAPPY), (Emotion.HAPPY, Emotion.SAD)):
                for foreign in ({"note": "hello"}, {"event": "nope"}, {"event": "null"}):
                    await redis.xadd(Keys("classmood", "maths").events, foreign)  # type: ignore[arg-type]
                sender.publish(EmotionChanged(participant="p1", before=before, after=after, since_ms=1))
                await sender.flush(5)
                await until_it_prints(out, str(after.value))
            await asyncio.sleep(0.05)
        told = _text(out)
    if name == "follow.sh":
        assert "Ben" not in told.partition("{")[0]
        assert [line.count('"after":"happy"') for line in told.splitlines()].count(1) == 1
    else:
        assert told.splitlines() == ["1 present", "p1 happy", "p1 sad"]


@pytest.mark.parametrize("name", ["follow.py", "follow.mjs", "follow.sh"])
def test_an_example_stays_short(name: str) -> None:
    lines = (EXAMPLES / name).read_text().splitlines()
    assert sum(bool(line.strip()) and not line.lstrip().startswith(("#", "//", "import", "from", '"""')) for line in lines) <= 14
