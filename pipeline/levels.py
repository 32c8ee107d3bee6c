"""What may leave the bot at each level of publication."""

from collections.abc import Callable

from pipeline.events import BasisStated, BotStatus, Data, Publication, Summary

_BY_CAMERA = ("frames_received", "looks", "frames_skipped", "frames_dropped")
"""Counters that grow with every camera: even rounded, their growth over some minutes shows how many people are read."""

Filter = Callable[[Data], Data | None]
"""Returns data as it may be published, or None if it may not be."""


def at_level(level: Publication) -> Filter:
    """The filter of a level; make a new one for each run of the bot, since it remembers what was published."""
    return ClassAlone() if level == "aggregate" else lambda data: data


class ClassAlone:
    """Passes only what is not about one person: the summary, the stated basis, and the bot's status without per-camera counters.

    It is an allowlist, so event types added later do not pass by accident. The status gives the number of participants
    from the last summary.
    """

    def __init__(self) -> None:
        self._participants = 0

    def __call__(self, data: Data) -> Data | None:
        """The data, with counters removed where needed; None for data about one person."""
        match data:
            case Summary():
                self._participants = data.participants
                return data
            case BasisStated():
                return data
            case BotStatus():
                return data.model_copy(
                    update=dict.fromkeys(_BY_CAMERA, 0) | {"looks_per_second": 0.0, "participants": self._participants}
                )
            case _:
                return None
