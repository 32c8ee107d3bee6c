"""Whether events come in their sequence, and what is missing where they do not."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.events import Event

REMEMBERED_EPOCHS = 64
"""Runs of the bot whose last number is kept; a room has one at a time, or two for a moment."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Events of one run of the bot that were published and cannot be had any more.

    They are the numbers `first` to `last`; None where nobody can tell. Something trimmed them off the stream before
    they were read, erased them from it, or Redis lost them. `stream_id` is of the entry behind them. Where a position
    is gone and a new run of the bot follows, neither run nor numbers are known, nor whether there were any: then
    `epoch` is "".
    """

    epoch: str
    first: int | None
    last: int | None
    stream_id: str

    @property
    def count(self) -> int | None:
        """How many they are, None where nobody can tell."""
        return None if self.first is None or self.last is None else self.last - self.first + 1


class Sequences:
    """The last number that was seen of each run of the bot."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._may_go_back: set[str] = set()
        self._beginning: Literal["whole", "behind a state", "behind something lost"] = "whole"
        self._lost_end: tuple[int | None] | None = None

    def begin(self, seen: Iterable[Event]) -> None:
        """Begin behind a state, which contains the events that were `seen`, in their order, and whatever came before.

        Without any the first event that comes may have any number, and nothing is missed before it.
        """
        for event in seen:
            self._note(event)
        if not self._last:
            self._beginning = "behind a state"

    def begin_behind_something_lost(self) -> None:
        """Begin behind an event whose number is not known."""
        self._beginning = "behind something lost"

    @property
    def newest_epoch(self) -> str | None:
        """The run of the event that was seen last; None before the first."""
        return next(reversed(self._last), None)

    def knows(self, event: Event) -> bool:
        """Whether an event of the same run was seen before."""
        return event.epoch in self._last

    def newest_run_has_lost_its_end(self, last: int | None) -> None:
        """Count on it that events of the newest run up to `last` are gone, None where nobody can tell up to which.

        That shows where the next event is of another run; one of the same run tells by its own number.
        """
        self._lost_end = (last,)

    def begin_anew(self) -> None:
        """Let each run go back once: after Redis lost data, numbers that were seen may be published again."""
        self._may_go_back = set(self._last)

    def has_seen(self, event: Event) -> bool:
        """Whether the event, or a later one of its run, was seen before."""
        return event.sequence <= self._last.get(event.epoch, 0)

    def is_repeated(self, event: Event) -> bool:
        """Whether the event was handed on before and is not to be again."""
        return self.has_seen(event) and event.epoch not in self._may_go_back

    def missing_before(self, event: Event, stream_id: str) -> list[Missed]:
        """What is missing between everything so far and this event, which is noted as seen."""
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
        """What the newest run so far has lost behind its last event that was seen."""
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
