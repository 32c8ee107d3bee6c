"""The display names of people in a room, whatever they or their client wrote there."""

import unicodedata

LONGEST_NAME = 80
"""Characters of a display name that are kept; the rest is cut off."""

_READ = 20 * LONGEST_NAME
"""Characters that are looked at: a name may be as long as a message, and every character in it invisible."""


def display_name(text: str) -> str:
    """The name without characters that break lines, turn the direction of nearby text, or are not drawn."""
    drawn = "".join(each for each in text[:_READ] if not _is_control(each))
    return drawn.strip()[:LONGEST_NAME].strip()


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    return category.startswith("C") or category in ("Zl", "Zp")
