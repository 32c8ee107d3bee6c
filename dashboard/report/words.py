"""Figures as people read them."""

import html
import re
from datetime import datetime, tzinfo

from dashboard.report.model import Report

NONE = "–"  # noqa: RUF001  # a dash that is read as "nothing"

UNDECLARED_IN_RECORDING = "What the bot's operator declared is not in this recording."

REASONS = {"changed": "changed from their own usual", "not_visible": "not visible"}

COVERAGE_WORDS = {
    "ok": "seen",
    "no_face": "no face",
    "face_too_small": "face too small",
    "too_dark": "too dark",
    "blurred": "blurred",
    "camera_off": "camera off",
    "stalled": "picture stalled",
    "not_consented": "did not consent",
    "unsupported_codec": "video unreadable",
}


def clock_time(seconds: float) -> str:
    """Seconds since the beginning, such as 7:05 or 1:02:05, or -0:12 for a moment before it."""
    whole = round(seconds)
    minutes, rest = divmod(abs(whole), 60)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if whole < 0 else ""
    return f"{sign}{hours}:{minutes:02d}:{rest:02d}" if hours else f"{sign}{minutes}:{rest:02d}"


def share(value: float | None) -> str:
    """A share as a percentage."""
    return NONE if value is None else f"{value:.0%}"


def mean(value: float | None) -> str:
    """A mean number of people."""
    return NONE if value is None else f"{value:.1f}"


def signed(value: float | None) -> str:
    """A valence or a difference."""
    return NONE if value is None else f"{value:+.2f}"


def began(report: Report, zone: tzinfo | None = None) -> str:
    """When the class began, in the given time zone, or this machine's."""
    return f"{datetime.fromisoformat(report.started_at).astimezone(zone):%Y-%m-%d %H:%M (UTC%z)}"


def reason(text: str) -> str:
    """Why somebody's attention was raised, in neutral words."""
    return REASONS.get(text, text)


def undeclared(report: Report) -> str:
    """Why no declaration is listed."""
    return UNDECLARED_IN_RECORDING if report.source.from_recording else "No declaration is on record."


def cell(text: str) -> str:
    """Text of unknown origin, made safe for a cell of a Markdown table: no markup, no HTML, no extra column."""
    flat = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", flat)
