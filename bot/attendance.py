"""Who is in the room, which of them are watched, and what each of them has sent."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from av import VideoFrame

from bot.rooms import Arrival, ConsentChanged, Departure, Happening, Participant, Room, Unseen
from bot.tasks import contained
from bot.tracks import Arrived, Looks, ReceivedTrack, Shown, watch
from pipeline.analysis import Reading
from pipeline.clock import Clock, now_ms
from pipeline.coverage import Coverage
from pipeline.frames import Frame, LatestFrames
from pipeline.mood import Moods

GOLDEN = (5**0.5 - 1) / 2
"""The fractional part of the golden ratio: its multiples modulo 1 spread any number of participants evenly over a period."""


@dataclass(slots=True)
class Seat:
    """One participant in the room; `read_since_ms` is None while nothing seen of them may be published."""

    participant: Participant
    looks_due: Looks
    last_frame_ms: int
    mend_after_ms: float
    track: ReceivedTrack | None = None
    last_picture_ms: int = 0
    left_out: int = 0
    left_out_ms: int = 0
    read_since_ms: int | None = None
    watcher: asyncio.Task[None] | None = None
    frames_received: int = 0
    looks: int = 0


@dataclass(slots=True)
class Totals:
    """Counts over all participants since the start."""

    frames_received: int = 0
    frames_skipped: int = 0
    looks: int = 0
    tracks_failed: int = 0


@dataclass
class Attendance:
    """Keeps track of everyone in the room, and watches those who may be read, until the room closes."""

    room: Room
    frames: LatestFrames
    moods: Moods
    looks_per_second: float
    stalled_ms: float
    left_ms: float
    clock: Clock = now_ms
    seats: dict[str, Seat] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    _aheads: Iterator[float] = field(default_factory=lambda: (number * GOLDEN % 1 for number in itertools.count()))

    async def run(self) -> None:
        """Follow who comes and goes, until the room closes."""
        async with asyncio.TaskGroup() as watchers:
            async for happening in self.room.happenings():
                self._take(happening, watchers)
            self.close("room closed" if self.room.over else "connection lost")

    def close(self, reason: str) -> None:
        """Stop watching everybody and report each of them as gone."""
        for participant_id in list(self.seats):
            self._leave(participant_id, reason)

    def report(self, reading: Reading) -> None:
        """Take in the result of one look, unless its frame is older than the consent or the consent has been withdrawn since."""
        seat = self.seats.get(reading.participant_id)
        if seat is not None and seat.read_since_ms is not None and reading.at_ms >= seat.read_since_ms:
            seat.looks += 1
            self.totals.looks += 1
            self.moods.add(reading)

    async def watchdog(self, every_seconds: float = 1.0) -> None:
        """Look for participants whose media died, forever."""
        while True:
            await asyncio.sleep(every_seconds)
            self.find_silent(self.clock())

    def find_silent(self, now: int) -> None:
        """Mark participants as stalled who have sent no frame for a while, and drop those who have sent none for longer."""
        watched = [seat for seat in self.seats.values() if seat.watcher is not None]
        for seat in watched:
            dead_ms = now - self._last_sign_ms(seat, now)
            if dead_ms >= self.left_ms:
                self.room.drop(seat.participant.id, "stalled")
            elif now - seat.last_frame_ms >= self.stalled_ms or self._shows_nothing(seat, now):
                self.moods.unseen(seat.participant.id, now, Coverage.STALLED)
            if dead_ms >= seat.mend_after_ms:
                seat.mend_after_ms *= 2  # each attempt costs the student's encoder a keyframe
                self.room.stalled(seat.participant.id)

    def _shows_nothing(self, seat: Seat, now: int) -> bool:
        """Whether frames arrive but none could be decoded into a picture for a while."""
        return seat.track is not None and seat.track.undecodable and now - seat.last_picture_ms >= self.stalled_ms

    def _last_sign_ms(self, seat: Seat, now: int) -> int:
        """When a participant last sent a frame, or packets that were skipped because decoding did not keep up, in ms.

        Such packets count because subscribing again would mend nothing then, and would only add to the load.
        """
        if seat.track is not None and seat.track.left_out != seat.left_out:
            seat.left_out, seat.left_out_ms = seat.track.left_out, now
        return max(seat.last_frame_ms, seat.left_out_ms)

    def _take(self, happening: Happening, watchers: asyncio.TaskGroup) -> None:
        match happening:
            case Arrival() if happening.participant.consent:
                seat = self._seat(happening.participant)
                seat.read_since_ms = seat.last_picture_ms = self.clock()
                seat.track = happening.track if isinstance(happening.track, ReceivedTrack) else None
                seat.watcher = watchers.create_task(self._watched(seat, happening))
            case Arrival():  # no consent: no room should report such an arrival
                self._seat(happening.participant)
                self.moods.unseen(happening.participant.id, self.clock(), Coverage.NOT_CONSENTED)
            case Unseen():
                self._seat(happening.participant)
                self.moods.unseen(happening.participant.id, self.clock(), happening.coverage)
            case ConsentChanged():
                self._note_consent(happening)
            case Departure():
                self._leave(happening.participant_id, happening.reason)

    def _note_consent(self, change: ConsentChanged) -> None:
        seat = self.seats.get(change.participant_id)
        if seat is None:
            return
        if change.granted:
            self.moods.consented(change.participant_id, change.source)
        else:
            self._stop_watching(seat)
            self.moods.withdrew(change.participant_id, self.clock(), change.source)

    def _seat(self, participant: Participant) -> Seat:
        """A fresh seat for a participant; a track that they had before is no longer read."""
        former = self.seats.get(participant.id)
        seat = Seat(participant, Looks(1000 / self.looks_per_second, next(self._aheads)), self.clock(), self.stalled_ms)
        if former is not None:
            self._stop_watching(former)
            seat.frames_received, seat.looks = former.frames_received, former.looks
            seat.mend_after_ms = former.mend_after_ms  # where mending brings no frame, it is tried less and less often
        self.seats[participant.id] = seat
        self.moods.joined(participant.id, participant.name, "joined")
        return seat

    def _leave(self, participant_id: str, reason: str) -> None:
        seat = self.seats.pop(participant_id, None)
        if seat is not None:
            self._stop_watching(seat)
            self.moods.left(participant_id, reason)

    def _stop_watching(self, seat: Seat) -> None:
        seat.read_since_ms = seat.track = None
        self.frames.forget(seat.participant.id)
        if seat.watcher is not None:
            seat.watcher.cancel()
            seat.watcher = None

    async def _watched(self, seat: Seat, arrival: Arrival) -> None:
        work = watch(arrival.track, self._arrived(seat), self._shown(seat), self.clock)
        await contained(work, seat.participant.id, self._failed)
        seat.watcher = None  # it has ended by itself and needs no cancelling
        self._stop_watching(seat)  # a frame that is still being read must not make it look as if the track went on
        self.moods.unseen(seat.participant.id, self.clock(), Coverage.CAMERA_OFF)
        self.room.stalled(seat.participant.id)

    def _arrived(self, seat: Seat) -> Arrived:
        def arrived(at_ms: int) -> bool:
            if seat.read_since_ms is None:
                return False
            seat.read_since_ms = min(seat.read_since_ms, at_ms)  # the clock may have been set back
            seat.last_frame_ms = at_ms
            seat.mend_after_ms = self.stalled_ms
            seat.frames_received += 1
            self.totals.frames_received += 1
            if seat.looks_due.due(at_ms):
                return True
            self.totals.frames_skipped += 1
            return False

        return arrived

    def _shown(self, seat: Seat) -> Shown:
        def shown(picture: VideoFrame, at_ms: int) -> None:
            seat.last_picture_ms = self.clock()
            if seat.read_since_ms is not None:  # the consent may have been withdrawn while it was decoded
                self.frames.put(Frame(seat.participant.id, at_ms, picture))

        return shown

    def _failed(self) -> None:
        self.totals.tracks_failed += 1
