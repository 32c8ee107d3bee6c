"""Builds the report of a class from its events, once they have been read."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from dashboard.report.before_after import before_after, phases
from dashboard.report.classes import Classes
from dashboard.report.lesson import Lesson, RunSoFar
from dashboard.report.model import (
    STEP_SECONDS,
    Certainty,
    Declared,
    Figures,
    Mark,
    People,
    Report,
    Source,
    Step,
)
from dashboard.report.notes import notes
from dashboard.report.people import Participant
from dashboard.report.summaries import fraction
from pipeline.contract import shown
from pipeline.coverage import Coverage
from pipeline.events import UNKNOWN, rfc3339
from pipeline.markers import Marker

Naming = Literal["pseudonyms", "names", "none"]

CardFigures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Options:
    """What the reader of the report asked for, and what is known apart from the events.

    `cards` maps the names of weights to their classifier's figures.
    """

    room: str
    made_at_ms: int
    naming: Naming = "pseudonyms"
    cards: Mapping[str, CardFigures] | None = None
    from_recording: bool = False
    ends_early: bool = False


def build(classes: Classes, marks: Iterable[Marker], broken: int, options: Options) -> Report | None:
    """The report of the requested class; None if the events show nobody in the room."""
    lesson = classes.lesson
    if lesson is None or lesson.started_ms is None:
        return None
    started_ms = lesson.started_ms
    ended_ms = lesson.end()
    return _report(classes, lesson, tuple(_within(marks, classes, started_ms, ended_ms)), (started_ms, ended_ms), broken, options)


def _within(marks: Iterable[Marker], classes: Classes, started_ms: int, ended_ms: int) -> Iterable[Mark]:
    """The marks within the class, in lesson time."""
    placed = sorted(((classes.clock.of(marker.at_ms), marker) for marker in marks), key=lambda each: each[0])
    for at_ms, marker in placed:
        if started_ms <= at_ms <= ended_ms:
            yield Mark(label=marker.label, kind=marker.kind, at_seconds=(at_ms - started_ms) / 1000)


def _report(
    classes: Classes, lesson: Lesson, marks: tuple[Mark, ...], span: tuple[int, int], broken: int, options: Options
) -> Report:
    started_ms, ended_ms = span
    # which names may be shown depends on every run that was read, including those that ended before the class began
    is_named, why = _naming(list(lesson.runs.values()), options.naming)
    runs = [run for run in lesson.runs.values() if run.to_ms >= started_ms]
    labels = _labels(lesson.people.by_id, is_named)
    people = _people(lesson, labels, options.naming, why)
    attention = lesson.people.attention(started_ms, ended_ms, labels)
    report = Report(
        room=options.room,
        started_at=rfc3339(classes.clock.wall(started_ms)),
        ended_at=rfc3339(classes.clock.wall(started_ms) + ended_ms - started_ms),
        seconds=(ended_ms - started_ms) / 1000,
        made_at=rfc3339(options.made_at_ms),
        overall=_overall(lesson, started_ms, ended_ms),
        steps=tuple(_steps(lesson, started_ms, ended_ms)),
        marks=marks,
        phases=phases(lesson.curve, marks, started_ms, ended_ms) if marks else (),
        before_after=before_after(lesson.curve, marks, started_ms, ended_ms),
        attention_on=bool(attention),
        attention=attention if people.shown != "none" else (),
        people=people,
        declared=tuple(_declared(run) for run in runs if run.basis is not None),
        runs=tuple(run.part(started_ms) for run in runs),
        gaps=lesson.gaps_within(started_ms, ended_ms),
        certainty=_certainty(lesson, runs, options.cards or {}),
        source=_source(classes, lesson, broken, options),
        notes=(),
    )
    return report.model_copy(update={"notes": tuple(notes(report, begins_cut=classes.begins_cut))})


def _source(classes: Classes, lesson: Lesson, broken: int, options: Options) -> Source:
    left_out = lesson.people.left_out + lesson.gaps_left_out
    return Source(
        events=classes.events,
        broken=broken,
        repeated=classes.repeated,
        left_out=left_out,
        clock_set_back=classes.clock.set_back,
        from_recording=options.from_recording,
        ends_early=options.ends_early,
    )


def _overall(lesson: Lesson, started_ms: int, ended_ms: int) -> Figures:
    """Figures for the whole class; without summaries, its coverage comes from the participants' own times."""
    figures = lesson.curve.figures(started_ms, ended_ms)
    everybody = lesson.people.by_id.values()
    attended = sum(each.by_coverage.total() for each in everybody)
    if lesson.curve or not attended or ended_ms == started_ms:
        return figures
    seen = sum(each.by_coverage[Coverage.OK] for each in everybody)
    lasted = ended_ms - started_ms
    told = {"participants": attended / lasted, "seen": seen / lasted, "seen_share": fraction(seen, attended)}
    return Figures.model_validate(figures.model_dump() | told)


