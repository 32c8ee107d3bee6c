import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.attendance import Attendance
from bot.rooms import Arrival, ConsentChanged, Departure, Participant, Unseen
from bot.tracks import ReceivedTrack
from pipeline.analysis import Reading
from pipeline.coverage import Coverage
from pipeline.events import ConsentGranted, ConsentWithdrawn, CoverageChanged, EmotionChanged, ParticipantJoined, ParticipantLeft
from pipeline.frames import LatestFrames
from pipeline.mood import Moods
from tests.fakes import BrokenTrack, Clock, PlayedTrack, ScriptedRoom, SilentTrack, Told, picture, reading

ADA, BOB = Participant("ada", "Ada", True), Participant("bob", "Bob", True)


class Class:
    """A scripted room, a bot's attendance of it, and what was published."""

    def __init__(self) -> None:
        self.room, self.told, self.clock = ScriptedRoom(), Told(), Clock()
        self.frames = LatestFrames(self.clock)
        moods = Moods(self.told, "test@0", show=self.room.show)
        self.attendance = Attendance(self.room, self.frames, moods, 2.0, 5_000, 30_000, self.clock)

    def coverage(self) -> list[str]:
        return [str(data.after) for data in self.told.of(CoverageChanged)]


@asynccontextmanager
async def watched() -> AsyncIterator[Class]:
    """A class that is being attended; its room closes at the end of the block."""
    these = Class()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(these.attendance.run())
        yield these
        these.room.close()


async def settle() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def test_a_frame_per_interval_is_looked_at_however_fast_the_track() -> None:
    async with watched() as these:
        track = PlayedTrack([picture() for _ in range(30)], these.clock, tick_seconds=0.1)
        these.room.happen(Arrival(ADA, track))
        await settle()
        totals = these.attendance.totals
        assert totals.frames_received == 30 and totals.frames_skipped == 24 and these.frames.dropped == 5


async def test_a_track_that_ends_is_a_camera_turned_off_and_no_departure() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, PlayedTrack([picture()], these.clock, 0.1)))
        await settle()
        assert these.coverage() == ["camera_off"] and not these.told.of(ParticipantLeft)


async def test_a_reading_that_was_under_way_when_its_track_ended_does_not_turn_the_camera_on_again() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, PlayedTrack([picture()], these.clock, 0.1)))
        await settle()
        these.attendance.report(Reading("ada", these.clock(), Coverage.NO_FACE))
        assert these.coverage() == ["camera_off"] and not len(these.frames)


async def test_one_broken_track_costs_nobody_else_theirs() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, BrokenTrack()))
        these.room.happen(Arrival(BOB, PlayedTrack([picture() for _ in range(10)], these.clock, 0.1)))
        await settle()
        assert these.attendance.totals.tracks_failed == 1
        assert these.attendance.seats["bob"].frames_received == 10


async def test_who_sends_nothing_is_stalled_and_then_has_left() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, SilentTrack()))
        await settle()
        for seconds in (4, 1, 1, 24):
            these.clock.pass_seconds(seconds)
            these.attendance.find_silent(these.clock())
            await settle()
        assert these.coverage() == ["stalled"]
        assert these.room.dropped == [("ada", "stalled")]
        assert [data.reason for data in these.told.of(ParticipantLeft)] == ["stalled"]


async def test_whom_there_is_no_time_to_decode_is_stalled_but_neither_subscribed_to_anew_nor_gone() -> None:
    async with watched() as these:
        track = ReceivedTrack()
        these.room.happen(Arrival(ADA, track))
        await settle()
        for _ in range(40):
            track.left_out += 1
            these.clock.pass_seconds(1)
            these.attendance.find_silent(these.clock())
        assert these.coverage() == ["stalled"]
        assert not these.room.mended and not these.room.dropped
        for _ in range(30):
            these.clock.pass_seconds(1)
            these.attendance.find_silent(these.clock())
        assert these.room.mended and these.room.dropped == [("ada", "stalled")]


async def test_of_whom_frames_come_that_never_become_a_picture_is_stalled_and_stays() -> None:
    async with watched() as these:
        track = ReceivedTrack()
        these.room.happen(Arrival(ADA, track))
        await settle()

        def pass_seconds_of_frames(seconds: int) -> None:
            for _ in range(seconds):
                these.clock.pass_seconds(1)
                track.arrived()
                these.attendance.find_silent(these.clock())

        pass_seconds_of_frames(10)
        assert these.coverage() == [], "a decoder that is late is no trouble of theirs"
        track.undecodable = True
        pass_seconds_of_frames(40)
        assert these.coverage() == ["stalled"] and not these.room.dropped
        track.show(picture(), these.clock())
        these.attendance.report(reading("happy", these.clock()))
        pass_seconds_of_frames(1)
        assert these.coverage() == ["stalled", "ok"]


async def test_a_stalled_participant_whose_frames_come_back_is_read_again() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, SilentTrack()))
        await settle()
        these.clock.pass_seconds(6)
        these.attendance.find_silent(these.clock())
        these.attendance.report(reading("happy", these.clock()))
        assert these.coverage() == ["stalled", "ok"]


