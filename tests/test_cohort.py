"""Who is let into and out of the figures of the class: several people at a time."""

from collections import Counter

from pipeline.cohort import RENEWAL_SECONDS, Cohort
from pipeline.compositions import Compositions, Person
from pipeline.coverage import Coverage
from pipeline.events import Label
from tests.moods_of import mood_of, moods_of


class Class:
    """A cohort of at least five, and a class that is summed up again and again."""

    def __init__(self, people: dict[str, Label | None], *, keeps_withdrawn: bool = True) -> None:
        self.people = people
        self.refused: list[str] = []
        self.cohort = Cohort(5, keeps_withdrawn=keeps_withdrawn)
        self.at_ms = 0
        self.goes_on()

    def goes_on(self, seconds: float = 5.0, **people: Label | None) -> Counter[str]:
        """Some people change; returns what the cohort counts then."""
        self.people.update(people)
        self.at_ms += round(seconds * 1000)
        refused = [mood_of(each, None, Coverage.NOT_CONSENTED) for each in self.refused]
        self.cohort.update([*refused, *moods_of(self.people)], self.at_ms)
        return self.counts()

    def refuses(self, participant_id: str) -> Counter[str]:
        """One person withdraws consent, and stays in the room."""
        del self.people[participant_id]
        self.refused.append(participant_id)
        return self.goes_on()

    def without(self, *gone: str) -> Counter[str]:
        for each in gone:
            del self.people[each]
        return self.goes_on()

    def counts(self) -> Counter[str]:
        return Counter({str(emotion): count for emotion, count in self.cohort.counts().items()})


def class_of(count: int, emotion: Label, *, keeps_withdrawn: bool = True) -> Class:
    return Class({f"s{number}": emotion for number in range(count)}, keeps_withdrawn=keeps_withdrawn)


def test_the_first_five_come_in_together() -> None:
    few = class_of(4, "happy")
    assert not few.counts() and not few.cohort.is_large_enough
    assert few.goes_on(s4="sad") == {"happy": 4, "sad": 1}
    assert few.cohort.is_large_enough


def test_whoever_was_there_all_along_counts_as_they_are_read_now() -> None:
    assert class_of(6, "happy").goes_on(s0="sad") == {"happy": 5, "sad": 1}


def test_latecomers_wait_until_they_are_a_group() -> None:
    these = class_of(8, "happy")
    for number in range(4):
        assert these.goes_on(**{f"late{number}": "sad"}) == {"happy": 8}
    assert these.goes_on(late4="angry") == {"happy": 8, "sad": 4, "angry": 1}


def test_those_who_leave_count_as_before_until_a_group_has_left() -> None:
    these = class_of(12, "happy")
    these.goes_on(s0="sad", s1="sad")
    assert these.without("s0") == these.without("s1") == these.without("s2", "s3") == {"happy": 10, "sad": 2}
    assert these.without("s4") == {"happy": 7}


def test_who_withdraws_their_consent_is_kept_as_one_count_without_an_id() -> None:
    these = class_of(8, "happy")
    assert these.refuses("s0") == {"happy": 8}
    assert "s0" not in repr(vars(these.cohort))


def test_a_camera_that_goes_off_and_on_changes_nothing_whatever_it_shows_then() -> None:
    these = class_of(8, "happy")
    assert these.goes_on(s0=None) == these.goes_on(s0="sad") == these.goes_on(s0="angry") == {"happy": 8}


def test_those_who_are_back_count_as_they_are_once_they_are_a_group() -> None:
    these = class_of(12, "happy")
    for number in range(4):
        these.goes_on(**{f"s{number}": None})
        assert these.goes_on(**{f"s{number}": "sad"}) == {"happy": 12}
    these.goes_on(s4=None)
    assert these.goes_on(s4="fear") == {"happy": 7, "sad": 4, "fear": 1}
    assert these.goes_on(s0="happy") == {"happy": 8, "sad": 3, "fear": 1}


def test_who_comes_back_after_their_group_went_out_waits_as_a_newcomer() -> None:
    these = class_of(12, "happy")
    assert these.goes_on(s0=None, s1=None, s2=None, s3=None, s4=None) == {"happy": 7}
    assert these.goes_on(s0="sad", s1="sad", s2="sad", s3="sad") == {"happy": 7}
    assert these.goes_on(s4="sad") == {"happy": 7, "sad": 5}


def test_a_look_that_says_nothing_leaves_the_emotion_that_was_known() -> None:
    these = class_of(5, "happy")
    assert these.goes_on(s0="unknown") == {"happy": 5}
    assert these.cohort.is_large_enough and these.cohort.known == 4


