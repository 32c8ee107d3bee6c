"""Checks whether events arrive in sequence, and what is missing if they do not."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.events import Event

REMEMBERED_EPOCHS = 64
"""Runs of the bot whose last number is kept; a room has one at a time, or two for a moment."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Events of one run of the bot that were published and are no longer available.

    They have the numbers `first` to `last`, None if unknown. They were trimmed or erased from the stream before they were
    read, or Redis lost them. `stream_id` is that of the entry after them. If the reader's position is gone and a new run
    of the bot follows, neither the run nor the numbers are known, nor whether there were any events: then `epoch` is "".
    """

    epoch: str
    first: int | None
    last: int | None
    stream_id: str

    @property
    def count(self) -> int | None:
        """How many there are; None if unknown."""
        return None if self.first is None or self.last is None else self.last - self.first + 1


class Sequences:
    """The last sequence number seen of each run of the bot."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._may_go_back: set[str] = set()
        self._beginning: Literal["whole", "behind a state", "behind something lost"] = "whole"
        self._lost_end: tuple[int | None] | None = None

    def begin(self, seen: Iterable[Event]) -> None:
        """Begin after a state, which includes the events in `seen`, in their order, and everything before them.

        If there are none, the first event that comes may have any number, and nothing before it counts as missing.
        """
        for event in seen:
            self._note(event)
        if not self._last:
            self._beginning = "behind a state"

    def begin_behind_something_lost(self) -> None:
        """Begin after an event that is gone, so that its number is not known."""
        self._beginning = "behind something lost"

    @property
    def newest_epoch(self) -> str | None:
        """The run of the last event seen; None before the first."""
        return next(reversed(self._last), None)

    def knows(self, event: Event) -> bool:
        """Whether an event of the same run was seen before."""
        return event.epoch in self._last

    def newest_run_has_lost_its_end(self, last: int | None) -> None:
        """Assume that the newest run has lost its events up to the number `last`; None if that is unknown.

        It matters only if the next event is of another run; one of the same run shows by its own number what is missing.
        """
        self._lost_end = (last,)

    def begin_anew(self) -> None:
        """Let each run go back once: after Redis lost data, numbers that were seen may be published again."""
        self._may_go_back = set(self._last)

    def has_seen(self, event: Event) -> bool:
        """Whether the event, or a later one of its run, was seen before."""
        return event.sequence <= self._last.get(event.epoch, 0)

    def is_repeated(self, event: Event) -> bool:
        """Whether the event was delivered before and must not be again."""
        return self.has_seen(event) and event.epoch not in self._may_go_back

    def missing_before(self, event: Event, stream_id: str) -> list[Missed]:
        """What is missing between the events so far and this one, which then counts as seen."""
        before = self._last.get(event.epoch)
        if before is not None:
            missing = [Missed(event.epoch, before + 1, event.sequence - 1, stream_id)] if event.sequence > before + 1 else []
        else:
            missing = self._missing_of_a_new_run(event, stream_id)
        self._note(event)
        return missing

    def _missing_of_a_new_run(self, event: Event, stream_id: str) -> list[Missed]:
        beginning, self._beginning = self._beginning, "whole"
        if beginning == "behind a state":
            return []
        if event.sequence == 1:
            return [Missed("", None, None, stream_id)] if beginning == "behind something lost" else self._end_missing(stream_id)
        self._lost_end = self._lost_end or (None,)  # what took the beginning of this run may have taken the end of the last
        first = 1 if beginning == "whole" else None
        return [*self._end_missing(stream_id), Missed(event.epoch, first, event.sequence - 1, stream_id)]

    def _end_missing(self, stream_id: str) -> list[Missed]:
        """What the newest run so far has lost after its last event that was seen."""
        if self._lost_end is None or self.newest_epoch is None:
            return []
        (last,), before = self._lost_end, self._last[self.newest_epoch]
        return [Missed(self.newest_epoch, before + 1, last, stream_id)] if last is None or last > before else []

    def _note(self, event: Event) -> None:
        self._lost_end = None
        self._may_go_back.discard(event.epoch)
        self._last.pop(event.epoch, None)
        self._last[event.epoch] = event.sequence
        if len(self._last) > REMEMBERED_EPOCHS:
            del self._last[next(iter(self._last))]
