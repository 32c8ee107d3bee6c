"""What the runs of a recorded class declared before the recording began, kept in a file of events beside the recording.

Within the recording itself those events would leave a gap after them, in the sequence and in time.
"""

import logging
from collections.abc import Set
from pathlib import Path

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.recordings import beside, recorded
from bot.whole_files import write_lines_or_remove
from pipeline.audit import declarations
from pipeline.cancellation import cancellable
from pipeline.events import BasisStated, Event
from pipeline.keys import Keys
from pipeline.publish import reason

logger = logging.getLogger(__name__)


def basis_file(recording: str | Path) -> Path:
    """The file beside a recording for what was declared: class.basis.jsonl beside class.jsonl.gz."""
    return beside(recording, "basis")


def read_basis(recording: str | Path) -> dict[str, BasisStated]:
    """What was declared before a recording began, by run; raises RecordingUnusable if it cannot be read."""
    path = basis_file(recording)
    if not path.is_file():
        return {}
    return dict(told for line in recorded(str(path)) if (told := _basis_in(line.text or b"")) is not None)


def _basis_in(text: bytes) -> tuple[str, BasisStated] | None:
    try:
        event = Event.model_validate_json(text)
        data = event.typed()
    except ValidationError:
        return None
    return (event.epoch, data) if isinstance(data, BasisStated) else None


async def keep_basis(redis: Redis, keys: Keys, recording: Path, runs: Set[str]) -> int:
    """Write beside a recording what each of those runs last declared, as the audit stream has it; return how many had done so.

    Raises CannotWrite. If Redis is away by then, that is only logged: the recording itself is complete.
    """
    try:
        declared = await cancellable(_declared(redis, keys, runs))
    except RedisError as error:
        logger.warning("what was declared is not recorded: %s", reason(error))
        return 0
    write_lines_or_remove(basis_file(recording), [event.to_json() for event in declared])
    return len(declared)


async def _declared(redis: Redis, keys: Keys, runs: Set[str]) -> list[Event]:
    last: dict[str, Event] = {}
    if runs:
        async for event, _ in declarations(redis, keys):
            if event.epoch in runs:
                last.setdefault(event.epoch, event)
    return list(reversed(last.values()))
