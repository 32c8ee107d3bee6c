"""The report as a page: one file without scripts, which loads nothing from anywhere."""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dashboard.palette import EMOTION_LOOKS, css_variables
from dashboard.report.minutes import minutes
from dashboard.report.model import Report
from dashboard.report.plots import ALL, compared_plot
from dashboard.report.smoothing import SMOOTHING_SECONDS
from dashboard.report.words import COVERAGE_WORDS, began, clock_time, mean, reason, share, signed, undeclared
from model.faces import EMOTIONS


def page(report: Report, zone: tzinfo | None = None) -> str:
    """A report as HTML, with times of day in `zone`, or else this machine's."""
    # matplotlib writes the SVG, and escapes the texts in it
    plots = {name: Markup(draw(report)) for name, draw in ALL.items()} if report.steps else {}  # nosec B704
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            room=report.room,
            began=began(report, zone),
            made=f"{datetime.fromisoformat(report.made_at).astimezone(zone or UTC):%Y-%m-%d %H:%M %Z}",
            plots=plots,
            minutes=minutes(report.steps),
            emotions=EMOTIONS,
            signs={emotion: look.sign for emotion, look in EMOTION_LOOKS.items()},
            words=COVERAGE_WORDS,
            smoothing=SMOOTHING_SECONDS,
        )
    )


def compared_page(
    reports: Sequence[Report], columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], notes: Sequence[str]
) -> str:
    """Several reports side by side as HTML."""
    plot = Markup(compared_plot(reports, columns))  # nosec B704
    return _environment().get_template("compare.html").render(columns=columns, rows=rows, notes=notes, plot=plot)


def _environment() -> Environment:
    # every value that a template writes is escaped; only the plots, which escape their own texts, are marked as HTML
    made = Environment(loader=PackageLoader("dashboard"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters |= {
        "share": share,
        "mean": mean,
        "signed": signed,
        "clock": clock_time,
        "reason": reason,
        "undeclared": undeclared,
    }
    made.globals |= {"light": css_variables("light"), "dark": css_variables("dark")}
    return made
