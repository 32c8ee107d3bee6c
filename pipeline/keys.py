"""The names of a room's keys in Redis, and the way back from a key to its room."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

_UNSAFE = re.compile(r"[%{}\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one room.

    The room stands in braces, so that all its keys share a slot of a Redis cluster. In its name `%`, braces, blanks
    and control characters are percent-encoded: a brace would end that hash tag early. `room_of` undoes it.
    Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
    """

    prefix: str
    room: str

    def __post_init__(self) -> None:
        if not self.room:
            raise ValueError("a room without a name has no keys")

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
    def fence(self) -> str:
        """String that a publisher changes to shut out whatever it sent earlier and got no answer to."""
        return self._key("fence")

    def participant(self, participant_id: str) -> str:
        """Hash of one participant's latest state."""
        return self._key(f"participant:{participant_id}")

    def _key(self, name: str) -> str:
        room = _UNSAFE.sub(lambda unsafe: f"%{ord(unsafe[0]):02X}", self.room)
        return f"{self.prefix}:{{{room}}}:{name}"


def any_room(prefix: str, name: str = "*") -> str:
    """A pattern for SCAN that finds the key `name` of every room."""
    return f"{prefix}:{{*}}:{name}"


def room_of(key: str, prefix: str) -> str | None:
    """The room whose status or participants a key holds; None for any other key."""
    found = re.fullmatch(re.escape(prefix) + r":\{([^{}]+)\}:(?:bot|participants)", key)
    return unquote(found[1]) if found else None
