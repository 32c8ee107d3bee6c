"""The class as a whole, withheld where the group is too small to hide in."""

from collections import Counter

from model.faces import EMOTIONS, Emotion
from pipeline.coverage import Coverage
from pipeline.events import UNKNOWN, Summary
from pipeline.mood import Mood

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


def summarise(moods: list[Mood], smallest_group: int) -> Summary:
    """Coverage of everybody, and the shares and mean valence of those whose emotion is known."""
    known = [Emotion(mood.emotion) for mood in moods if mood.emotion is not None and mood.emotion != UNKNOWN]
    withheld = len(known) < smallest_group
    return Summary(
        participants=len(moods),
        scored=len(known),
        coverage=dict(Counter(mood.coverage for mood in moods)),
        shares=None if withheld else _shares(known),
        valence=None if withheld else round(sum(VALENCE[emotion] for emotion in known) / len(known), 2),
        withheld=withheld,
    )


def _shares(known: list[Emotion]) -> dict[Emotion, float]:
    counts = Counter(known)
    return {emotion: round(counts[emotion] / len(known), 2) for emotion in EMOTIONS}


def coverage_in_words(coverage: dict[Coverage, int]) -> str:
    """Such as "18 of 32 seen: 9 camera_off, 5 no_face"."""
    total = sum(coverage.values())
    missing = [f"{count} {state}" for state, count in sorted(coverage.items()) if state is not Coverage.OK and count]
    return f"{coverage.get(Coverage.OK, 0)} of {total} seen" + (f": {', '.join(missing)}" if missing else "")
