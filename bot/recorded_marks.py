"""The teacher's marks of a recorded class, in a file beside the recording.

They are not in the recording itself, where programs expect only events: marks have no place in the events' sequence.
"""

import logging
from collections import deque
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.recordings import beside, recorded
from bot.whole_files import write_lines_or_remove
from pipeline.cancellation import cancellable
from pipeline.keys import Keys
from pipeline.markers import Marker, MarkRefused, in_order, mark, marker_in, markers
from pipeline.publish import reason

logger = logging.getLogger(__name__)


def marks_file(recording: str | Path) -> Path:
    """The file beside a recording that holds its marks: class.markers.jsonl beside class.jsonl.gz."""
    return beside(recording, "markers")


def read_marks(path: Path, *, must_be_there: bool = False) -> list[Marker]:
    """The marks in a file, without lines that are not marks; raises RecordingUnusable if it cannot be read.

    A file that does not exist holds none, unless it `must_be_there`.
    """
    if not must_be_there and not path.is_file():
        return []
    texts = [(line.text or b"").decode(errors="replace") for line in recorded(str(path))]
    return in_order([marker for text in texts if (marker := marker_in({"marker": text})) is not None])


async def keep_marks(redis: Redis, keys: Keys, recording: Path, since_ms: float) -> int:
    """Write a room's marks since `since_ms` beside its recording, if there are any, and return how many.

    Raises CannotWrite. If Redis is away by then, that is only logged, as the recording itself is complete.
    """
    try:
        kept = [marker for marker in await cancellable(markers(redis, keys)) if marker.at_ms >= since_ms]
    except RedisError as error:
        logger.warning("the marks of the lesson are not recorded: %s", reason(error))
        return 0
    write_lines_or_remove(marks_file(recording), [marker.model_dump_json() for marker in kept])
    return len(kept)


class MarksToPlay:
    """The marks of a recording, which are made again in Redis when their time comes."""

    def __init__(self, recording: str, begins_ms: float, redis: Redis, keys: Keys, retention_ms: int) -> None:
        self._waiting = deque((marker.at_ms - begins_ms, marker) for marker in read_marks(marks_file(recording)))
        self._redis, self._keys, self._retention_ms = redis, keys, retention_ms

    async def play(self, offset_ms: float, started_ms: int, now_ms: int | None) -> None:
        """Make the marks that are due `offset_ms` after the first event.

        Each gets the time `now_ms` or, if that is None, its own offset added to `started_ms`. One that fails is only logged.
        """
        while self._waiting and self._waiting[0][0] <= offset_ms:
            marked_ms, marker = self._waiting.popleft()
            at_ms = started_ms + round(marked_ms) if now_ms is None else now_ms
            try:
                made = mark(self._redis, self._keys, marker.label, at_ms, kind=marker.kind, retention_ms=self._retention_ms)
                await cancellable(made)
            except (RedisError, MarkRefused) as error:
                logger.warning("a mark is left out: %s", reason(error) if isinstance(error, RedisError) else error)
