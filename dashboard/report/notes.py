"""What a reader must know before believing a report, in sentences."""

from collections.abc import Iterator

from dashboard.report.model import Report
from dashboard.report.words import UNDECLARED_IN_RECORDING

NEVER = (
    "A face shows an expression, not a feeling, and the classifier is often wrong. "
    "Never grade, rank, punish or diagnose anybody by this report."
)

LITTLE_SEEN = 0.5
MANY_UNKNOWN = 0.3


def notes(report: Report, *, begins_cut: bool) -> Iterator[str]:
    """The sentences of a report, the most important first."""
    yield NEVER
    yield from _about_the_figures(report)
    yield from _about_what_is_missing(report, begins_cut)


def _about_the_figures(report: Report) -> Iterator[str]:
    overall = report.overall
    if not report.steps:
        yield "This class published no summary, so there is no curve of the class: it is not made up from single participants."
    elif overall.published_seconds == 0:
        yield "The shares were withheld throughout: there were never enough people whose emotion was known."
    elif overall.published_seconds < overall.seconds / 2:
        yield "The shares were published for less than half of the class: for the rest they were withheld, or the bot was away."
    if overall.seen_share is not None and overall.seen_share < LITTLE_SEEN:
        yield "Less than half of the attended time could be read: those who were not seen may have felt different."
    unknown = report.certainty.unknown_share
    if unknown is not None and unknown > MANY_UNKNOWN:
        yield f"{unknown:.0%} of the seen time was too unclear to be named."
    if len(report.certainty.models) > 1:
        yield "The class was read by more than one set of weights, whose figures are not comparable."


def _about_what_is_missing(report: Report, begins_cut: bool) -> Iterator[str]:
    if begins_cut:
        yield "What was stored begins in the middle of a run: earlier events are gone, and the class may have begun earlier."
    if report.source.ends_early:
        yield "The recording is cut off or damaged: what came after that is not in this report."
    if away := sum(gap.to_seconds - gap.from_seconds for gap in report.gaps):
        stretches = f"{len(report.gaps)} stretch{'' if len(report.gaps) == 1 else 'es'}"
        yield f"For {away:.0f} seconds, in {stretches}, nothing came from the bot; nothing is assumed about that time."
    if missing := sum(run.missing_events for run in report.runs):
        yield f"{missing} events are missing in the sequence: somebody was forgotten, events were trimmed, or Redis lost them."
    if dropped := sum(run.events_dropped for run in report.runs):
        yield f"{dropped} events were dropped while Redis was away."
    if report.source.broken or report.source.repeated:
        yield f"Left out: {report.source.broken} entries that are not events, {report.source.repeated} that came again or late."
    if report.source.left_out:
        yield f"{report.source.left_out} events were too many to keep: of more people, calls for attention or the bot's absences."
    if report.source.clock_set_back:
        yield "A clock was set back during the class: times after that continue from where they were."
    if not report.declared:
        yield UNDECLARED_IN_RECORDING if report.source.from_recording else "No legal basis is on record for this class."
