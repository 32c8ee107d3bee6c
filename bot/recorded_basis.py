"""What the runs of a recorded class declared before the recording began: a file of events beside the recording.

Among the events of the recording itself it would leave a gap behind it, in their sequence and in their times.
"""

import logging
from collections.abc import Set
from pathlib import Path

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.recordings import beside, recorded
from bot.whole_files import write_whole
from pipeline.audit import declarations
from pipeline.cancellation import cancellable
from pipeline.events import BasisStated, Event
from pipeline.keys import Keys
from pipeline.publish import reason

logger = logging.getLogger(__name__)


def basis_file(recording: str | Path) -> Path:
    """The file beside a recording that holds what was declared: class.basis.jsonl beside class.jsonl.gz."""
    return beside(recording, "basis")


def read_basis(recording: str | Path) -> dict[str, BasisStated]:
    """What was declared before a recording began, by the run that it is of; raises RecordingUnusable if it cannot be read."""
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
    """Write beside a recording what those runs declared last, as the audit stream has it, and give how many of them did.

    Raises CannotWrite. A Redis that is away by then is logged: the recording itself is whole.
    """
    try:
        declared = await cancellable(_declared(redis, keys, runs))
    except RedisError as error:
        logger.warning("what was declared is not recorded: %s", reason(error))
        return 0
    if declared:
        text = "".join(f"{event.to_json()}\n" for event in declared)
        write_whole(basis_file(recording), text.encode(), force=True)
    else:  # that of a recording that was there before is not of this one
        basis_file(recording).unlink(missing_ok=True)
    return len(declared)


async def _declared(redis: Redis, keys: Keys, runs: Set[str]) -> list[Event]:
    last: dict[str, Event] = {}
    if runs:
        async for event, _ in declarations(redis, keys):
            if event.epoch in runs:
                last.setdefault(event.epoch, event)
    return list(reversed(last.values()))
