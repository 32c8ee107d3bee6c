"""What the dashboard computes itself: who is on the board, the smoothed past, ages by several clocks, words."""

import pytest

from dashboard.attempts import Attempts
from dashboard.board import MOST_GONE, MOST_NEEDING, Board, left_in_this_run
from dashboard.clocks import RoomClock
from dashboard.figures import columns, thinned
from dashboard.history import GAP_LEAST_MS, SMOOTHING_SECONDS, WINDOW_MS, Moment, MoodHistory, gap_ms
from dashboard.words import coverage_in_words, presentable
from model.faces import EMOTIONS, Emotion
from pipeline.coverage import Coverage
from pipeline.events import (
    AttentionCleared,
    AttentionRaised,
    ConsentWithdrawn,
    CoverageChanged,
    OfParticipant,
    ParticipantJoined,
    ParticipantLeft,
)
from pipeline.room import RoomState
from pipeline.state import ParticipantState
from tests.dashboards import sample
from tests.fakes import Clock


def board_of(*events: OfParticipant) -> Board:
    board = Board()
    for at_ms, data in enumerate(events, 1):
        board.take(data, "1", at_ms * 1000)
    return board


def joined(who: str) -> ParticipantJoined:
    return ParticipantJoined(participant=who, name=who.title(), reason="joined")


def raised(who: str, reason: str = "changed", seconds: float = 90) -> AttentionRaised:
    return AttentionRaised(participant=who, reason=reason, for_seconds=seconds)


# the board


def test_a_watcher_is_told_only_what_changed_since() -> None:
    board = board_of(joined("ada"), joined("ben"))
    assert board.people_since(-1)["all"] and len(board.people_since(-1)["changed"]) == 2
    seen = board.version
    assert board.people_since(seen) == {"all": False, "changed": [], "gone": []}
    board.take(sample("ben", Emotion.HAPPY, 9_000), "1", 9_100)
    board.take(ParticipantLeft(participant="ada", reason="left"), "1", 9_200)
    told = board.people_since(seen)
    assert [person["id"] for person in told["changed"]] == ["ben"] and told["gone"] == ["ada"]
    assert told["changed"][0] == {
        "id": "ben", "name": "Ben", "coverage": "ok", "emotion": "happy", "confidence": 0.75, "looked_ms": 9_000
    }  # fmt: skip


def test_an_emotion_is_shown_only_while_it_speaks_of_the_present() -> None:
    hidden = CoverageChanged(participant="ada", before=None, after=Coverage.NO_FACE)
    board = board_of(joined("ada"), sample("ada", Emotion.SAD, 1_000), hidden)
    [person] = board.people_since(-1)["changed"]
    assert (person["coverage"], person["emotion"], person["confidence"]) == ("no_face", None, None)
    assert board.counts()["emotions"]["sad"] == 0


def test_a_look_that_is_older_than_the_one_shown_changes_nothing_unless_it_is_of_another_run() -> None:
    board = board_of(joined("ada"), sample("ada", Emotion.SAD, 5_000))
    board.take(sample("ada", Emotion.HAPPY, 4_000), "1", 6_000)
    assert board.people_since(-1)["changed"][0]["emotion"] == "sad"
    board.take(sample("ada", Emotion.HAPPY, 4_000), "2", 6_000)
    assert board.people_since(-1)["changed"][0]["emotion"] == "happy"


def test_who_withdraws_consent_is_shown_without_what_was_read() -> None:
    withdrawn = ConsentWithdrawn(participant="ada", source="page")
    board = board_of(joined("ada"), sample("ada", Emotion.SAD, 5_000), raised("ada"), withdrawn)
    [person] = board.people_since(-1)["changed"]
    assert (person["coverage"], person["emotion"], person["looked_ms"]) == ("not_consented", None, None)
    assert board.needing() == {"people": [], "more": 0}


