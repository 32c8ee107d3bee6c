"""What a report says of small classes whose figures were worked out by hand."""

import math
from html import unescape
from typing import Any

import pytest

from dashboard.report.build import Naming, Options, build
from dashboard.report.classes import Classes, Wanted
from dashboard.report.model import Report
from dashboard.report.page import page
from dashboard.report.people import MOST_PEOPLE, Everybody
from dashboard.report.read import Reading
from dashboard.report.summaries import MOST_COUNTED
from dashboard.report.tables import markdown
from dashboard.report.words import clock_time
from model.faces import Emotion
from pipeline.coverage import Coverage
from pipeline.events import (
    AttentionCleared,
    AttentionRaised,
    BasisStated,
    ConsentGranted,
    ConsentWithdrawn,
    CoverageChanged,
    EmotionSample,
    FaceBox,
    ParticipantJoined,
    Summary,
)
from pipeline.markers import Marker, new_marker
from tests.lessons import (
    STARTS_MS,
    Moment,
    basis,
    comes,
    goes,
    heartbeats,
    hides,
    line,
    lines,
    status,
    summary,
    turns,
    two_minutes,
)

VERDICTS = {Emotion.HAPPY: "fell", Emotion.SAD: "rose"}
PEOPLE = [f"p{number}" for number in range(6)]
HAPPY_AND_NEUTRAL = {Emotion.HAPPY: 3, Emotion.NEUTRAL: 3}


def report(
    texts: list[bytes],
    *marks: Marker,
    naming: Naming = "pseudonyms",
    wanted: Wanted | None = None,
    declared: dict[str, BasisStated] | None = None,
    **options: Any,
) -> Report:
    reading = Reading(Classes(wanted or Wanted(), declared=declared or {}))
    reading.add_lines(texts)
    made = build(reading.classes, marks, reading.broken, Options("demo", STARTS_MS, naming, **options))
    assert made is not None
    return made


def labels(made: Report) -> list[str]:
    return [each.label for each in made.people.participants]


def at(second: float) -> int:
    return STARTS_MS + round(second * 1000)


def a_class(from_second: float, to_second: float) -> list[Moment]:
    """Six people who arrive together and leave together, with a summary every five seconds."""
    return [
        *(each for who in PEOPLE for each in comes(from_second, who)),
        *heartbeats(from_second, to_second, 6),
        *(summary(from_second + 5 * number, HAPPY_AND_NEUTRAL) for number in range(round((to_second - from_second) / 5))),
        *(goes(to_second, who) for who in PEOPLE),
    ]


def test_the_class_is_weighed_by_people_and_time_and_not_by_events() -> None:
    overall = report(lines(two_minutes())).overall
    assert (overall.seconds, overall.told_seconds, overall.published_seconds) == (120, 120, 90)
    assert overall.participants == pytest.approx((6 * 90 + 4 * 30) / 120)
    assert overall.seen == pytest.approx((6 * 90 + 3 * 30) / 120)
    assert overall.seen_share == pytest.approx(630 / 660, abs=1e-4)
    assert overall.scored == 6
    assert overall.shares == pytest.approx(
        {**dict.fromkeys(Emotion, 0), "happy": 0.3333, "neutral": 0.5, "sad": 0.1667}, abs=1e-4
    )
    assert overall.valence == pytest.approx((0.5 * 60 - 0.5 * 30) / 90, abs=1e-4)
    assert overall.coverage == {"ok": 5.25, "no_face": 0.25}


def test_every_time_step_has_the_figures_that_held_in_it() -> None:
    steps = report(lines(two_minutes())).steps
    assert [step.at_seconds for step in steps] == [10.0 * number for number in range(12)]
    assert [step.valence for step in steps] == [0.5] * 6 + [-0.5] * 3 + [None] * 3
    assert [step.participants for step in steps] == [6] * 9 + [4] * 3


