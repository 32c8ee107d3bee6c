"""Who may need help, on scripted classes that are looked at every two seconds by a clock moved by hand."""

import asyncio
import random
from collections.abc import Callable, Mapping

import pytest

from bot.app import assemble, attention_rules, watch_over
from bot.redis_client import connect
from bot.settings import read_settings
from model.faces import EMOTIONS, Emotion
from pipeline.analysis import Analyst
from pipeline.attention import Attention, AttentionRules
from pipeline.coverage import Coverage
from pipeline.events import AttentionCleared, AttentionRaised, ConsentWithdrawn, ParticipantJoined, ParticipantLeft
from pipeline.mood import Mood, Moods
from pipeline.usual import Usual
from tests.fakes import AlwaysOf, FaceEverywhere, ScriptedRoom, Told, reading

MINUTE = 60

Script = Callable[[int], Emotion | Coverage | None]
"""What somebody shows at a given second: an emotion, why they cannot be read, or None while they are not in the room."""

NEUTRAL, HAPPY, SAD, ANGRY = Emotion.NEUTRAL, Emotion.HAPPY, Emotion.SAD, Emotion.ANGRY


def always(shown: Emotion | Coverage) -> Script:
    return lambda second: shown


def between(start: int, end: int, then: Emotion | Coverage | None, else_: Emotion | Coverage = NEUTRAL) -> Script:
    return lambda second: then if start <= second < end else else_


def others(count: int, script: Script) -> dict[str, Script]:
    return {f"other {number}": script for number in range(count)}


CALM = others(6, always(NEUTRAL))


def held(scripts: Mapping[str, Script], seconds: int, **rules: float) -> list[tuple[int, str, str, str]]:
    """Run a class; returns what was raised and cleared, as (second, type, participant, reason)."""
    chance, told, log = random.Random(3), Told(), list[tuple[int, str, str, str]]()
    attention = Attention(AttentionRules(**rules), told)  # type: ignore[arg-type]
    for second in range(0, seconds, 2):
        attention.look([mood for who, script in scripts.items() if (mood := mood_of(who, script(second), chance))], second * 1000)
        log += [(second, data.type.rpartition(".")[2], data.participant, data.reason) for data in told.all]  # type: ignore[union-attr]
        told.all.clear()
    return log


def mood_of(who: str, shown: Emotion | Coverage | None, chance: random.Random) -> Mood | None:
    """A mood as a classifier would give it: never certain, never the same twice."""
    if shown is None:
        return None
    if isinstance(shown, Coverage):
        return Mood(who, 0, shown, None, 0.0)
    pleasant = {HAPPY: 0.8, NEUTRAL: 0.0, SAD: -0.75, ANGRY: -0.8}[shown]
    return Mood(who, 0, Coverage.OK, shown, 0.8, max(-1.0, min(1.0, chance.gauss(pleasant, 0.15))))


def test_who_turns_sad_for_three_minutes_is_raised_once_and_cleared_after() -> None:
    log = held({**CALM, "ada": between(300, 480, SAD)}, 900)
    assert [entry[1:] for entry in log] == [("raised", "ada", "changed"), ("cleared", "ada", "changed")]
    assert 390 <= log[0][0] <= 420 and 480 <= log[1][0] <= 520


def test_who_turns_sad_for_a_minute_only_is_not_raised() -> None:
    assert held({**CALM, "ada": between(300, 350, SAD)}, 700) == []


def test_who_always_looks_angry_is_never_raised() -> None:
    assert held({**CALM, "ada": always(ANGRY)}, 900) == []


def test_who_turns_happy_needs_no_help() -> None:
    assert held({**CALM, "ada": between(300, 500, HAPPY)}, 700) == []


@pytest.mark.parametrize("shown", [HAPPY, SAD, ANGRY])
def test_a_class_that_changes_at_once_raises_nobody(shown: Emotion) -> None:
    assert held(others(9, between(300, 500, shown)), 700) == []


def test_who_does_not_laugh_with_the_class_has_not_changed() -> None:
    assert held({**others(9, between(300, 500, HAPPY)), "ada": always(NEUTRAL)}, 700) == []


