"""Checks that a name can be read by others: the bot must be visible in every room that it joins."""

import unicodedata

_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Characters that Unicode counts as letters or symbols but that are drawn blank: Hangul fillers, and Braille without dots."""


def readable(name: str) -> str:
    """Return the name; raises ValueError if it is blank or made of invisible characters only."""
    if not any(map(_is_drawn, name)):
        raise ValueError("nothing in it can be read, and the bot must be seen in the room")
    return name


def _is_drawn(character: str) -> bool:
    # letters, numbers, punctuation and symbols; a combining mark alone has nothing to stand on
    return unicodedata.category(character)[0] in "LNPS" and character not in _BLANK_LETTERS
