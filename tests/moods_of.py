"""Moods of a class, made by hand."""

from collections.abc import Mapping

from model.faces import Emotion
from pipeline.coverage import Coverage
from pipeline.events import Label
from pipeline.mood import Mood
from pipeline.valence import VALENCE


def mood_of(participant_id: str, emotion: Label | None, coverage: Coverage = Coverage.CAMERA_OFF) -> Mood:
    """How somebody is read; `coverage` says why they are not, if they have no emotion."""
    if emotion is None:
        return Mood(participant_id, 0, coverage, None, 0.0)
    return Mood(participant_id, 0, Coverage.OK, emotion, 0.9, VALENCE.get(Emotion(emotion), 0) if emotion != "unknown" else 0.0)


def moods_of(people: Mapping[str, Label | None]) -> list[Mood]:
    """How everybody is read; None stands for a camera that is off."""
    return [mood_of(participant_id, emotion) for participant_id, emotion in people.items()]
