"""The setting in which `bench room` measures: Redis, a room of replayed students, and the bot, each in its own process."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from pydantic import SecretStr
from redis.asyncio import Redis

from bot.bench.packets import Layer
from bot.bench.replayed_room import ROOM
from bot.companions import dying_with_us
from bot.embedded_redis import embedded_redis
from bot.errors import NothingHappened
from bot.redis_client import connect
from bot.settings import PREFIX, Settings
from pipeline.entries import entries_since
from pipeline.events import BotStatus
from pipeline.keys import Keys

OF_THE_BENCH = {
    "jurisdiction": "US",
    "basis": "consent",
    "consent": "everyone",
    "log_level": "warning",
    # as the replayed room serves it
    "janus_path": "/",
    "janus_substream": 0,
    "janus_temporal": 0,
    # needed for the samples that are waited for
    "publication": "individual",
    "sample_seconds": 1.0,
}
OWN_REDIS = {
    "redis_username": "",
    "redis_password": SecretStr(""),
    **dict.fromkeys(("redis_ca_file", "redis_certificate", "redis_key")),
}
"""Settings that the bench's own Redis needs, in place of those for another one."""

PARENT = Path(__file__).parents[2]
"""The folder that contains the package, for processes that run in another folder."""

SAMPLE = "classmood.emotion.sample"

END_SECONDS = 10.0
ARRIVAL_SECONDS, ARRIVAL_SECONDS_PER_STUDENT = 30.0, 0.3


@dataclass(frozen=True)
class Stage:
    """Everything that runs, for measuring it."""

    redis: Redis
    keys: Keys
    redis_pid: int
    room_pid: int
    bot_pid: int
    counts_url: str
    heartbeat_seconds: float
    _bot: Process
    _room: Process
    _said: Path

    async def status(self, before: BotStatus | None = None, seconds: float = 60.0) -> BotStatus:
        """The bot's status as soon as it differs from `before`; raises NothingHappened if none comes in time."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self.check()
                    text = await self.redis.get(self.keys.bot)
                    status = BotStatus.model_validate_json(text) if text else None
                    if status is not None and status != before:
                        return status
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise NothingHappened(f"the bot published no new status for {seconds:.0f} s") from None

    async def counts(self) -> dict[str, int]:
        """The room's counts so far."""
        async with aiohttp.ClientSession() as http, http.get(self.counts_url) as answer:
            counts: dict[str, int] = await answer.json()
            return counts

    async def until_all_are_read(self, students: int) -> None:
        """Wait until there has been a sample of everybody; raises NothingHappened if there is not in time."""
        seconds = ARRIVAL_SECONDS + ARRIVAL_SECONDS_PER_STUDENT * students
        read: set[str] = set()
        after = "0"
        try:
            async with asyncio.timeout(seconds):
                while len(read) < students:
                    self.check()
                    async for stream_id, event in entries_since(self.redis, self.keys, after):
                        after = stream_id
                        if event.type == SAMPLE and event.subject:
                            read.add(event.subject)
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise NothingHappened(f"only {len(read)} of {students} students were read in {seconds:.0f} s") from None

    def check(self) -> None:
        """Raise NothingHappened if the bot has ended, with its last line of output, or if the room has."""
        if self._bot.returncode is not None:
            lines = self._said.read_text(errors="replace").splitlines() or ["it said nothing"]
            raise NothingHappened(f"the bot ended with exit code {self._bot.returncode}: {lines[-1]}")
        if self._room.returncode is not None:
            raise NothingHappened(f"the room of replayed students ended with exit code {self._room.returncode}")


@asynccontextmanager
async def stage(students: int, layer: Layer, settings: Settings, **changes: object) -> AsyncIterator[Stage]:
    """Run a room of `students` with the bot in it while the block runs; `changes` are settings for the bot."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="classmood-bench-")))
        url = await stack.enter_async_context(embedded_redis())
        room = await stack.enter_async_context(_room(folder, students, layer))
        own_redis = {**OWN_REDIS, "redis_url": url}
        own = {**_given(settings), **OF_THE_BENCH, **own_redis, **changes}
        bot = await stack.enter_async_context(_running(folder, ["bot", "join", room.url], own))
        redis = await stack.enter_async_context(connect(settings.model_copy(update=own_redis)))
        yield Stage(
            redis=redis,
            keys=Keys(settings.key_prefix, str(ROOM)),
            redis_pid=int((await redis.info("server"))["process_id"]),
            room_pid=room.process.pid,
            bot_pid=bot.pid,
            counts_url=room.counts_url,
            heartbeat_seconds=settings.heartbeat_seconds,
            _bot=bot,
            _room=room.process,
            _said=folder / "bot.log",
        )


@asynccontextmanager
async def replayed(students: int, layer: Layer) -> AsyncIterator[str]:
    """The janus:// URL of a room of replayed students, which runs in its own process while the block runs."""
    with TemporaryDirectory(prefix="classmood-bench-") as folder:
        async with _room(Path(folder), students, layer) as room:
            yield room.url


@dataclass(frozen=True, slots=True)
class _RunningRoom:
    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"janus://127.0.0.1:{self.port}/{ROOM}"

    @property
    def counts_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/counts"


@asynccontextmanager
async def _room(folder: Path, students: int, layer: Layer) -> AsyncIterator[_RunningRoom]:
    command = ["bot.bench.replayed_room", "--students", str(students), "--layer", layer]
    async with _running(folder, command, {}) as process:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise NothingHappened("the room of replayed students did not open")
        yield _RunningRoom(process, int(json.loads(line)["port"]))


def _given(settings: Settings) -> dict[str, object]:
    """The settings that the user has set explicitly, with which the bot is measured."""
    return {name: getattr(settings, name) for name in settings.model_fields_set}


def _environment(settings: Mapping[str, object]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own = {PREFIX + name.upper(): _text(value) for name, value in settings.items() if value is not None}
    # in its temporary folder, the bot finds no .env
    return {**inherited, "PYTHONPATH": str(PARENT), **own}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())  # the bot runs in another folder
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@asynccontextmanager
async def _running(folder: Path, module: list[str], settings: Mapping[str, object]) -> AsyncIterator[Process]:
    """Run one of our modules as a process while the block runs; its standard error goes into a log named after it."""
    with (folder / f"{module[0]}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *dying_with_us([sys.executable, "-m", *module]),
            stdin=PIPE,
            stdout=PIPE if module[0] != "bot" else DEVNULL,
            stderr=log,
            cwd=folder,
            env=_environment(settings),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
