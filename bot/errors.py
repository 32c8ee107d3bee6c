"""The errors that end a command: each has one readable line as its text, and an exit code."""


class Trouble(Exception):
    """Something that the operator must fix; its text is the one line that they read."""

    exit_code = 1


class SettingsWrong(Trouble):
    """A setting or command-line argument that cannot be used."""

    exit_code = 2


class BasisMissing(Trouble):
    """The stated jurisdiction or basis is missing or unknown, or the one forbids the other: nobody may be read."""

    exit_code = 2


class WeightsWrong(Trouble):
    """Weights or data that the model cannot use."""

    exit_code = 3


class RedisRefused(Trouble):
    """Redis refuses what a command must do there, or cannot be reached by a command that does not wait for it."""

    exit_code = 4


class RoomRefused(Trouble):
    """A room that cannot be joined or hosted."""

    exit_code = 5


class NothingHappened(Trouble):
    """Something that a command should have shown or done did not happen."""

    exit_code = 6


class RemovedFromRoom(Trouble):
    """The bot was removed from the room, or the room was closed: it does not come back by itself."""

    exit_code = 7
