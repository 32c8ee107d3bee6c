"""What may leave the bot at each level of publication."""

from collections.abc import Callable

from pipeline.events import BasisStated, BotStatus, Data, Publication, Summary

LOOKS_STEP = 10.0
COUNTER_STEP = 1000
"""How coarse the bot's own rates and counters are where exact ones would tell how many cameras it reads."""

Filter = Callable[[Data], Data | None]
"""Gives data as it may be published, or None where it may not be."""


def at_level(level: Publication) -> Filter:
    """The filter of a level; one for each run of the bot, since it remembers what was told before."""
    return ClassAlone() if level == "aggregate" else lambda data: data


class ClassAlone:
    """Lets pass what is about nobody: the summary, the stated basis, and the bot's status with coarse counters.

    It names what may pass, so that a type of event which is added later does not. The status counts the participants
    that the last summary counted.
    """

    def __init__(self) -> None:
        self._participants = 0

    def __call__(self, data: Data) -> Data | None:
        """The data, coarse where it must be; None of what is about one person."""
        match data:
            case Summary():
                self._participants = data.participants
                return data
            case BasisStated():
                return data
            case BotStatus():
                return self._coarse(data)
            case _:
                return None

    def _coarse(self, status: BotStatus) -> BotStatus:
        counters = ("frames_received", "looks", "frames_skipped", "frames_dropped")
        coarse = {name: getattr(status, name) // COUNTER_STEP * COUNTER_STEP for name in counters}
        rate = status.looks_per_second // LOOKS_STEP * LOOKS_STEP
        return status.model_copy(update={**coarse, "looks_per_second": rate, "participants": self._participants})