def _steps(lesson: Lesson, started_ms: int, ended_ms: int) -> Iterable[Step]:
    if not lesson.curve:
        return
    for from_ms in range(started_ms, ended_ms, STEP_SECONDS * 1000):
        to_ms = min(from_ms + STEP_SECONDS * 1000, ended_ms)
        yield Step(at_seconds=(from_ms - started_ms) / 1000, **lesson.curve.figures(from_ms, to_ms).model_dump())


def _naming(runs: list[RunSoFar], asked: Naming) -> tuple[bool, str]:
    """Whether the published names are shown, and why: they are if they are pseudonyms or were asked for."""
    if runs and all(run.basis is not None and not run.basis.names for run in runs):
        return (
            True,
            "The names are pseudonyms, as the class published them; they change with every class and each start of the bot.",
        )
    if any(run.basis is None for run in runs):
        if asked == "names":
            return True, "The names are as the class published them; whether they are the room's own is not known here."
        return False, "Whether the published names are the room's own is not known here: numbers stand for them."
    if asked == "names":
        return True, "The names are those of the room."
    return False, "The names of the room are not shown; numbers are used instead."


def _people(lesson: Lesson, labels: Mapping[str, str], asked: Naming, why: str) -> People:
    by_id = lesson.people.by_id
    if asked == "none" or not by_id:
        why = "They were left out when this report was made." if by_id else "This class published nothing of single participants."
        return People(shown="none", why=why, participants=())
    rows = sorted(by_id, key=lambda each: (labels[each].casefold(), by_id[each].number))
    persons = (by_id[each].person(labels[each]) for each in rows if by_id[each].by_coverage)
    return People(shown=asked, why=why, participants=tuple(persons))


def _labels(by_id: Mapping[str, Participant], is_named: bool) -> dict[str, str]:
    """A unique label for each: somebody who rejoins a room without ids counts as a new participant of the same name."""
    digits, seen, labels = max(2, len(str(len(by_id)))), Counter[str](), dict[str, str]()
    for each, participant in sorted(by_id.items(), key=lambda pair: pair[1].number):
        numbered = f"Participant {participant.number:0{digits}d}"
        label = shown(participant.name).strip() or numbered if is_named else numbered
        seen[label] += 1
        labels[each] = label if seen[label] == 1 else f"{label} ({seen[label]})"
    return labels


def _declared(run: RunSoFar) -> Declared:
    assert run.basis is not None
    return Declared(epoch=run.epoch, **run.basis.model_dump())


def _certainty(lesson: Lesson, runs: list[RunSoFar], cards: Mapping[str, CardFigures]) -> Certainty:
    models = tuple(dict.fromkeys(name for run in runs for name in run.models))
    figures = cards.get(models[0], {}) if len(models) == 1 else {}
    seen = Counter[str]()
    for each in lesson.people.by_id.values():
        seen.update(each.by_emotion)
    return Certainty(
        models=models,
        accuracy=figures.get("accuracy"),
        macro_f1=figures.get("macro_f1"),
        crowd_agreement=figures.get("ferplus_majority_agreement"),
        calibration_error=figures.get("ece"),
        unknown_share=fraction(seen[UNKNOWN], seen.total()),
    )
