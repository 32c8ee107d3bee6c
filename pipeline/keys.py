"""The names of a room's keys in Redis, and the way back from a key to its room."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

LONGEST_ROOM_BYTES = 256

_UNSAFE = re.compile(r"[%{}\x00-\x20\x7f]")


class RoomNameUnusable(ValueError):
    """A room name that no key can be made of; its text is one line."""


def check_room_name(name: str) -> None:
    """Raise RoomNameUnusable for a name that no key can be made of."""
    if not name:
        raise RoomNameUnusable("a room without a name has no keys")
    if any("\ud800" <= character <= "\udfff" for character in name):  # bytes of a command line that are not UTF-8
        raise RoomNameUnusable("the room's name is not valid text")
    if (length := len(name.encode())) > LONGEST_ROOM_BYTES:
        raise RoomNameUnusable(f"the room's name has {length} bytes, at most {LONGEST_ROOM_BYTES} are taken")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one room.

    The room is in braces, so that all its keys share one slot of a Redis cluster. In its name, `%`, braces, blanks and
    control characters are percent-encoded, since a brace would end that hash tag early; `room_of` undoes that.
    Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
    """

    prefix: str
    room: str

    def __post_init__(self) -> None:
        check_room_name(self.room)

    @property
    def events(self) -> str:
        """Stream of every event."""
        return self._key("events")

    @property
    def live(self) -> str:
        """Channel that carries every event as it happens."""
        return self._key("live")

    @property
    def participants(self) -> str:
        """Sorted set of the participants' ids by when they were last seen, in milliseconds."""
        return self._key("participants")

    @property
    def summary(self) -> str:
        """Hash of the latest class summary."""
        return self._key("summary")

    @property
    def bot(self) -> str:
        """String with the bot's latest status; absent once the bot is gone."""
        return self._key("bot")

    @property
    def audit(self) -> str:
        """Stream of who consented when, and of what the operator declared; kept longer than the events."""
        return self._key("audit")

    @property
    def markers(self) -> str:
        """Stream of the teacher's marks in the lesson."""
        return self._key("markers")

    @property
    def nothing(self) -> str:
        """A key that never exists."""
        return self._key("nothing")

    def last(self, epoch: str) -> str:
        """String with the last sequence number that a run of the bot has written to the stream."""
        return self._key(f"last:{epoch}")

    def participant(self, participant_id: str) -> str:
        """Hash of one participant's latest state."""
        return self._key(f"participant:{participant_id}")

    def aside(self, group: str) -> str:
        """Stream of the ids of entries that a consumer group gave up on."""
        return self._key(f"aside:{group}")

    def forwarded(self, target: str) -> str:
        """String with the stream id up to which events were forwarded to a target."""
        return self._key(f"forwarded:{target}")

    def _key(self, name: str) -> str:
        room = _UNSAFE.sub(lambda unsafe: f"%{ord(unsafe[0]):02X}", self.room)
        return f"{self.prefix}:{{{room}}}:{name}"


def any_room(prefix: str, name: str = "*") -> str:
    """A pattern for SCAN that finds the key `name` of every room."""
    return f"{prefix}:{{*}}:{name}"


def room_of(key: str, prefix: str) -> str | None:
    """The room whose status, participants or summary a key holds; None for any other key."""
    found = re.fullmatch(re.escape(prefix) + r":\{([^{}]+)\}:(?:bot|participants|summary)", key)
    return unquote(found[1]) if found else None
