"""Names that others can read: the bot is seen in every room that it joins."""

import unicodedata

_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
"""What Unicode counts among the letters and symbols, and draws as nothing: fillers of Hangul, and Braille without a dot."""


def readable(name: str) -> str:
    """The name; raises ValueError if nothing in it can be read, because it is blank or made of invisible characters."""
    if not any(map(_is_drawn, name)):
        raise ValueError("nothing in it can be read, and the bot must be seen in the room")
    return name


def _is_drawn(character: str) -> bool:
    # letters, numbers, punctuation and symbols; marks alone stand on nothing
    return unicodedata.category(character)[0] in "LNPS" and character not in _BLANK_LETTERS
