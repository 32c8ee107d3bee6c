"""What every kind of room gives the bot, and nothing of how it does it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from aiortc import MediaStreamTrack

from pipeline.coverage import Coverage
from pipeline.mood import Mood

LONGEST_NAME = 80
"""Characters of a display name; of a longer one the rest is cut off."""


@dataclass(frozen=True, slots=True)
class Participant:
    """A person as the room knows them; the id is the room's, never the display name. Without a word, there is no consent."""

    id: str
    name: str
    consent: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """A participant's camera track, to be read to its end."""

    participant: Participant
    track: MediaStreamTrack


@dataclass(frozen=True, slots=True)
class Unseen:
    """A participant who is in the room and cannot be watched, and why."""

    participant: Participant
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Departure:
    """A participant who is gone."""

    participant_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConsentChanged:
    """A participant agreed to be read, or does not agree any more; `source` is how they said it, such as `page` or `room`.

    A yes is told after the coming of whom it is of, a withdrawal before anything that follows from it; by then, no packet of
    theirs is decoded any more.
    """

    participant_id: str
    granted: bool
    source: str


Happening = Arrival | Unseen | Departure | ConsentChanged


class Room(Protocol):
    """A room that the bot is in. Rooms are opened with `async with` and end what they started.

    `inside` is false while a connection to the room is lost, `over` true once the room will tell nothing more.
    """

    @property
    def name(self) -> str: ...

    @property
    def inside(self) -> bool: ...

    @property
    def over(self) -> bool: ...

    def happenings(self) -> AsyncIterator[Happening]:
        """Who comes and goes, in order, until the room is over or the connection to it is lost; called again, from then on."""
        ...

    def stalled(self, participant_id: str) -> None:
        """Try to mend the connection to a participant who has sent nothing for a while."""
        ...

    def drop(self, participant_id: str, reason: str) -> None:
        """Let go of a participant whose media are dead; if they are gone with them, a Departure follows."""
        ...

    def show(self, mood: Mood) -> None:
        """Show a participant how they are read at present, where the room has a way to."""
        ...
