"""The scripts of simulated lessons: what they may say, how mistakes are reported, and what each student does as a result."""

from pathlib import Path

import pytest

from bot.errors import SettingsWrong
from bot.scripts import LESSON, Script, read_script
from bot.synthetic.parts import Doing, Part, marks
from model.faces import Emotion

HAPPY, NEUTRAL, SAD = Emotion.HAPPY, Emotion.NEUTRAL, Emotion.SAD


def script(*steps: dict[str, object], students: int = 4, **values: object) -> Script:
    return Script.model_validate({"students": students, "duration_seconds": 60, "steps": steps, **values})


def test_a_student_does_what_was_said_of_them_last_and_begins_anew_with_the_lesson() -> None:
    part = Part(script({"at_seconds": 10, "feel": "happy"}, {"at_seconds": 20, "who": 2, "camera": False}), 1, 4)
    assert [part.at(at) for at in (0, 9.9, 10, 25, 61, 70)] == [
        Doing(), Doing(), Doing(HAPPY), Doing(HAPPY, camera=False), Doing(), Doing(HAPPY),
    ]  # fmt: skip
    assert [part.next_turn(at) for at in (0, 10, 25, 60, 85)] == [10, 20, 60, 70, 120]


def test_who_leaves_is_away_until_they_join_again() -> None:
    part = Part(script({"at_seconds": 5, "who": 1, "leave": True}, {"at_seconds": 9, "who": 1, "join": True}), 0, 4)
    assert [part.at(at).there for at in (4, 5, 8, 9, 59)] == [True, False, False, True, True]


def test_who_can_be_all_a_number_several_numbers_or_a_share() -> None:
    steps = [{"at_seconds": 1, "who": who, "feel": "sad"} for who in ("all", 2, [1, 4], "50%", 0.25)]
    lesson = script(*steps)
    assert [len(lesson.chosen(place, 4)) for place in range(5)] == [4, 1, 2, 2, 1]
    assert (lesson.chosen(1, 4), lesson.chosen(2, 4)) == ({1}, {0, 3})
    assert lesson.chosen(3, 4) == script(*steps).chosen(3, 4)
    assert len(lesson.chosen(3, 40)) == 20  # a class larger than the script's
    assert lesson.chosen(2, 3) == {0}  # in a smaller one, students who are not there do nothing


def test_steps_may_stand_in_any_order_and_those_of_one_moment_happen_as_written() -> None:
    part = Part(script(*({"at_seconds": at, "feel": feel} for at, feel in ((9, "sad"), (3, "happy"), (3, "fear")))), 0, 1)
    assert [part.at(at).feel for at in (2, 3, 9)] == [NEUTRAL, Emotion.FEAR, SAD]


def test_the_marks_of_a_lesson_come_in_the_order_of_their_times() -> None:
    lesson = script(
        {"at_seconds": 30, "mark": "exercise"}, {"at_seconds": 0, "mark": "explanation"}, {"at_seconds": 9, "feel": "sad"}
    )
    assert marks(lesson) == [(0, "explanation"), (30, "exercise")]


def test_the_lesson_of_the_demonstration_tells_a_story() -> None:
    lesson = read_script(LESSON)
    assert (lesson.duration_seconds, len(marks(lesson))) == (180, 4)
    parts = [Part(lesson, number, lesson.students) for number in range(lesson.students)]
    doings = {at: [part.at(at) for part in parts] for at in range(180)}
    assert {doing.feel for moment in doings.values() for doing in moment} == set(Emotion)
    assert sum(doing.feel == SAD for doing in doings[75]) > 5 and all(doing.feel == HAPPY for doing in doings[105])
    assert any(not doing.camera for doing in doings[90]) and any(not doing.there for doing in doings[90])
    # somebody who runs it for less than a minute sees everybody
    assert all(doing.camera and doing.there for at in range(60) for doing in doings[at])


WRONG = {
    "duration_seconds: 5\nsteps:\n  - at_seconds: 1\n    feel: glad\n": r"line 4: steps\.1\.feel: ",
    "duration_seconds: 5\nsteps:\n  - at_seconds: 1\n    who: 1.5\n    feel: sad\n": r"line 4: steps\.1\.who: wanted is all",
    "duration_seconds: 5\nsteps:\n  - at_seconds: 1\n    who: few%\n    feel: sad\n": r"line 4: steps\.1\.who: wanted is all",
    "duration_seconds: 5\nsteps:\n  - at_seconds: 1\n": r"line 3: steps\.1: nothing happens",
    "duration_seconds: 5\nsteps:\n  - {at_seconds: 7, feel: sad}\n": "step 1 at 7 s comes after the end at 5 s",
    "duration_seconds: 5\nsteps:\n  - {at_seconds: 1, who: 13, camera: off}\n": "step 1 names student 13, but there are only 12",
    "duration_seconds: 5\nsteps:\n  - {at_seconds: 1, camera: off, mood: bad}\n": r"line 3: steps\.1\.mood: ",
    "steps:\n  - {at_seconds: 1, camera: off}\n": "line 1: duration_seconds: Field required",
    "duration_seconds: 5\nsteps: [\n": r"line 3 is not valid YAML",
    "duration_seconds: 5\nsteps:\n  - {at_seconds: 1, mark: 2026-02-30}\n": "has an impossible value: day is out of range",
    "steps: !!python/object:os.system x\n": "line 1 is not valid YAML",
    "steps: &a [*a]\n": "line 1: ",
    "": "line 1: ",
    "- 1\n": "line 1: ",
}


@pytest.mark.parametrize(("text", "told"), WRONG.items())
def test_a_wrong_script_is_one_line_that_names_file_line_and_field(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "lesson.yaml"
    path.write_text(text)
    with pytest.raises(SettingsWrong, match=told) as trouble:
        read_script(path)
    assert str(path) in str(trouble.value) and "\n" not in str(trouble.value)


def test_a_script_that_cannot_be_read_is_one_line_too(tmp_path: Path) -> None:
    binary, deep, large = tmp_path / "binary", tmp_path / "deep", tmp_path / "large"
    binary.write_bytes(b"\xff\xfe\x00")
    deep.write_text("[" * 500)
    large.write_bytes(b"#" * 2_000_000)
    for path in (binary, deep, large, tmp_path / "missing", tmp_path):
        with pytest.raises(SettingsWrong, match=path.name) as trouble:
            read_script(path)
        assert "\n" not in str(trouble.value)


def test_off_and_on_are_what_they_are_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "lesson.yaml"
    path.write_text('duration_seconds: 5\nsteps:\n  - {at_seconds: 1, camera: off}\n  - {at_seconds: 2, camera: "on"}\n')
    assert [step.camera for step in read_script(path).steps] == [False, True]
