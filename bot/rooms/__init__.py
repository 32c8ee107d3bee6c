"""The interface that every kind of room has for the bot."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from aiortc import MediaStreamTrack

from pipeline.coverage import Coverage
from pipeline.mood import Mood


@dataclass(frozen=True, slots=True)
class Participant:
    """A person as the room knows them; `id` is the room's, never the display name, and `consent` is false unless they agreed."""

    id: str
    name: str
    consent: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """A participant has a camera track, which is to be read to its end."""

    participant: Participant
    track: MediaStreamTrack


@dataclass(frozen=True, slots=True)
class Unseen:
    """A participant is in the room but cannot be watched, for the reason in `coverage`."""

    participant: Participant
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Departure:
    """A participant has left."""

    participant_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConsentChanged:
    """A participant has agreed to be read, or no longer agrees; `source` is how they said so, such as `page` or `room`.

    A yes comes after the happening by which its participant came, and a withdrawal before anything that follows from it. By the
    time of a withdrawal, no packet of theirs is decoded any more.
    """

    participant_id: str
    granted: bool
    source: str


Happening = Arrival | Unseen | Departure | ConsentChanged


class Room(Protocol):
    """A room that the bot is in. Rooms are opened with `async with`, and at its end stop everything that they started.

    `inside` is false while the connection to the room is lost, `over` is true once no more happenings will come.
    """

    @property
    def name(self) -> str: ...

    @property
    def inside(self) -> bool: ...

    @property
    def over(self) -> bool: ...

    def happenings(self) -> AsyncIterator[Happening]:
        """What happens in the room, in order, until it is over or its connection is lost; call it again to go on from then."""
        ...

    def stalled(self, participant_id: str) -> None:
        """Try to mend the connection to a participant who has sent nothing for a while."""
        ...

    def drop(self, participant_id: str, reason: str) -> None:
        """Give up a participant whose media are dead; if that ends their stay in the room, a Departure follows."""
        ...

    def show(self, mood: Mood) -> None:
        """Show a participant how they are read at present, if the room has a way to do so."""
        ...
