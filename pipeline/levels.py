"""What may leave the bot at each level of publication."""

from collections.abc import Callable

from pipeline.events import BasisStated, BotStatus, Data, Publication, Summary

_BY_CAMERA = ("frames_received", "looks", "frames_skipped", "frames_dropped")
"""Counters that grow with each camera: however coarse, their growth over some minutes tells how many are read."""

Filter = Callable[[Data], Data | None]
"""Gives data as it may be published, or None where it may not be."""


def at_level(level: Publication) -> Filter:
    """The filter of a level; one for each run of the bot, since it remembers what was told before."""
    return ClassAlone() if level == "aggregate" else lambda data: data


class ClassAlone:
    """Lets pass what is about nobody: the summary, the stated basis, and the bot's status without what grows with each camera.

    It names what may pass, so that a type of event which is added later does not. The status counts the participants
    that the last summary counted.
    """

    def __init__(self) -> None:
        self._participants = 0

    def __call__(self, data: Data) -> Data | None:
        """The data, with less in it where it must be; None of what is about one person."""
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