def test_each_participant_has_their_own_time() -> None:
    people = {each.label: each for each in report(lines(two_minutes())).people.participants}
    turned, hid, left = people["Name of p0"], people["Name of p3"], people["Name of p5"]
    assert (turned.attended_seconds, turned.seen_seconds, turned.known_seconds, turned.changes) == (120, 120, 120, 1)
    assert turned.shares is not None and (turned.shares[Emotion.HAPPY], turned.shares[Emotion.SAD]) == (0.5, 0.5)
    assert turned.valence == 0
    assert (hid.attended_seconds, hid.seen_seconds, hid.coverage) == (120, 90, {"ok": 90, "no_face": 30})
    assert (left.attended_seconds, left.changes) == (90, 0)


def test_before_and_after_a_mark_comes_with_how_sure_it_is() -> None:
    [mark] = report(lines(two_minutes()), new_marker("exercise", at(60))).before_after
    valence, *shares = mark.differences
    assert (mark.before_seconds, mark.after_seconds, mark.people_before, mark.people_after) == (60, 60, 6, 6)
    assert (valence.before, valence.after, valence.difference, valence.verdict) == (0.5, -0.5, -1.0, "fell")
    # two more people, spread over seven emotions, join the six: of eight, 3 + 2/7 are happy, and 2/7 have each other emotion
    many, few = (3 + 2 / 7) / 8, 2 / 7 / 8
    before = many + 4 * few - (many - 4 * few) ** 2
    after = few + 3 * few + many - (few - 3 * few - many) ** 2
    assert valence.plus_minus == pytest.approx(1.96 * math.sqrt((before + after) / 8), abs=1e-4)
    assert {each.figure: each.verdict for each in shares} == {each.value: VERDICTS.get(each, "not clear") for each in Emotion}


def test_the_class_is_split_at_the_marks() -> None:
    phases = report(lines(two_minutes()), new_marker("exercise", at(60)), new_marker("end", at(90))).phases
    assert [(each.label, each.from_seconds, each.to_seconds, each.valence) for each in phases] == [
        ("", 0, 60, 0.5),
        ("exercise", 60, 90, -0.5),
        ("end", 90, 120, None),
    ]


def test_a_mark_outside_the_class_is_left_out_and_so_is_a_difference_of_too_little() -> None:
    made = report(lines(two_minutes()), new_marker("early", at(-1)), new_marker("late", at(121)), new_marker("end", at(100)))
    assert [mark.label for mark in made.marks] == ["end"]
    assert made.before_after[0].differences == ()


def test_what_was_withheld_stays_withheld_whatever_is_told_of_single_people() -> None:
    people = PEOPLE[:4]
    moments = [each for who in people for each in comes(0, who, emotion=Emotion.SAD)]
    made = report(
        lines([*moments, *heartbeats(0, 60, 4), summary(0, {Emotion.SAD: 4}, withheld=True), *(goes(60, p) for p in people)])
    )
    assert (made.overall.shares, made.overall.valence, made.overall.published_seconds) == (None, None, 0)
    assert all(step.shares is None and step.valence is None for step in made.steps)
    assert any("withheld throughout" in note for note in made.notes)


def test_a_count_that_no_float_can_hold_is_cut() -> None:
    second, data = summary(0, {Emotion.SAD: 5})
    told: Moment = (second, data.model_copy(update={"participants": 10**400, "scored": 10**400}))
    made = report(lines([*comes(0, "p0"), told, *heartbeats(0, 60, 1), goes(60, "p0")]))
    assert (made.overall.participants, made.overall.scored) == (MOST_COUNTED, MOST_COUNTED)


def test_shares_of_two_people_are_withheld_whoever_published_them() -> None:
    made = report(lines([*comes(0, "p0"), *comes(0, "p1"), *heartbeats(0, 60, 2), summary(0, {Emotion.SAD: 2}), goes(60, "p0")]))
    assert made.overall.shares is None