def test_a_state_is_a_new_beginning_for_every_watcher() -> None:
    board = board_of(joined("ada"))
    seen = board.version
    ben = ParticipantState(
        id="ben", name="Ben", present=True, updated_ms=1, epoch="2", sequence=1, attention="changed", attention_since_ms=5
    )
    gone = ParticipantState(id="cy", present=False, updated_ms=1, epoch="2", sequence=9)
    board.begin(RoomState("algebra", (ben, gone)))
    told = board.people_since(seen)
    assert told["all"] and [person["id"] for person in told["changed"]] == ["ben"]
    assert board.counts()["left"] == 1 and board.needing()["people"][0]["since_ms"] == 5


def left(who: str, reason: str = "left") -> ParticipantLeft:
    return ParticipantLeft(participant=who, reason=reason)


def test_who_comes_back_has_not_left() -> None:
    board = board_of(joined("ada"), joined("ben"), left("ada"), left("ben"))
    assert board.counts()["left"] == 2
    board.take(joined("ada"), "1", 9_000)
    assert board.counts()["left"] == 1
    board.take(left("ada"), "1", 9_100)
    assert board.counts()["left"] == 2, "counted once, however often they come and go"


def test_who_left_in_an_earlier_run_is_no_longer_counted() -> None:
    board = board_of(joined("ada"), joined("ben"), left("ada"))
    board.take(left("ben", "bot restarted"), "2", 9_000)
    assert board.counts()["left"] == 0
    board.take(joined("cy"), "2", 9_000)
    board.take(left("cy"), "2", 9_100)
    board.in_run("2")
    assert board.counts()["left"] == 1
    board.in_run("3")
    assert board.counts()["left"] == 0


def test_of_a_state_only_those_who_left_in_the_present_run_are_counted() -> None:
    def one(who: str, epoch: str, sequence: int, present: bool = False) -> ParticipantState:
        return ParticipantState(id=who, present=present, updated_ms=100 * int(epoch) + sequence, epoch=epoch, sequence=sequence)

    earlier, found = one("ada", "1", 50), [one("ben", "2", 1), one("cy", "2", 2)]
    state = RoomState("algebra", (earlier, *found, one("dan", "2", 7), one("eve", "2", 9, present=True)))
    assert left_in_this_run(state) == {"dan"}
    assert left_in_this_run(RoomState("algebra")) == set()
    board = Board()
    board.begin(state)
    board.take(joined("dan"), "2", 9_000)
    assert board.left == 0


def test_who_was_erased_is_gone_and_has_not_left() -> None:
    board = board_of(joined("ada"), joined("ben"))
    seen = board.version
    assert not board.erase(["cleo"]) and board.version == seen
    assert board.erase({"ada"})
    assert (board.ids, board.left, board.people_since(seen)["gone"]) == ({"ben"}, 0, ["ada"])


def test_so_many_leave_that_everybody_is_told_all_anew() -> None:
    board = board_of(joined("ada"))
    seen = board.version
    for number in range(MOST_GONE + 1):
        board.take(joined(str(number)), "1", 1)
        board.take(ParticipantLeft(participant=str(number), reason="left"), "1", 1)
    assert board.people_since(seen)["all"]
    assert [person["id"] for person in board.people_since(seen)["changed"]] == ["ada"]


def test_an_aggregate_class_has_nobody_on_the_board_whatever_came_before() -> None:
    board = board_of(joined("ada"), raised("ada"))
    board.aggregate = True
    board.take(joined("ben"), "1", 1)
    assert board.people_since(-1) == {"all": True, "changed": [], "gone": []} and board.needing()["people"] == []


# who may need help


