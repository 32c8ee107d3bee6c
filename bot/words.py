"""Words that depend on a number."""


def counted(number: int, what: str) -> str:
    """The number and what is counted, such as `1 mark` or `2 marks`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
