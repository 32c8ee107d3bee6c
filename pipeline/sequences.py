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
    they were read, erased them from it, or Redis lost them. `stream_id` is of the entry behind them.
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
        if event.sequence == 1 or beginning == "behind a state":
            return []
        first = 1 if beginning == "whole" else None
        # what took the beginning of this run may have taken the end of the one before
        end = [Missed(epoch, last + 1, None, stream_id) for epoch, last in list(self._last.items())[-1:]]
        return [*end, Missed(event.epoch, first, event.sequence - 1, stream_id)]

    def _note(self, event: Event) -> None:
        self._may_go_back.discard(event.epoch)
        self._last.pop(event.epoch, None)
        self._last[event.epoch] = event.sequence
        if len(self._last) > REMEMBERED_EPOCHS:
            del self._last[next(iter(self._last))]
