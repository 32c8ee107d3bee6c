"""Who is in a Janus room, and which of their cameras can be watched: pure bookkeeping of what the room tells."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bot.rooms import Departure, Participant
from bot.rooms.janus_messages import Attendee, Publisher, RoomEvent, Stream
from pipeline.coverage import Coverage

CODECS = ("vp8", "h264")
"""What aiortc decodes."""

_SCREEN = re.compile(r"screen|desktop|presentation|slides", re.IGNORECASE)
"""Janus knows no kinds of video: who shares a screen says so in the stream's description, if at all."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A video stream of a publisher, by the publisher's id and the stream's mid."""

    feed_id: str
    mid: str


@dataclass(frozen=True, slots=True)
class Presence:
    """A participant, and their camera, or why they cannot be watched."""

    participant: Participant
    camera: Camera | None
    coverage: Coverage = Coverage.OK


Change = Presence | Departure


class JanusRoster:
    """The people in a room besides ourselves; events may come twice, late, or not at all."""

    def __init__(self, ourselves: Iterable[str] = ()) -> None:
        self.present: dict[str, Presence] = {}
        self._ourselves = set(ourselves)
        self._missing: set[str] = set()

    def take(self, event: RoomEvent) -> list[Change]:
        """Take in an event; returns what it changed, which is nothing if it was known."""
        changes = self._everybody(event)
        for gone, reason in ((event.leaving, event.reason or "left"), (event.kicked, "removed by a moderator")):
            if gone is not None:
                changes += self._leave(gone, reason)
        if event.unpublished in self.present:
            known = self.present[event.unpublished].participant
            changes += self._note(Presence(known, None, Coverage.CAMERA_OFF))
        return changes

    def reconcile(self, listed: RoomEvent) -> list[Change]:
        """Take in the server's own list: who is in it is here, who is missing from it twice running is gone."""
        if listed.videoroom != "participants":
            return []
        here = {each.id for each in listed.participants}
        missing = self.present.keys() - here
        # once may be a list that was written before they came
        changes = [change for each in sorted(missing & self._missing) for change in self._leave(each, "left")]
        self._missing = missing
        newcomers = [_attending(each) for each in listed.participants if each.id not in self.present]
        return changes + [change for presence in newcomers for change in self._note(presence)]

    def _everybody(self, event: RoomEvent) -> list[Change]:
        attendees = [*event.attendees, *([event.joining] if event.joining else [])]
        presences = [_attending(each) for each in attendees if each.id not in self.present]
        presences += [_publishing(each) for each in event.publishers]
        return [change for presence in presences for change in self._note(presence)]

    def _note(self, presence: Presence) -> list[Change]:
        participant_id = presence.participant.id
        if participant_id in self._ourselves or self.present.get(participant_id) == presence:
            return []
        self.present[participant_id] = presence
        return [presence]

    def _leave(self, participant_id: str, reason: str) -> list[Change]:
        return [Departure(participant_id, reason)] if self.present.pop(participant_id, None) else []


def _attending(attendee: Attendee) -> Presence:
    participant = Participant(attendee.id, attendee.display, _consents(attendee.metadata))
    return Presence(participant, None, Coverage.CAMERA_OFF if participant.consent else Coverage.NOT_CONSENTED)


def _publishing(publisher: Publisher) -> Presence:
    participant = Participant(publisher.id, publisher.display, _consents(publisher.metadata))
    if not participant.consent:
        return Presence(participant, None, Coverage.NOT_CONSENTED)
    # a dummy publisher sends nothing, for the sake of a place
    cameras = [] if publisher.dummy else [stream for stream in publisher.streams if _is_camera(stream)]
    readable = [stream for stream in cameras if stream.codec.lower() in CODECS]
    if readable:
        return Presence(participant, Camera(publisher.id, readable[0].mid))
    return Presence(participant, None, Coverage.UNSUPPORTED_CODEC if cameras else Coverage.CAMERA_OFF)


def _is_camera(stream: Stream) -> bool:
    return stream.type == "video" and bool(stream.mid) and not stream.disabled and not _SCREEN.search(stream.description)


def _consents(metadata: object) -> bool:
    """Publishing is taken for consent, unless the publisher's metadata say `"consent": false`."""
    return not (isinstance(metadata, dict) and metadata.get("consent") is False)
