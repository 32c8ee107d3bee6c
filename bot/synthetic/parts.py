"""What one student does during a lesson that is repeated again and again."""

from bisect import bisect_right
from dataclasses import dataclass, replace

from bot.scripts import Script, Step
from model.faces import Emotion


@dataclass(frozen=True, slots=True)
class Doing:
    """What a student does at a moment."""

    feel: Emotion = Emotion.NEUTRAL
    intensity: float = 1.0
    camera: bool = True
    there: bool = True

    def after(self, step: Step) -> "Doing":
        """What they do after a step that concerns them."""
        doing = self
        if step.feel is not None:
            doing = replace(doing, feel=step.feel, intensity=step.intensity)
        if step.camera is not None:
            doing = replace(doing, camera=step.camera)
        if step.leave or step.join:
            doing = replace(doing, there=bool(step.join))
        return doing


class Part:
    """One student's part in a script."""

    def __init__(self, script: Script, number: int, count: int) -> None:
        self.duration_seconds = script.duration_seconds
        self._turns: list[tuple[float, Doing]] = [(0.0, Doing())]
        # steps of the same moment happen in the order in which they are written
        for place in sorted(range(len(script.steps)), key=lambda place: script.steps[place].at_seconds):
            if number in script.chosen(place, count):
                step = script.steps[place]
                self._turns.append((step.at_seconds, self._turns[-1][1].after(step)))
        self._starts = [at_seconds for at_seconds, _ in self._turns]

    def at(self, at_seconds: float) -> Doing:
        """What the student does at a time since the lesson first began."""
        return self._turns[bisect_right(self._starts, at_seconds % self.duration_seconds) - 1][1]

    def next_turn(self, at_seconds: float) -> float:
        """When, after that time, the part next changes or begins again."""
        lessons, inside = divmod(at_seconds, self.duration_seconds)
        place = bisect_right(self._starts, inside)
        following = self._starts[place] if place < len(self._starts) else self.duration_seconds
        return lessons * self.duration_seconds + following


def marks(script: Script) -> list[tuple[float, str]]:
    """The marks of a lesson, as (seconds from its beginning, label), in order."""
    return sorted((step.at_seconds, step.mark) for step in script.steps if step.mark)