def test_who_waits_longest_stands_first_and_the_list_is_short() -> None:
    board = board_of(*(joined(f"s{n}") for n in range(8)))
    for number in range(8):
        board.take(raised(f"s{number}", seconds=10 * number), "1", 100_000)
    needing = board.needing()
    assert [person["id"] for person in needing["people"]] == ["s7", "s6", "s5", "s4", "s3"]
    assert len(needing["people"]) == MOST_NEEDING and needing["more"] == 3
    assert set(needing["people"][0]) == {"id", "name", "reason", "since_ms"}, "no score, no rank"
    assert needing["people"][0]["since_ms"] == 30_000
    board.take(AttentionCleared(participant="s7", reason="changed", for_seconds=80), "1", 101_000)
    board.take(ParticipantLeft(participant="s6", reason="left"), "1", 101_000)
    assert [person["id"] for person in board.needing()["people"]] == ["s5", "s4", "s3", "s2", "s1"]


def test_who_is_said_to_have_waited_for_ever_has_waited_since_the_epoch() -> None:
    board = board_of(joined("ada"))
    board.take(raised("ada", seconds=1e308), "1", 100_000)
    assert board.needing()["people"][0]["since_ms"] == 0


# words


@pytest.mark.parametrize(
    ("coverage", "sentence"),
    [
        (
            {Coverage.OK: 18, Coverage.NO_FACE: 3, Coverage.CAMERA_OFF: 9, Coverage.NOT_CONSENTED: 2},
            "18 of 32 seen: 9 cameras off, 3 no face, 2 did not consent",
        ),
        ({Coverage.OK: 2}, "2 of 2 seen"),
        ({Coverage.CAMERA_OFF: 1}, "0 of 1 seen: 1 camera off"),
        ({}, "nobody is here"),
    ],
)
def test_coverage_in_a_teachers_words(coverage: dict[Coverage, int], sentence: str) -> None:
    assert coverage_in_words(coverage) == sentence


def test_every_coverage_has_its_words() -> None:
    for state in set(Coverage) - {Coverage.OK}:
        assert coverage_in_words({state: 2}).startswith("0 of 2 seen: 2 "), state


def test_text_of_unknown_origin_is_cut_and_holds_no_control_characters() -> None:
    assert presentable("x" * 5000) == "x" * 79 + "…"
    assert presentable(" a\x00\x1b[2J\r\nb\x85 ") == "a[2Jb"
    assert presentable("<b>\u202eeve</b>") == "<b>\u202eeve</b>", "the page isolates it"


# the past


def moment(at_ms: int, happy: float | None, valence: float | None = 0.0) -> Moment:
    shares = None if happy is None else {**dict.fromkeys(EMOTIONS, 0.0), Emotion.HAPPY: happy, Emotion.NEUTRAL: 1 - happy}
    return Moment(at_ms, 10, 10, 10, shares, None if happy is None else valence)


def shown(history: MoodHistory) -> list[float | None]:
    return [None if each.shares is None else round(each.shares[Emotion.HAPPY], 3) for each in history.smoothed]


def test_a_change_shows_to_63_percent_after_the_time_constant() -> None:
    history = MoodHistory()
    history.add(moment(0, 0.0))
    history.add(moment(round(SMOOTHING_SECONDS * 1000), 1.0))
    assert shown(history) == [0.0, 0.632]
    assert sum((history.smoothed[-1].shares or {}).values()) == pytest.approx(1)


def test_moments_in_any_order_give_the_same_past() -> None:
    moments = [moment(n * 5_000, n / 10) for n in range(10)]
    straight, mixed = MoodHistory(), MoodHistory()
    for each in moments:
        straight.add(each)
    for each in [*moments[::2], *moments[1::2], moments[3]]:
        mixed.add(each)
    assert mixed.smoothed == straight.smoothed


def test_what_was_withheld_or_long_ago_does_not_smooth_what_follows() -> None:
    history = MoodHistory()
    for each in (moment(0, 0.0), moment(5_000, None), moment(10_000, 1.0), moment(11_000 + GAP_LEAST_MS, 0.5)):
        history.add(each)
    assert shown(history) == [0.0, None, 1.0, 0.5]