async def test_who_cannot_be_watched_is_published_with_the_reason_and_never_stalls() -> None:
    async with watched() as these:
        these.room.happen(Unseen(ADA, Coverage.NOT_CONSENTED))
        await settle()
        these.clock.pass_seconds(60)
        these.attendance.find_silent(these.clock())
        assert these.coverage() == ["not_consented"] and not these.room.dropped


async def test_a_second_track_of_the_same_participant_replaces_the_first() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, SilentTrack()))
        await settle()
        first = these.attendance.seats["ada"].watcher
        these.room.happen(Arrival(ADA, PlayedTrack([picture()], these.clock, 0.1)))
        await settle()
        assert first is not None and first.cancelled()
        assert these.attendance.seats["ada"].frames_received == 1
        assert len(these.told.of(ParticipantJoined)) == 1


async def test_what_is_unread_of_who_left_is_thrown_away_and_a_late_reading_ignored() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, PlayedTrack([picture()], these.clock, 0.1, ends=False)))
        await settle()
        assert len(these.frames) == 1
        these.room.happen(Departure("ada", "left"))
        await settle()
        these.attendance.report(Reading("ada", these.clock(), Coverage.NO_FACE))
        assert not len(these.frames) and not these.attendance.totals.looks


async def test_when_the_room_closes_everybody_has_left() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, SilentTrack()))
        these.room.happen(Arrival(BOB, SilentTrack()))
    assert {data.reason for data in these.told.of(ParticipantLeft)} == {"room closed"}


# consent

YES, NO = ConsentChanged("ada", True, "page"), ConsentChanged("ada", False, "page")


async def test_a_yes_is_told_after_the_coming_and_before_anything_that_was_seen() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, SilentTrack()))
        these.room.happen(YES)
        await settle()
        these.attendance.report(reading("happy", these.clock()))
        assert [type(data) for data in these.told.all[:3]] == [ParticipantJoined, ConsentGranted, CoverageChanged]


async def test_a_withdrawal_throws_away_what_waits_to_be_looked_at_and_what_is_being_looked_at() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, PlayedTrack([picture()], these.clock, 0.1, ends=False)))
        these.room.happen(Arrival(BOB, PlayedTrack([picture()], these.clock, 0.1, ends=False)))
        await settle()
        under_way = reading("happy", these.clock())
        these.room.happen(NO)
        await settle()
        these.attendance.report(under_way)
        assert [frame.participant_id for frame in await these.frames.take(8)] == ["bob"]
        assert these.told.of(ConsentWithdrawn) and not these.told.of(EmotionChanged)
        assert these.coverage()[-1] == "not_consented" and these.room.shown[-1].coverage is Coverage.NOT_CONSENTED


async def test_after_a_new_yes_nothing_from_before_the_withdrawal_counts() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, SilentTrack()))
        await settle()
        before = reading("happy", these.clock())
        these.room.happen(NO)
        these.clock.pass_seconds(0.1)
        these.room.happen(Arrival(ADA, SilentTrack()))
        these.room.happen(YES)
        await settle()
        these.attendance.report(before)
        assert not these.told.of(EmotionChanged)
        these.attendance.report(reading("sad", these.clock()))
        assert [str(data.after) for data in these.told.of(EmotionChanged) if isinstance(data, EmotionChanged)] == ["sad"]


async def test_a_clock_that_is_set_back_blinds_nobody() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, PlayedTrack([picture() for _ in range(3)], these.clock, -300, ends=False)))
        await settle()
        (newest,) = await these.frames.take(8)
        assert newest.at_ms == 1_000_000 - 900_000 and these.frames.dropped == 2
        these.attendance.report(reading("happy", newest.at_ms))
        assert these.attendance.totals.looks == 1


async def test_a_track_of_somebody_who_did_not_agree_is_not_even_watched() -> None:
    async with watched() as these:
        these.room.happen(Arrival(Participant("eve", "Eve"), PlayedTrack([picture()], these.clock, 0.1)))
        await settle()
        assert these.coverage() == ["not_consented"]
        assert not len(these.frames) and not these.attendance.totals.frames_received


async def test_who_withdrew_is_not_taken_for_stalled() -> None:
    async with watched() as these:
        these.room.happen(Arrival(ADA, SilentTrack()))
        these.room.happen(NO)
        await settle()
        these.clock.pass_seconds(60)
        these.attendance.find_silent(these.clock())
        assert these.coverage() == ["not_consented"] and not these.room.dropped


@pytest.mark.parametrize(
    "unknown", [Departure("nobody", "left"), ConsentChanged("nobody", True, "page"), ConsentChanged("nobody", False, "page")]
)
async def test_what_is_told_of_somebody_unknown_is_harmless(unknown: Departure | ConsentChanged) -> None:
    async with watched() as these:
        these.room.happen(unknown)
        await settle()
        assert not these.told.all