def test_too_few_who_can_be_read_are_too_few_whoever_else_still_counts() -> None:
    these = class_of(6, "happy")
    these.goes_on(s0=None, s1=None)
    assert not these.cohort.is_large_enough and these.counts() == {"happy": 6}
    these.goes_on(s0="happy")
    assert these.cohort.is_large_enough


def test_one_who_takes_the_place_of_another_in_a_group_of_five_is_not_told_apart_from_them() -> None:
    these = class_of(5, "happy")
    these.without("s0")
    these.goes_on(other="sad")
    assert not these.cohort.is_large_enough
    these.goes_on(RENEWAL_SECONDS - 15)
    assert not these.cohort.is_large_enough
    assert these.goes_on() == {"happy": 4, "sad": 1} and these.cohort.is_large_enough


def test_after_a_break_all_who_are_back_count_as_they_are_now_and_the_missing_one_as_before() -> None:
    these = class_of(6, "happy")
    these.goes_on(**dict.fromkeys(list(these.people)))
    assert not these.cohort.is_large_enough
    assert these.goes_on(**dict.fromkeys(list(these.people)[:5], "sad")) == {"sad": 5, "happy": 1}
    assert these.cohort.is_large_enough


def test_after_a_long_break_the_class_begins_anew_without_those_who_are_gone() -> None:
    these = class_of(6, "happy")
    these.goes_on(**dict.fromkeys(list(these.people)))
    assert not these.goes_on(RENEWAL_SECONDS)
    assert these.goes_on(**dict.fromkeys(list(these.people)[:5], "sad")) == {"sad": 5}


def test_of_a_group_that_went_out_the_one_who_does_not_come_back_counts_as_before_again() -> None:
    these = class_of(16, "happy")
    group = [f"s{number}" for number in range(10)]
    these.goes_on(s0="sad")
    assert these.goes_on(**dict.fromkeys(group)) == {"happy": 6}
    # without s0, the class would have the same members as before, but for that one
    assert these.goes_on(**dict.fromkeys(group[1:], "fear")) == {"happy": 6, "fear": 9, "sad": 1}


def test_who_withdrew_while_their_group_was_out_is_not_counted_again_and_the_others_wait_for_it() -> None:
    these = class_of(16, "happy")
    group = [f"s{number}" for number in range(10)]
    these.goes_on(**dict.fromkeys(group))
    these.refuses("s0")
    back = dict.fromkeys(group[1:], "fear")
    assert these.goes_on(**back) == these.goes_on(RENEWAL_SECONDS - 20) == {"happy": 6}
    assert these.goes_on() == {"happy": 6, "fear": 9}


def test_no_group_goes_out_that_would_leave_but_one_person_less_than_there_were_before() -> None:
    these = class_of(12, "happy")
    late = [f"late{number}" for number in range(5)]
    assert these.goes_on(**dict.fromkeys(late, "sad")) == {"happy": 12, "sad": 5}
    assert these.goes_on(**dict.fromkeys([*late[1:], "s0"])) == {"happy": 12, "sad": 5}
    # a sixth person out makes it differ enough from both earlier classes: from the first, by two who left and one who came
    assert these.goes_on(s1=None, s2=None, s3=None, s4=None) == {"happy": 7, "sad": 1}


def test_a_room_that_lost_everybody_and_takes_in_all_but_one_under_other_ids_gives_no_figures_for_some_minutes() -> None:
    these = class_of(8, "happy")
    these.people.clear()
    these.goes_on()
    assert not these.cohort.is_large_enough
    these.goes_on(**{f"again{number}": "sad" for number in range(7)})
    assert not these.cohort.is_large_enough
    these.goes_on(RENEWAL_SECONDS - 15)
    assert not these.cohort.is_large_enough
    assert these.goes_on() == {"sad": 7} and these.cohort.is_large_enough


def test_where_the_withdrawn_are_not_kept_they_are_out_at_once_and_the_others_go_on() -> None:
    these = class_of(8, "happy", keeps_withdrawn=False)
    these.goes_on(s0="sad")
    assert these.refuses("s0") == {"happy": 7}
    assert these.goes_on(s1="sad") == {"happy": 6, "sad": 1} and these.cohort.is_large_enough


def test_figures_that_become_those_of_the_same_people_are_remembered_from_the_newest_on() -> None:
    stayed, withdrew = frozenset(Person(0) for _ in range(6)), frozenset(Person(0) for _ in range(3))
    compositions = Compositions(3, seconds=100)
    for at_ms, people in ((0, stayed), (50_000, stayed | withdrew), (100_000, stayed)):
        compositions.add(people, at_ms)
    for person in withdrew:
        compositions.forget(person)
    compositions.drop_older(199_000)
    assert compositions.people() == stayed
