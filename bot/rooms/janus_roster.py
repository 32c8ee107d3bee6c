"""Who is in a Janus room, and which of their cameras can be watched: pure bookkeeping of what the room reports."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from aiortc.sdp import H264Profile, parse_h264_profile_level_id

from bot.consent import ConsentPolicy, said_in_metadata
from bot.rooms import ConsentChanged, Departure, Participant
from bot.rooms.janus_messages import Attendee, Publisher, RoomEvent, Stream
from pipeline.coverage import Coverage

BASELINE = (H264Profile.PROFILE_BASELINE, H264Profile.PROFILE_CONSTRAINED_BASELINE)
"""The profiles of H.264 that aiortc accepts, besides VP8."""

_SCREEN = re.compile(r"screen|desktop|presentation|slides", re.IGNORECASE)
"""Janus does not distinguish kinds of video: only a stream's description, if it has one, may say that it is a screen."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A video stream of a publisher, by the publisher's id and the stream's mid."""

    feed_id: str
    mid: str


@dataclass(frozen=True, slots=True)
class Presence:
    """A participant with their camera, or the reason why they cannot be watched; `yes_from` is the source of their consent."""

    participant: Participant
    camera: Camera | None
    coverage: Coverage = Coverage.OK
    yes_from: str | None = None


Change = Presence | Departure | ConsentChanged

SAID_THERE = "room"
"""How events name the source of a yes or a no in a participant's metadata."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What people have said, in this stay and earlier ones.

    `agreed` are those whose yes was reported: if they come back with a no, that is a withdrawal. `refused` are those who said no:
    for them, silence in later events is not a yes, even where it is for others.
    """

    agreed: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class JanusRoster:
    """The people in a room besides ourselves; events about them may come twice, late, or not at all.

    In a list of changes, a participant's yes comes right after their presence, and a withdrawal right before it, or after it if
    they have just come back.
    """

    def __init__(
        self, ourselves: Iterable[str] = (), policy: ConsentPolicy | None = None, answers: Answers | None = None
    ) -> None:
        self.present: dict[str, Presence] = {}
        self._policy = policy or ConsentPolicy()
        self._nobody = set(ourselves)
        """Ids that are not students': the bot's own, and those of dummies, which are placeholders in a room."""
        self._missing: set[str] = set()
        self._answers = Answers() if answers is None else answers
        self._publishing_as: dict[str, Publisher] = {}

    def take(self, event: RoomEvent) -> list[Change]:
        """Take in an event; returns what it changed, which is nothing if it was known already."""
        changes = self._everybody(event)
        if event.id in self.present and event.metadata is not None:
            changes += self._note(self._changed(event.id, event.metadata))
        for gone, reason in ((event.leaving, event.reason or "left"), (event.kicked, "removed by a moderator")):
            if gone is not None:
                changes += self._leave(gone, reason)
        if event.unpublished in self.present:
            self._publishing_as.pop(event.unpublished, None)
            changes += self._note(_without_a_camera(self.present[event.unpublished]))
        return changes

    def reconcile(self, listed: RoomEvent) -> list[Change]:
        """Take in the server's own list: whoever is in it is here, and whoever is missing from it twice in a row is gone."""
        if listed.videoroom != "participants":
            return []
        here = {each.id for each in listed.participants}
        missing = self.present.keys() - here
        # missing once is not enough: the list may have been made before they came
        changes = [change for each in sorted(missing & self._missing) for change in self._leave(each, "left")]
        self._missing = missing
        # missing metadata is not a withdrawal here: not every server includes it in the list
        news = [each for each in listed.participants if each.id not in self.present or said_in_metadata(each.metadata) is False]
        return changes + [change for each in news for change in self._note(self._attending(each))]

    def _everybody(self, event: RoomEvent) -> list[Change]:
        attendees = [*event.attendees, *([event.joining] if event.joining else [])]
        presences = [self._attending(each) for each in attendees if each.id not in self.present]
        presences += [self._publishing(each) for each in event.publishers if not each.dummy]
        self._publishing_as |= {each.id: each for each in event.publishers if not each.dummy}
        dummies = {each.id for each in event.publishers if each.dummy}
        self._nobody |= dummies
        gone = [change for each in sorted(dummies) for change in self._leave(each, "left")]
        return gone + [change for presence in presences for change in self._note(presence)]

    def _note(self, presence: Presence) -> list[Change]:
        participant_id, consents = presence.participant.id, presence.participant.consent
        before = self.present.get(participant_id)
        if participant_id in self._nobody or before == presence:
            return []
        self.present[participant_id] = presence
        consented = before is not None and before.participant.consent
        comes_again_with_a_no = before is None and participant_id in self._answers.agreed & self._answers.refused
        if consented == consents and not comes_again_with_a_no:
            return [presence]
        if consents:
            self._answers.agreed.add(participant_id)
        else:
            self._answers.agreed.discard(participant_id)
        changed = ConsentChanged(participant_id, consents, presence.yes_from or SAID_THERE)
        return [changed, presence] if consented else [presence, changed]

    def _leave(self, participant_id: str, reason: str) -> list[Change]:
        self._publishing_as.pop(participant_id, None)
        return [Departure(participant_id, reason)] if self.present.pop(participant_id, None) else []

    def _attending(self, attendee: Attendee | Publisher) -> Presence:
        said = said_in_metadata(attendee.metadata)
        if said is None and attendee.id in self._answers.refused:
            said = False
        if said is False:
            self._answers.refused.add(attendee.id)
        else:
            self._answers.refused.discard(attendee.id)
        yes_from = self._policy.granted(attendee.id, said, SAID_THERE)
        participant = Participant(attendee.id, attendee.display, consent=yes_from is not None)
        return _without_a_camera(Presence(participant, None, yes_from=yes_from))

    def _changed(self, participant_id: str, metadata: object) -> Presence:
        """The presence of somebody whose metadata have changed, and nothing else."""
        known = self._publishing_as.get(participant_id)
        if known is None:
            display = self.present[participant_id].participant.name
            return self._attending(Attendee(id=participant_id, display=display, metadata=metadata))
        self._publishing_as[participant_id] = known.model_copy(update={"metadata": metadata})
        return self._publishing(self._publishing_as[participant_id])

    def _publishing(self, publisher: Publisher) -> Presence:
        presence = self._attending(publisher)
        cameras = [stream for stream in publisher.streams if _is_camera(stream)]
        if not presence.participant.consent or not cameras:
            return presence
        readable = [stream for stream in cameras if _is_readable(stream)]
        if not readable:
            return replace(presence, coverage=Coverage.UNSUPPORTED_CODEC)
        return replace(presence, camera=Camera(publisher.id, readable[0].mid), coverage=Coverage.OK)


def _without_a_camera(presence: Presence) -> Presence:
    coverage = Coverage.CAMERA_OFF if presence.participant.consent else Coverage.NOT_CONSENTED
    return replace(presence, camera=None, coverage=coverage)


def _is_readable(stream: Stream) -> bool:
    """Whether aiortc can receive the stream; H.264 without a stated profile is assumed to have a usual one.

    This is checked beforehand, because an offer with a stream that cannot be received breaks the connection for everybody.
    """
    if stream.codec.lower() != "h264" or not stream.h264_profile:
        return stream.codec.lower() in ("vp8", "h264")
    try:
        profile, _ = parse_h264_profile_level_id(stream.h264_profile)
    except ValueError:
        return False
    return profile in BASELINE


def _is_camera(stream: Stream) -> bool:
    return stream.type == "video" and bool(stream.mid) and not stream.disabled and not _SCREEN.search(stream.description)
