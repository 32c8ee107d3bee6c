"""Pseudonymous ids and names for everybody in a room, which cannot be traced back once the class is over."""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from bot.pseudonym_words import names
from bot.rooms import Arrival, Departure, Happening, Participant, Room, Unseen
from pipeline.clock import Clock, now_ms
from pipeline.mood import Mood

EMPTY_MS = 10 * 60 * 1000
"""How long, in ms, a room must be empty for the next people to count as another class."""

KEY_BYTES = 32
ID_HEX_DIGITS = 16

MOST_REMEMBERED = 3_000
"""How many people of one class keep their names, out of 4,096 names; beyond that the earliest may get another name on return."""


@dataclass(frozen=True, slots=True)
class Alias:
    """The id and name by which a person is known outside the room."""

    id: str
    name: str


class Pseudonyms:
    """The aliases of one class: a person always has the same one there, and a different one in another class.

    An alias's id is a keyed hash (HMAC-SHA256, RFC 2104) of the room's id for the person. The key is random, is held in memory
    only, and is gone after the class: from then on nobody can compute a person's alias, or find a person by trying all ids.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(KEY_BYTES)
        self._aliases: OrderedDict[str, Alias] = OrderedDict()
        self._taken: set[str] = set()

    def of(self, room_id: str) -> Alias:
        """The alias of the person whom the room knows by this id."""
        if room_id not in self._aliases:
            self._aliases[room_id] = self._new(room_id)
        return self._aliases[room_id]

    def _new(self, room_id: str) -> Alias:
        digest = hmac.digest(self._key, room_id.encode(errors="surrogatepass"), "sha256")
        if len(self._aliases) >= MOST_REMEMBERED:
            self._taken.discard(self._aliases.popitem(last=False)[1].name)
        name = next(name for name in names(int.from_bytes(digest[16:])) if name not in self._taken)
        self._taken.add(name)
        return Alias(digest.hex()[:ID_HEX_DIGITS], name)


class PseudonymousRoom:
    """A room whose participants appear under aliases; calls that name an alias are passed on for the person behind it."""

    def __init__(self, room: Room, clock: Clock = now_ms) -> None:
        self._room = room
        self._clock = clock
        self._pseudonyms = Pseudonyms()
        self._room_ids: dict[str, str] = {}  # of those present
        self._emptied_ms = clock()

    @property
    def name(self) -> str:
        """The room's name."""
        return self._room.name

    @property
    def inside(self) -> bool:
        """Whether the bot is in the room at present."""
        return self._room.inside

    @property
    def over(self) -> bool:
        """Whether no more happenings will come from the room."""
        return self._room.over

    async def happenings(self) -> AsyncIterator[Happening]:
        """The room's happenings, with aliases in the place of ids and names."""
        async for happening in self._room.happenings():
            yield self._translated(happening)
        self._empty()

    def stalled(self, participant_id: str) -> None:
        """Try to mend the connection to the person behind this alias."""
        if participant_id in self._room_ids:
            self._room.stalled(self._room_ids[participant_id])

    def drop(self, participant_id: str, reason: str) -> None:
        """Drop the connection to the person behind this alias."""
        if participant_id in self._room_ids:
            self._room.drop(self._room_ids[participant_id], reason)

    def show(self, mood: Mood) -> None:
        """Show the person behind this alias how they are read at present."""
        if mood.participant_id in self._room_ids:
            self._room.show(replace(mood, participant_id=self._room_ids[mood.participant_id]))

    def _translated(self, happening: Happening) -> Happening:
        if isinstance(happening, Arrival | Unseen):
            return replace(happening, participant=self._present(happening.participant))
        alias = self._pseudonyms.of(happening.participant_id)
        if isinstance(happening, Departure):
            self._room_ids.pop(alias.id, None)
            self._emptied_ms = self._clock()
        return replace(happening, participant_id=alias.id)

    def _present(self, participant: Participant) -> Participant:
        if not self._room_ids and self._clock() - self._emptied_ms >= EMPTY_MS:
            self._pseudonyms = Pseudonyms()
        alias = self._pseudonyms.of(participant.id)
        self._room_ids[alias.id] = participant.id
        return replace(participant, id=alias.id, name=alias.name)

    def _empty(self) -> None:
        """Forget who is present: a bot that is out of the room sees nobody."""
        self._room_ids.clear()
        self._emptied_ms = self._clock()


def pseudonymous(room: Room, clock: Clock = now_ms) -> Room:
    """The room with aliases; unchanged if it has them already, so that they outlast a lost connection to the room."""
    return room if isinstance(room, PseudonymousRoom) else PseudonymousRoom(room, clock)
