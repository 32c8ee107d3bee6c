"""Coverage in a teacher's words, and text of unknown origin made fit for a page."""

from pipeline.coverage import Coverage

LONGEST_NAME = 80

_MISSING: dict[Coverage, tuple[str, str]] = {
    Coverage.CAMERA_OFF: ("camera off", "cameras off"),
    Coverage.NO_FACE: ("no face", "no face"),
    Coverage.FACE_TOO_SMALL: ("face too small", "faces too small"),
    Coverage.TOO_DARK: ("too dark", "too dark"),
    Coverage.BLURRED: ("blurred", "blurred"),
    Coverage.STALLED: ("without a picture", "without a picture"),
    Coverage.NOT_CONSENTED: ("did not consent", "did not consent"),
    Coverage.UNSUPPORTED_CODEC: ("cannot be decoded", "cannot be decoded"),
}
"""The words for one, and for several, of those who are not seen."""


def coverage_in_words(coverage: dict[Coverage, int], total: int | None = None) -> str:
    """The coverage as text, such as "18 of 32 seen: 9 cameras off, 3 no face, 2 did not consent"; the most frequent first.

    `total` is how many people there are, if the counts were rounded separately and do not add up to it.
    """
    total = sum(coverage.values()) if total is None else total
    if not total:
        return "nobody is here"
    missing = sorted(((count, state) for state, count in coverage.items() if state in _MISSING and count), reverse=True)
    reasons = ", ".join(f"{count} {_MISSING[state][count > 1]}" for count, state in missing)
    return f"{coverage.get(Coverage.OK, 0)} of {total} seen" + (f": {reasons}" if reasons else "")


def presentable(text: str, longest: int = LONGEST_NAME) -> str:
    """Text without control characters, cut to `longest` characters; the page isolates its effect on the text beside it."""
    clean = "".join(character for character in text[: 20 * longest] if character >= " " and not "\x7f" <= character <= "\x9f")
    clean = clean.strip()
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"
