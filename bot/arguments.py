"""Numbers on the command line that have to be of some size."""

import argparse


def at_least_one(text: str) -> int:
    """A whole number from 1 on; raises ArgumentTypeError for a smaller one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def positive(text: str) -> float:
    """A finite number of seconds above 0; raises ArgumentTypeError for any other."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return number
