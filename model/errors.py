"""The errors for unusable weights and data; each message is one line."""


class ModelUnusable(Exception):
    """Weights that are missing, damaged, or not what their card says."""


class DataUnusable(Exception):
    """Training or test data that do not fit together."""


def first_line(error: Exception) -> str:
    """The first line of an error's message; its type if there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