def test_a_silence_is_judged_by_how_far_the_summaries_are_apart() -> None:
    assert gap_ms([]) == gap_ms([5]) == gap_ms(range(0, 100_000, 5_000)) == GAP_LEAST_MS
    every_two_minutes = [moment(n * 120_000, 0.5) for n in range(4)]
    assert columns(every_two_minutes)["gap_ms"] == 360_000
    assert columns([*every_two_minutes, moment(800_000, 0.5)])["gap_ms"] == 360_000, "one long silence is no rule"
    history = MoodHistory()
    for each in (moment(0, 0.0), moment(70_000, 0.0), moment(140_000, 1.0)):
        history.add(each)
    assert shown(history)[-1] == 0.97, "smoothed over the 70 s from one to the next"


def test_a_clock_that_was_set_back_does_not_stop_the_present() -> None:
    history = MoodHistory()
    for each in (moment(0, 0.0), moment(300_000, 0.5), moment(900_000, 1.0), moment(305_000, 0.5), moment(310_000, 0.5)):
        history.add(each)
    assert [each.at_ms for each in history.smoothed] == [300_000, 305_000, 310_000]
    assert shown(history)[-1] == 0.5


def test_only_ten_minutes_are_kept() -> None:
    history = MoodHistory()
    for number in range(300):
        history.add(moment(number * 5_000, 0.5))
    assert len(history.moments) == len(history.smoothed) == WINDOW_MS // 5_000 + 1


def test_a_chart_gets_a_point_every_few_seconds_and_the_newest() -> None:
    every_second = thinned([moment(n * 1_000, 0.5) for n in range(60)])
    assert [point.at_ms // 1_000 for point in every_second] == [0, *range(4, 60, 4), 59]
    assert len(thinned([moment(n, 0.5) for n in range(3)])) == 2
    five_apart = [moment(n * 5_000, 0.5) for n in range(9)]
    assert thinned(five_apart) == five_apart


# clocks


def test_ages_are_right_though_bot_redis_and_dashboard_are_minutes_apart() -> None:
    here_ms, redis_ms, bot_ms = 1_000_000, 1_300_000, 700_000
    clock = RoomClock()
    clock.redis_said(redis_ms, here_ms)
    clock.event_came(bot_ms - 40_000, redis_ms - 10_000)  # it waited half a minute while Redis was away
    clock.event_came(bot_ms - 2_000, redis_ms - 2_000)
    assert clock.bot_now_ms(here_ms + 500) == bot_ms + 500
    assert clock.redis_now_ms(here_ms + 500) == redis_ms + 500


def test_before_any_event_the_bots_clock_is_taken_for_that_of_redis() -> None:
    clock = RoomClock()
    clock.redis_said(5_000, 1_000)
    assert clock.bot_now_ms(2_000) == 6_000


def test_a_bots_clock_that_is_set_back_is_followed_at_once() -> None:
    clock = RoomClock()
    clock.event_came(700_000, 100_000)
    clock.event_came(101_000, 101_000)
    assert clock.bot_now_ms(102_000) == 102_000
    clock.event_came(20_000, 103_000)  # it waited in the outbox, and the events after it waited less
    clock.event_came(104_000, 104_000)
    assert clock.bot_now_ms(105_000) == 105_000


# attempts


def test_after_five_failures_a_place_waits_and_others_do_not() -> None:
    clock = Clock()
    attempts = Attempts(clock=clock)
    for _ in range(5):
        assert attempts.wait_seconds("192.0.2.1") == 0
        attempts.failed("192.0.2.1")
        clock.pass_seconds(1)
    assert attempts.wait_seconds("192.0.2.1") == 55
    assert attempts.wait_seconds("::ffff:192.0.2.1") == 55
    assert attempts.wait_seconds("192.0.2.2") == 0
    clock.pass_seconds(55)
    assert attempts.wait_seconds("192.0.2.1") == 0


def test_a_network_of_ipv6_is_one_place() -> None:
    attempts = Attempts(limit=1, clock=Clock())
    attempts.failed("2001:db8::1")
    assert attempts.wait_seconds("2001:db8::2") == 60
    assert attempts.wait_seconds("2001:db8:0:1::1") == 0
