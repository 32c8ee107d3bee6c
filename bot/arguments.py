"""Types for command-line arguments that must be numbers within a range."""

import argparse
from collections.abc import Callable


def at_least_one(text: str) -> int:
    """A whole number, 1 or more; raises ArgumentTypeError for anything else."""
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def face_size(text: str) -> int:
    """A whole number from 8 to 1024, the face sizes that a card allows; raises ArgumentTypeError for anything else."""
    number = _whole(text)
    if not 8 <= number <= 1024:
        raise argparse.ArgumentTypeError(f"{text} is not a number of pixels from 8 to 1024")
    return number


def seed(text: str) -> int:
    """A whole number from 0 to 2^32 - 1; raises ArgumentTypeError for anything else."""
    number = _whole(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to {2**32 - 1}")
    return number


def positive(text: str) -> float:
    """A finite number above 0; raises ArgumentTypeError for anything else."""
    return _number(text, lambda number: 0 < number < float("inf"), "a positive number")


def not_negative(text: str) -> float:
    """A finite number, 0 or more; raises ArgumentTypeError for anything else."""
    return _number(text, lambda number: 0 <= number < float("inf"), "a number from 0 on")


def part(text: str) -> float:
    """A number of at least 0 and less than 1; raises ArgumentTypeError for anything else."""
    return _number(text, lambda number: 0 <= number < 1, "a number from 0 to less than 1")


def one_of_parts(text: str) -> tuple[int, int]:
    """One part out of several, such as 1/3, as (part, parts), up to 100 parts; raises ArgumentTypeError for anything else."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) <= 100 and int(count) > 1):
        raise argparse.ArgumentTypeError(f"{text} is not the number of a part and how many there are, from 1/2 to 100/100")
    return int(number), int(count)


def part_of_seven(text: str) -> float:
    """A number from 0 to 1/7; raises ArgumentTypeError for anything else."""
    return _number(text, lambda number: 0 <= number <= 1 / 7, "a number from 0 to 1/7, which would be as many of each emotion")


def share(text: str) -> float:
    """A number from 0 to 1; raises ArgumentTypeError for anything else."""
    return _number(text, lambda number: 0 <= number <= 1, "a number from 0 to 1")


def _number(text: str, right: Callable[[float], bool], wanted: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not {wanted}") from None
    if not right(number):
        raise argparse.ArgumentTypeError(f"{text} is not {wanted}")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number") from None
