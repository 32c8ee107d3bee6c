"""The troubles that end the bot: one readable line each, and an exit code that tells them apart."""


class Trouble(Exception):
    """Something the operator must mend; its text is the one line they read."""

    exit_code = 1


class SettingsWrong(Trouble):
    """A setting or a command-line argument out of its range."""

    exit_code = 2


class BasisMissing(Trouble):
    """No jurisdiction and basis are stated, or ones that do not go together: nothing may be read."""

    exit_code = 2


class WeightsWrong(Trouble):
    """Weights or data of the model that cannot be used."""

    exit_code = 3


class RedisRefused(Trouble):
    """A Redis that answers, but refuses what the bot must do there."""

    exit_code = 4


class RoomRefused(Trouble):
    """A room that cannot be joined or hosted."""

    exit_code = 5


class NothingHappened(Trouble):
    """A demonstration or a check that did not show what it should have."""

    exit_code = 6


class RemovedFromRoom(Trouble):
    """The bot was put out of a room, or the room is no more: it does not come back by itself."""

    exit_code = 7
