"""The colours of everything that is drawn, one for each emotion, with a sign beside each, so that none relies on colour alone.

The hues follow Okabe and Ito's (https://jfly.uni-koeln.de/color/), moved until any two of the seven differ by at least
26 in CIELAB, even to eyes without red, green or blue cones (Machado et al. 2009), and each has a contrast of 3:1 with the
paper (WCAG 2.2, 1.4.11); a test measures both.
"""

from dataclasses import dataclass
from typing import Literal

from model.faces import Emotion

Theme = Literal["light", "dark"]

THEMES: tuple[Theme, ...] = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Look:
    """How one thing is drawn: its colour on light and on dark paper, and a sign of its own."""

    light: str
    dark: str
    sign: str

    def on(self, theme: Theme) -> str:
        """The colour on this paper, as #rrggbb."""
        return self.light if theme == "light" else self.dark


PAPER = Look("#ffffff", "#16181d", "")
INK = Look("#1b1f26", "#e8eaee", "")
FAINT = Look("#5a6270", "#a4acb9", "")
"""For axes and side notes: still a contrast of 4.5:1 with the paper."""

LINE = Look("#d5d9e0", "#353a44", "")
"""For grids, which may be overlooked."""

EMOTION_LOOKS: dict[Emotion, Look] = {
    Emotion.ANGRY: Look("#8d3606", "#c84000", "▲"),
    Emotion.DISGUST: Look("#21a760", "#04b458", "◆"),
    Emotion.FEAR: Look("#b16dd2", "#b66ff2", "✚"),
    Emotion.HAPPY: Look("#bf8117", "#f5ab1a", "●"),
    Emotion.SAD: Look("#022799", "#316b9a", "▼"),
    Emotion.SURPRISE: Look("#1269ff", "#1af0ff", "★"),
    Emotion.NEUTRAL: Look("#6b6b6b", "#6a6a6a", "■"),
}

UNKNOWN_LOOK = Look("#5a6270", "#a4acb9", "?")
MARKER_LOOK = Look("#1b1f26", "#e8eaee", "⚑")
"""For a lesson marker: a dashed line in the colour of text."""

SEEN_LOOK = Look("#022799", "#92b7ed", "◉")
NOT_SEEN_LOOK = Look("#8a919e", "#6f7785", "○")


def css_variables(theme: Theme) -> str:
    """The palette as declarations of CSS custom properties, such as `--happy: #bf8117;`."""
    looks = {
        "paper": PAPER,
        "ink": INK,
        "faint": FAINT,
        "line": LINE,
        "unknown": UNKNOWN_LOOK,
        "marker": MARKER_LOOK,
        "seen": SEEN_LOOK,
        "not-seen": NOT_SEEN_LOOK,
        **{emotion.value: look for emotion, look in EMOTION_LOOKS.items()},
    }
    return " ".join(f"--{name}: {look.on(theme)};" for name, look in looks.items())