def test_without_summaries_there_is_no_curve_and_coverage_comes_from_the_people() -> None:
    moments = [*comes(0, "p0"), *comes(0, "p1"), hides(30, "p1", Coverage.CAMERA_OFF), *heartbeats(0, 60, 2)]
    made = report(lines([*moments, goes(60, "p0"), goes(60, "p1")]))
    assert (made.steps, made.overall.shares, made.overall.seen_share) == ((), None, 0.75)
    assert any("no summary" in note for note in made.notes)


def test_a_class_that_publishes_the_whole_alone_has_a_curve_and_no_participants() -> None:
    made = report(lines([(0, basis(level="aggregate")), *heartbeats(0, 60, 6), summary(0, HAPPY_AND_NEUTRAL), (60, status(6))]))
    assert made.overall.valence == 0.5
    assert (made.people.shown, made.people.participants, made.certainty.unknown_share) == ("none", (), None)
    assert "nothing of single participants" in made.people.why


def withheld_in_between() -> list[Moment]:
    """Forty minutes at the level `aggregate`; from the tenth to the twenty-fifth, too few are there to publish anything."""
    nobody = Summary(participants=0, scored=0, coverage={}, shares=None, valence=None, withheld=True)
    moments: list[Moment] = []
    for minute in range(40):
        told = summary(60 * minute, {Emotion.HAPPY: 10, Emotion.NEUTRAL: 10}) if not 10 <= minute < 25 else (60 * minute, nobody)
        moments += [told, *heartbeats(60 * minute, 60 * minute + 60, told[1].participants)]  # type: ignore[union-attr]
    return moments


def test_while_a_class_is_too_small_to_be_told_of_it_is_neither_empty_nor_over() -> None:
    made = report(lines([(0, basis(level="aggregate")), *withheld_in_between()]))
    assert made.seconds > 38 * 60, "a quarter of an hour with the cameras off, and one class"
    assert (made.overall.participants, made.overall.seen_share) == (20, 1)
    assert made.overall.told_seconds == pytest.approx(24 * 60, abs=180)


def test_a_declaration_that_was_trimmed_counts_as_one_that_is_still_there() -> None:
    stated = basis(level="aggregate")
    whole = report(lines([(0, stated), *withheld_in_between()]))
    trimmed = report(lines(withheld_in_between(), first=2), declared={"1": stated})
    assert (trimmed.declared, trimmed.overall, trimmed.steps) == (whole.declared, whole.overall, whole.steps)
    assert report(lines(withheld_in_between(), first=2)).seconds < whole.seconds
    waited = lines([*heartbeats(-900, 0, 0), *a_class(0, 60), *heartbeats(60, 700, 0), *a_class(700, 760)], first=2)
    assert [each.level for each in report(waited, declared={"1": stated}).declared] == ["aggregate"]


def test_what_the_run_itself_declared_stands_before_what_was_known_of_it() -> None:
    [declared] = report(lines(two_minutes()), declared={"1": basis(names=True), "2": basis()}).declared
    assert not declared.names


def test_two_of_one_name_are_told_apart_and_numbers_stand_in_their_order() -> None:
    moments = [*comes(0, "a", "Ana"), *comes(1, "b", "Ana"), *comes(2, "c", "Ben"), *heartbeats(0, 60, 3)]
    named = report(lines([(0, basis(names=True)), *moments]), naming="names")
    assert [each.label for each in named.people.participants] == ["Ana", "Ana (2)", "Ben"]
    many = [moment for number in range(101) for moment in comes(number / 100, f"p{number}")]
    numbered = report(lines([(0, basis(names=True)), *many, *heartbeats(0, 60, 101)]))
    labels = [each.label for each in numbered.people.participants]
    assert labels == [f"Participant {number:03d}" for number in range(1, 102)]


def test_ten_minutes_without_anybody_end_a_class_and_less_does_not() -> None:
    assert report(lines([*a_class(0, 60), *heartbeats(60, 659, 0), *a_class(659, 700)])).seconds == 700
    apart = report(lines([*a_class(0, 60), *heartbeats(60, 661, 0), *a_class(661, 700)]))
    assert (apart.seconds, apart.started_at) == (39, "2026-01-01T09:11:01.000Z")