def test_who_turns_sad_while_the_class_laughs_is_raised() -> None:
    log = held({**others(9, between(300, 600, HAPPY)), "ada": between(300, 600, SAD)}, 700)
    assert [entry[1:3] for entry in log] == [("raised", "ada"), ("cleared", "ada")]


def test_a_face_whose_usual_is_to_change_is_not_taken_for_changed() -> None:
    def lively(second: int) -> Emotion:
        return (HAPPY, SAD)[second // 40 % 2] if second < 600 else SAD

    assert held({**CALM, "ada": lively}, 740) == []


def test_nobody_is_compared_with_a_usual_that_is_not_known_yet() -> None:
    assert held({**CALM, "ada": between(60, 170, SAD)}, 200) == []


def test_a_camera_that_is_off_for_long_is_raised_once_and_cleared_when_it_is_back() -> None:
    log = held({**CALM, "ada": between(300, 1000, Coverage.CAMERA_OFF)}, 1050)
    assert log == [(478, "raised", "ada", "not_visible"), (1000, "cleared", "ada", "not_visible")]


def test_a_camera_that_is_off_is_cleared_when_its_owner_leaves() -> None:
    def leaves(second: int) -> Emotion | Coverage | None:
        return NEUTRAL if second < 300 else Coverage.NO_FACE if second < 600 else None

    assert held({**CALM, "ada": leaves}, 700)[-1] == (600, "cleared", "ada", "not_visible")


def test_who_has_never_been_seen_is_not_missed() -> None:
    assert held({**CALM, "ada": always(Coverage.CAMERA_OFF)}, 400) == []


def test_in_a_break_nobody_is_missed() -> None:
    breaks = {f"s{number}": between(300 + 5 * number, 900, Coverage.NO_FACE) for number in range(10)}
    assert held(breaks, 880) == []


def test_one_student_alone_is_compared_with_themselves() -> None:
    log = held({"ada": between(300, 480, SAD)}, 520)
    assert [entry[1:] for entry in log] == [("raised", "ada", "changed"), ("cleared", "ada", "changed")]


def test_a_glance_away_does_not_interrupt_a_change() -> None:
    def glancing(second: int) -> Emotion | Coverage:
        return NEUTRAL if second < 300 else Coverage.NO_FACE if second % 30 < 5 else SAD

    assert [entry[1:3] for entry in held({**CALM, "ada": glancing}, 450)] == [("raised", "ada")]


def test_a_change_that_cannot_be_seen_any_more_is_cleared() -> None:
    def hides(second: int) -> Emotion | Coverage:
        return NEUTRAL if second < 300 else SAD if second < 420 else Coverage.CAMERA_OFF

    log = held({**CALM, "ada": hides}, 500)
    assert [entry[1] for entry in log] == ["raised", "cleared"] and 445 <= log[1][0] <= 455


def test_what_has_ended_is_not_raised_again_before_the_cooldown_is_over() -> None:
    def twice(second: int) -> Emotion:
        return SAD if 300 <= second < 480 or 560 <= second < 740 or 1100 <= second < 1280 else NEUTRAL

    log = held({**CALM, "ada": twice}, 1400)
    raised = [second for second, kind, *_ in log if kind == "raised"]
    assert len(raised) == 2 and raised[1] > 1180


def test_a_change_that_stays_becomes_the_usual() -> None:
    log = held({**CALM, "ada": between(600, 9999, SAD)}, 600 + 40 * MINUTE)
    assert [entry[1] for entry in log] == ["raised", "cleared"]
    assert log[1][0] - log[0][0] < 30 * MINUTE


def test_the_list_stays_short_and_who_waits_follows_when_there_is_room() -> None:
    sad = {f"sad {number}": between(300, 600 if number < 2 else 1000, SAD) for number in range(6)}
    log = held({**others(9, always(NEUTRAL)), **sad}, 1000, most=4)
    listed, longest = set[str](), 0
    for _, kind, who, _ in log:
        listed = listed | {who} if kind == "raised" else listed - {who}
        longest = max(longest, len(listed))
    assert longest == 4
    assert {f"sad {number}" for number in range(2, 6)} <= {who for _, kind, who, _ in log if kind == "raised"}


def test_no_consent_clears_at_once_and_raises_nothing() -> None:
    told = Told()
    attention = Attention(AttentionRules(changed_seconds=5, observation_seconds=5, not_visible_seconds=5), told)
    for second in range(60):
        attention.look([Mood("ada", 0, Coverage.OK, SAD, 0.9, 0.0 if second < 30 else -0.9)], second * 1000)
    attention.tell(ConsentWithdrawn(participant="ada", source="page"))
    for second in range(60, 120):
        attention.look([Mood("ada", 0, Coverage.NOT_CONSENTED, None, 0.0)], second * 1000)
    assert [type(data) for data in told.all] == [AttentionRaised, AttentionCleared, ConsentWithdrawn]


def test_who_leaves_is_cleared_before_their_leaving_is_told() -> None:
    told = Told()
    attention = Attention(AttentionRules(changed_seconds=10, observation_seconds=10), told)
    moods = Moods(attention.tell, "test@0")
    moods.joined("ada", "Ada", "joined")
    for second in range(80):
        moods.add(reading(NEUTRAL if second < 30 else SAD, second * 1000))
        attention.look(moods.present(), second * 1000)
    moods.left("ada", "left")
    told_of_her = [type(data) for data in told.all]
    assert told_of_her[0] is ParticipantJoined and told_of_her.count(AttentionRaised) == 1
    assert told_of_her[-2:] == [AttentionCleared, ParticipantLeft]


async def test_it_is_off_until_switched_on_and_at_aggregate_it_stays_off() -> None:
    for settings in (read_settings(), read_settings(attention=True, publication="aggregate")):
        async with connect(settings) as redis, asyncio.timeout(1):
            bot = assemble(ScriptedRoom(), redis, Analyst(FaceEverywhere(), AlwaysOf(NEUTRAL)), settings)
            await watch_over(bot, settings)  # returns at once: there is nothing to do


def test_each_setting_is_the_rule_of_its_name() -> None:
    assert attention_rules(read_settings()) == AttentionRules()
    settings = read_settings(
        attention_changed_seconds=11,
        attention_not_visible_seconds=12,
        attention_observation_seconds=13,
        attention_baseline_seconds=614,
        attention_valence_fall=0.5,
        attention_cooldown_seconds=16,
        attention_most=7,
    )
    assert attention_rules(settings) == AttentionRules(11, 12, 13, 614, 0.5, 16, 7)


def test_durations_say_how_long_it_has_held() -> None:
    told = Told()
    attention = Attention(AttentionRules(not_visible_seconds=30), told)
    for second in range(100):
        seen = second < 10 or second >= 70
        attention.look(
            [Mood("ada", 0, Coverage.OK if seen else Coverage.NO_FACE, None, 0.0, 0.1 if seen else None)], second * 1000
        )
    [raised, cleared] = told.all
    assert isinstance(raised, AttentionRaised) and raised.for_seconds == 30.0
    assert isinstance(cleared, AttentionCleared) and cleared.for_seconds == 61.0


def test_the_usual_does_not_depend_on_the_rate_of_looks() -> None:
    seldom, often = Usual(600), Usual(600)
    for usual, rate in ((seldom, 1), (often, 4)):
        for step in range(900 * rate):
            usual.see(0.5 if step < 700 * rate else -0.5, 1 / rate, is_changed=step >= 700 * rate)
    assert seldom.mean == pytest.approx(often.mean, abs=0.01) and seldom.present == pytest.approx(often.present, abs=0.01)
    assert seldom.fall > 0.7


def test_who_is_seen_only_now_and_then_fills_nothing_up() -> None:
    once, often = Usual(600), Usual(600)
    once.see(0.5, 0.0, is_changed=False)
    for _ in range(1000):
        often.see(0.5, 0.0, is_changed=False)
    assert often == once


def test_every_emotion_of_a_real_reading_has_a_valence() -> None:
    moods = Moods(Told(), "test@0")
    for emotion in EMOTIONS:
        moods.joined(emotion, "Ada", "joined")
        moods.add(reading(emotion, 1000, confidence=1.0, participant_id=emotion))
    assert [round(mood.valence or 0.0) for mood in moods.present()] == [-1, -1, -1, 1, -1, 0, 0]
