"""Names as people or their clients write them, and as they are published."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.rooms.names import LONGEST_NAME, display_name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (" Anna Müller ", "Anna Müller"),
        ("李小龍", "李小龍"),
        ("Anna\x1b]0;pwn\x07\x1b[31mRED", "Anna]0;pwn[31mRED"),
        ("Anna\u202e\u2066annA", "AnnaannA"),
        ("Anna\r\nBert\u2028Carl\u2029Dora\x85Emil", "AnnaBertCarlDoraEmil"),
        ("\u200b \ufeff Ada\x00 \x00", "Ada"),
        ("A\ud800da", "Ada"),
        ("\u200b", ""),
        ("Ada " * 4_000_000, ("Ada " * 20).strip()),
        ("\x00" * 16_000_000 + "Ada", ""),
    ],
    ids=["blanks", "letters", "terminal", "direction", "lines", "invisible", "surrogate", "nothing", "long", "long nothing"],
)
def test_a_name_holds_only_what_is_drawn(written: str, name: str) -> None:
    assert display_name(written) == name


@given(st.text(max_size=200))
def test_a_name_is_one_short_line_that_can_be_written_down_and_stays_as_it_is(written: str) -> None:
    name = display_name(written)
    assert len(name.splitlines()) <= 1 and len(name) <= LONGEST_NAME
    assert display_name(name.encode().decode()) == name