def test_the_runs_of_one_class_are_joined_and_the_time_between_is_told_as_a_gap() -> None:
    crashed = [*comes(0, "old"), *heartbeats(0, 100, 1), summary(0, HAPPY_AND_NEUTRAL), summary(60, HAPPY_AND_NEUTRAL)]
    again = [goes(200, "old", "bot restarted"), *comes(201, "new"), *heartbeats(200, 300, 1), goes(300, "new")]
    made = report([*lines(crashed, "1"), *lines(again, "2")])
    assert [(run.epoch, run.ended) for run in made.runs] == [("1", False), ("2", False)]
    assert [(gap.from_seconds, gap.to_seconds) for gap in made.gaps] == [(95, 200)]
    assert {each.label: each.attended_seconds for each in made.people.participants} == {
        "Participant 01": 95,
        "Participant 02": 99,
    }
    assert made.overall.told_seconds == 95
    assert any("105 seconds" in note for note in made.notes)


def test_one_run_alone_can_be_told() -> None:
    texts = [*lines(a_class(0, 60), "1"), *lines(a_class(70, 120), "2")]
    assert report(texts).seconds == 120
    assert (report(texts, wanted=Wanted(epoch="1")).seconds, report(texts, wanted=Wanted(epoch="2")).seconds) == (60, 50)


def test_a_stretch_of_time_can_be_told_and_what_was_before_it_is_known_in_it() -> None:
    made = report(lines(two_minutes()), wanted=Wanted(since_ms=at(30), until_ms=at(75)))
    assert (made.started_at, made.seconds) == ("2026-01-01T09:00:30.000Z", 45)
    assert made.overall.valence == pytest.approx((0.5 * 30 - 0.5 * 15) / 45, abs=1e-4)
    assert {each.attended_seconds for each in made.people.participants} == {45}


def test_a_class_without_an_end_ends_with_its_last_event() -> None:
    texts = [text for text in lines(a_class(0, 60)) if b"participant.left" not in text]
    assert report(texts).seconds == 55


def test_events_that_come_again_or_too_late_are_counted_and_left_out() -> None:
    texts = lines(two_minutes())
    tampered = [*texts[:40], texts[10], texts[39], *texts[40:], texts[0]]
    made = report(tampered)
    assert made.source.repeated == 3
    assert made.model_copy(update={"source": report(texts).source, "notes": ()}) == report(texts).model_copy(update={"notes": ()})


def test_missing_numbers_are_counted_in_their_run() -> None:
    texts = lines(a_class(0, 60))
    made = report([*texts[:20], *texts[23:]])
    assert [run.missing_events for run in made.runs] == [3]
    assert any(note.startswith("3 events are missing") for note in made.notes)
    assert any("middle of a run" in note for note in report(texts[5:]).notes)


def test_only_a_class_that_itself_begins_in_the_middle_of_a_run_is_told_to() -> None:
    def is_told_so(made: Report) -> bool:
        return any("middle of a run" in note for note in made.notes)

    cut, whole = lines(a_class(0, 60), "1")[5:], lines(a_class(100, 160), "2")
    assert is_told_so(report([*cut, *whole]))
    assert not is_told_so(report([*cut, *whole], wanted=Wanted(epoch="2")))
    assert not is_told_so(report([*cut, *whole], wanted=Wanted(since_ms=at(90))))
    assert is_told_so(report(lines(a_class(100, 160), first=9), wanted=Wanted(since_ms=at(90))))
    waited = lines([*heartbeats(-900, 0, 0), *a_class(0, 60)], first=9)
    assert not is_told_so(report(waited))


def counted(second: float, number: int, participants: int = 6) -> Moment:
    """A heartbeat of a bot that has counted that many of everything since it started."""
    counts = dict.fromkeys(("events_dropped", "frames_dropped", "tracks_failed", "looks"), number)
    return second, status(participants).model_copy(update=counts)


def counts(made: Report) -> list[tuple[int, int, int, int]]:
    return [(run.events_dropped, run.frames_dropped, run.tracks_failed, run.looks) for run in made.runs]


