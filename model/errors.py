"""What can be wrong with weights and data, each told in one line."""


class ModelUnusable(Exception):
    """Weights that are missing, damaged, or not what their card says."""


class DataUnusable(Exception):
    """Training or test data that do not fit together."""


def first_line(error: Exception) -> str:
    """The first line of what an error says; its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
