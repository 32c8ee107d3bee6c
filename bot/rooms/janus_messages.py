"""The messages of Janus and its VideoRoom plugin, as far as they are needed; all else in them is ignored.

Source: https://janus.conf.meetecho.com/docs/videoroom.html
"""

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bot.rooms.names import display_name

Model = TypeVar("Model", bound=BaseModel)

Id = Annotated[str, BeforeValidator(lambda value: (str(value) or None) if type(value) in (int, str) else None)]
"""The id of a room or participant: Janus sends numbers, or strings with `string_ids`; here it is always a string."""

Words = Annotated[str, BeforeValidator(lambda value: value if isinstance(value, str) else "")]
"""Optional text; any other value counts as empty."""

Name = Annotated[str, BeforeValidator(lambda value: display_name(value) if isinstance(value, str) else "")]
"""The display name of a participant; any value that is not text counts as empty."""

VIDEO_ROOM = "janus.plugin.videoroom"

NO_SUCH_ROOM, NO_SUCH_FEED, INVALID_ELEMENT, ALREADY_JOINED = 426, 428, 430, 425


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Fault(_Message):
    """An error from the gateway itself."""

    code: int = 0
    reason: str = "no reason given"


class Description(_Message):
    """A session description: an SDP offer or answer."""

    type: str
    sdp: str


class PluginData(_Message):
    """What a plugin says."""

    data: dict[str, Any] = Field(default_factory=dict)


class New(_Message):
    """What a request has created."""

    id: int


class Envelope(_Message):
    """One message from the gateway."""

    janus: str
    transaction: str | None = None
    sender: int | None = None
    data: New | None = None
    error: Fault | None = None
    plugindata: PluginData | None = None
    jsep: Description | None = None
    version: int | None = None
    version_string: str = ""
    reason: str = ""

    @property
    def plugin_data(self) -> dict[str, Any]:
        """What a plugin says in the message; empty if it is not from a plugin."""
        return self.plugindata.data if self.plugindata else {}

    @property
    def id_of_new(self) -> int | None:
        """The id of what a request has created, or None."""
        return self.data.id if self.data else None


class Stream(_Message):
    """One of the streams that a publisher sends."""

    type: str
    mid: str = ""
    codec: Words = ""
    h264_profile: Words = ""
    description: Words = ""
    disabled: bool = False


class Publisher(_Message):
    """Somebody who publishes into the room; from an old or unusual server, it may have no streams."""

    id: Id
    display: Name = ""
    streams: Annotated[tuple[Stream, ...], BeforeValidator(lambda values: _each(Stream, values)[0])] = ()
    metadata: Any = None
    dummy: bool = False


class Attendee(_Message):
    """Somebody who is in the room."""

    id: Id
    display: Name = ""
    metadata: Any = None


class Subscribed(_Message):
    """One m-line of our subscription, and whose stream it carries at present."""

    mid: str
    type: str = "video"
    active: bool = True
    feed_id: Id | None = None
    feed_mid: str | None = None


class RoomEvent(_Message):
    """What VideoRoom says about a room; a malformed field or entry is left out without losing the others."""

    videoroom: str = ""
    id: Id | None = None
    private_id: int | None = None
    publishers: tuple[Publisher, ...] = ()
    attendees: tuple[Attendee, ...] = ()
    participants: tuple[Attendee, ...] = ()
    joining: Attendee | None = None
    unpublished: Id | None = None
    leaving: Id | None = None
    kicked: Id | None = None
    reason: str = ""
    metadata: Any = None
    """The changed metadata of the participant whom `id` names."""
    streams: tuple[Subscribed, ...] = ()
    skipped: int = 0


def read_envelope(text: str) -> Envelope | None:
    """The message in a text, or None if it is not one."""
    try:
        return Envelope.model_validate_json(text)
    except ValidationError:
        return None


def read_room_event(data: dict[str, Any]) -> RoomEvent:
    """What the plugin says about a room, without malformed fields and entries, which `skipped` counts."""
    publishers, odd_publishers = _each(Publisher, data.get("publishers"))
    attendees, odd_attendees = _each(Attendee, data.get("attendees"))
    participants, odd_participants = _each(Attendee, data.get("participants"))
    streams, odd_streams = _each(Subscribed, data.get("streams"))
    joining, odd_joining = _each(Attendee, [data["joining"]] if "joining" in data else [])
    lists = {"publishers": publishers, "attendees": attendees, "participants": participants, "streams": streams}
    odd = odd_publishers + odd_attendees + odd_participants + odd_streams + odd_joining
    fields = {}
    for name in ("videoroom", "id", "private_id", "unpublished", "leaving", "kicked", "reason", "metadata"):
        if name in data and data[name] is not None:
            fields[name] = data[name]
    while True:
        try:
            return RoomEvent(**fields, **lists, joining=next(iter(joining), None), skipped=odd)  # type: ignore[arg-type]  # pydantic checks them
        except ValidationError as error:
            bad = {problem["loc"][0] for problem in error.errors()} & fields.keys()
            odd += len(bad)
            fields = {name: value for name, value in fields.items() if name not in bad}


def _each(kind: type[Model], values: object) -> tuple[list[Model], int]:
    """Those of the values that are of this kind, and how many are not."""
    if values is None:
        return [], 0
    if not isinstance(values, Iterable) or isinstance(values, (str, dict)):
        return [], 1
    fitting, odd = [], 0
    for value in values:
        try:
            fitting.append(kind.model_validate(value))
        except ValidationError:
            odd += 1
    return fitting, odd
