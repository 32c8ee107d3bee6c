"""How pleasant emotions are, as one number."""

from collections.abc import Mapping

from model.faces import Emotion

VALENCE: dict[Emotion, int] = {
    Emotion.ANGRY: -1,
    Emotion.DISGUST: -1,
    Emotion.FEAR: -1,
    Emotion.HAPPY: 1,
    Emotion.SAD: -1,
    Emotion.SURPRISE: 0,
    Emotion.NEUTRAL: 0,
}
"""Pleasant or unpleasant, after the first axis of the circumplex model of affect (Russell 1980)."""


def valence(weights: Mapping[Emotion, float]) -> float:
    """The mean valence of emotions by their shares or scores, which add up to 1; from -1 to 1."""
    return sum(weight * VALENCE[emotion] for emotion, weight in weights.items())
