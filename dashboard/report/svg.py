"""matplotlib's SVG as part of a page: in the page's colours, with a text for those who cannot see it."""

import html
import io
import re
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from dashboard.palette import EMOTION_LOOKS

_NAMES = ("ink", "paper", "faint", "line", "marker", "seen", "not-seen", *(emotion.value for emotion in EMOTION_LOOKS))
_DRAWN = {name: f"#0100{number:02x}" for number, name in enumerate(_NAMES)}

# text stays text: searchable, readable aloud, and small; without dates and random ids, equal reports make equal files
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "classmood", "hatch.linewidth": 0.6}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def drawn(name: str) -> str:
    """The colour to draw with so that a variable of the page replaces it, such as `happy` for `--happy`."""
    return _DRAWN[name]


def svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The finished `<svg>`; `name` keeps its ids apart from those of other plots on the page."""
    FigureCanvasSVG(figure)
    written = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(written, format="svg", metadata=_NO_METADATA, transparent=True)
    text = written.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\bid="|url\(#|href="#', lambda found: f"{found[0]}{name}-", text)
    for variable, colour in _DRAWN.items():
        text = text.replace(colour, f"var(--{variable})")
    label = f'role="img" aria-labelledby="{name}-title {name}-description"'
    told = f'<title id="{name}-title">{html.escape(title)}</title><desc id="{name}-description">{html.escape(description)}</desc>'
    return re.sub(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" {label}>{_escaped(told)}', text, count=1)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\")