def test_what_the_bot_counted_before_the_class_is_not_counted_in_it() -> None:
    two = [
        *(moment for begins in (0, 700) for moment in a_class(begins, begins + 60) if moment[1].type != "classmood.bot.status"),
        counted(50, 70),
        counted(600, 90, 0),
        counted(750, 100),
    ]
    assert counts(report(lines(two))) == [(10, 10, 10, 10)]
    assert counts(report(lines(two), wanted=Wanted(until_ms=at(100)))) == [(70, 70, 70, 70)]
    assert counts(report(lines(two), wanted=Wanted(since_ms=at(690)))) == [(10, 10, 10, 10)]


def test_a_run_that_had_ended_before_the_stretch_is_no_part_of_it() -> None:
    earlier = [(0.0, basis()), *a_class(0, 60), (60.0, status(0, "stopping"))]
    texts = [*lines(earlier, "1"), *lines([(95, basis()), *a_class(100, 160)], "2")]
    made = report(texts, wanted=Wanted(since_ms=at(90)))
    assert ([run.epoch for run in made.runs], [each.epoch for each in made.declared]) == (["2"], ["2"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (425, "7:05"), (3725, "1:02:05"), (-0.4, "0:00"), (-12, "-0:12"), (-6588, "-1:49:48")],
)
def test_times_are_written_as_a_clock_shows_them_also_before_the_beginning(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


def test_a_clock_that_is_set_back_by_an_hour_does_not_stop_the_lesson() -> None:
    first = [*comes(0, "p0"), *heartbeats(0, 60, 1)]
    later = [*comes(60 - 3600, "p1"), *heartbeats(60 - 3600, 120 - 3600, 1), goes(120 - 3600, "p1")]
    made = report([*lines(first, "1"), *lines(later, "2")], new_marker("exercise", at(90 - 3600)))
    assert (made.source.clock_set_back, made.seconds) == (1, 115)
    assert [mark.at_seconds for mark in made.marks] == [85]


def test_a_clock_that_jumps_ahead_is_a_gap_and_counts_as_nothing() -> None:
    texts = lines([*comes(0, "p0"), *heartbeats(0, 60, 1), *heartbeats(360, 420, 1), goes(420, "p0")])
    made = report(texts)
    assert [(gap.from_seconds, gap.to_seconds) for gap in made.gaps] == [(55, 360)]
    assert [each.attended_seconds for each in made.people.participants] == [115]


def test_what_is_no_event_is_counted_and_left_out() -> None:
    texts = lines(two_minutes())
    broken = [b"", b"no json", b'{"type": "x"}', None, b"\xff\xfe", texts[3].replace(b'"emotion', b'"emoti0n')]
    made = report([*texts[:5], *broken, *texts[5:]])  # type: ignore[list-item]
    assert made.source.broken >= 5
    assert made.overall == report(texts).overall


def test_nobody_in_the_room_makes_no_report() -> None:
    for texts in ([], lines(heartbeats(0, 60, 0)), [b"no json"]):
        reading = Reading(Classes())
        reading.add_lines(texts)
        assert build(reading.classes, [new_marker("exercise", at(30))], 0, Options("demo", STARTS_MS)) is None


def test_names_are_shown_only_where_asked_for_and_pseudonyms_as_they_were_published() -> None:
    named = lines([(0, basis(names=True)), *comes(0, "p0", "Ada Lovelace"), *heartbeats(0, 60, 1), goes(60, "p0")])
    assert labels(report(named)) == ["Participant 01"]
    assert labels(report(named, naming="names")) == ["Ada Lovelace"]
    assert labels(report(named, naming="none")) == []
    pseudonymous = lines([(0, basis()), *comes(0, "p0", "Teal Otter"), *heartbeats(0, 60, 1), goes(60, "p0")])
    assert labels(report(pseudonymous)) == ["Teal Otter"]
    undeclared = lines([*comes(0, "p0", "Ada Lovelace"), *heartbeats(0, 60, 1), goes(60, "p0")])
    assert "Ada" not in report(undeclared).model_dump_json()


def test_who_withdraws_is_in_no_row_and_no_list() -> None:
    raised: Moment = (20, AttentionRaised(participant="p0", reason="changed", for_seconds=90))
    withdrawn: Moment = (30, ConsentWithdrawn(participant="p0", source="page"))
    unread: Moment = (30, CoverageChanged(participant="p0", before=Coverage.OK, after=Coverage.NOT_CONSENTED))
    class_ = [*comes(0, "p0"), *comes(0, "p1"), *heartbeats(0, 60, 2), raised, withdrawn, unread, goes(60, "p1")]
    made = report(lines(class_))
    assert [each.label for each in made.people.participants] == ["Participant 02"]
    assert made.attention == ()
    again: list[Moment] = [(40, ConsentGranted(participant="p0", source="page")), comes(40, "p0")[-1]]
    assert len(report(lines([*class_, *again])).people.participants) == 2


def test_who_withdraws_is_in_no_row_also_where_what_came_before_was_erased() -> None:
    withdrawn: Moment = (30, ConsentWithdrawn(participant="p0", source="page"))
    unread: Moment = (30, CoverageChanged(participant="p0", before=Coverage.OK, after=Coverage.NOT_CONSENTED))
    erased = [withdrawn, unread, *comes(0, "p1"), *heartbeats(0, 60, 2), goes(60, "p1")]
    assert labels(report(lines(erased))) == ["Participant 01"]


def test_who_withdrew_in_an_earlier_class_is_in_no_row_of_the_next() -> None:
    withdrawn: Moment = (30, ConsentWithdrawn(participant="p9", source="page"))
    unread: Moment = (705, CoverageChanged(participant="p9", before=None, after=Coverage.NOT_CONSENTED))
    two = [*a_class(0, 60), withdrawn, *heartbeats(60, 700, 0), *a_class(700, 760)]
    assert len(labels(report(lines([*two, unread])))) == len(PEOPLE)
    again: list[Moment] = [(710, ConsentGranted(participant="p9", source="page")), *comes(710, "p9")]
    assert len(labels(report(lines([*two, unread, *again])))) == len(PEOPLE) + 1


def test_attention_stands_in_the_order_of_time_with_how_it_ended() -> None:
    moments: list[Moment] = [
        (50, AttentionRaised(participant="p1", reason="not_visible", for_seconds=180)),
        (20, AttentionRaised(participant="p0", reason="changed", for_seconds=90)),
        (40, AttentionCleared(participant="p0", reason="changed", for_seconds=110)),
    ]
    stays = [moment for moment in a_class(0, 60) if moment != goes(60, "p1")]
    made = report(lines([*stays, *moments]))
    assert [(each.at_seconds, each.participant, each.for_seconds, each.cleared) for each in made.attention] == [
        (20, "Participant 01", 110, True),
        (50, "Participant 02", 180 + 10, False),
    ]
    hidden = report(lines([*a_class(0, 60), *moments]), naming="none")
    assert (hidden.attention_on, hidden.attention) == (True, ())


def ended_attention(made: Report) -> list[tuple[float, float, bool]]:
    return [(each.at_seconds, each.for_seconds, each.cleared) for each in made.attention]


def test_attention_ends_when_somebody_leaves() -> None:
    moments = [*comes(0, "p0"), *comes(0, "p1"), *heartbeats(0, 100, 2), goes(30, "p0"), goes(100, "p1")]
    raised: Moment = (20, AttentionRaised(participant="p0", reason="changed", for_seconds=90))
    assert ended_attention(report(lines([*moments, raised]))) == [(20, 90 + 10, True)]


def test_attention_ends_with_the_run_that_raised_it() -> None:
    raised: Moment = (20, AttentionRaised(participant="p0", reason="changed", for_seconds=90))
    crashed = [*comes(0, "p0"), *heartbeats(0, 55, 1), raised]
    again = [*comes(80, "p0"), *heartbeats(80, 150, 1)]
    assert ended_attention(report([*lines(crashed, "1"), *lines(again, "2")])) == [(20, 90 + 30, True)]


def test_unknown_is_told_as_the_part_of_the_seen_time_that_it_is() -> None:
    made = report(lines([*comes(0, "p0"), turns(45, "p0", Emotion.NEUTRAL, "unknown"), *heartbeats(0, 60, 1), goes(60, "p0")]))
    assert made.certainty.unknown_share == 0.25


def test_a_sample_tells_how_somebody_is_whose_changes_were_lost() -> None:
    def sample(second: float, emotion: Emotion) -> Moment:
        scores = dict.fromkeys(Emotion, 0.0) | {emotion: 1.0}
        return second, EmotionSample(
            participant="p0", at_ms=0, emotion=emotion, confidence=1, scores=scores, face=FaceBox(x=0, y=0, width=1, height=1),
            faces=1, coverage=Coverage.OK, model="tiny@01234567",
        )  # fmt: skip

    made = report(
        lines(
            [
                *(sample(second, Emotion.SAD) for second in range(60)),
                *(sample(second, Emotion.HAPPY) for second in range(60, 121)),
            ]
        )
    )
    [person] = made.people.participants
    assert person.shares is not None and (person.shares[Emotion.SAD], person.shares[Emotion.HAPPY]) == (0.5, 0.5)
    assert made.certainty.models == ("tiny@01234567",)


def test_below_a_minute_of_known_time_nobody_has_shares() -> None:
    made = report(lines([*comes(0, "p0"), *heartbeats(0, 59, 1), goes(59, "p0")]))
    assert [(each.known_seconds, each.shares, each.valence) for each in made.people.participants] == [(59, None, None)]


def test_the_card_of_the_weights_says_how_often_they_are_right() -> None:
    texts = lines(two_minutes())
    assert report(texts, cards={"tiny@01234567": {"accuracy": 0.6}}).certainty.accuracy == 0.6
    assert report(texts, cards={"other@01234567": {"accuracy": 0.6}}).certainty.accuracy is None


def test_what_was_declared_stands_in_the_report() -> None:
    [declared] = report(lines(two_minutes())).declared
    assert (declared.jurisdiction, declared.basis, declared.level, declared.version) == ("US", "consent", "individual", "0.1.0")
    undeclared, recorded = (report(lines(a_class(0, 60)), from_recording=which) for which in (False, True))
    assert any("No legal basis" in note for note in undeclared.notes)
    assert any("not in this recording" in note for note in recorded.notes) and recorded.source.from_recording
    for made, says in (
        (undeclared, "No declaration is on record."),
        (recorded, "What the bot's operator declared is not in this"),
    ):
        assert says in markdown(made) and says in unescape(page(made))


def test_a_bot_that_waited_in_an_empty_room_has_declared_all_the_same() -> None:
    made = report(lines([(-900, basis()), *heartbeats(-900, 0, 0), *a_class(0, 60), *heartbeats(60, 700, 0), *a_class(700, 760)]))
    assert (made.seconds, len(made.declared), made.started_at) == (60, 1, "2026-01-01T09:11:40.000Z")


def test_events_of_a_type_from_the_future_show_that_the_bot_lives() -> None:
    moments = a_class(0, 60)
    future = [
        line(2 + second, CoverageChanged(participant="p0", before=None, after=Coverage.OK), 1000 + second, "1")
        for second in (0, 1)
    ]
    texts = [text.replace(b"coverage.changed", b"posture.changed") for text in future]
    assert report([*lines(moments), *texts]).source.broken == 0


def test_more_people_than_can_be_told_apart_are_left_out_and_do_not_fill_the_memory() -> None:
    everybody = Everybody(0)
    for number in range(MOST_PEOPLE + 5):
        everybody.add(0, ParticipantJoined(participant=f"p{number}", name="", reason="joined"))
    assert (len(everybody.by_id), everybody.left_out) == (MOST_PEOPLE, 5)
