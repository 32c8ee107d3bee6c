"""matplotlib's SVG as a part of a page: in the colours of the page, with a text for those who do not see it."""

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

# text stays text, which is searched, read aloud and small; without dates and chance the same report is the same file
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "classmood", "hatch.linewidth": 0.6}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def drawn(name: str) -> str:
    """The colour to draw with for a variable of the page, such as `happy` for `--happy`."""
    return _DRAWN[name]


def svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The finished `<svg>`; `name` makes its ids unlike those of other plots on the page."""
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
