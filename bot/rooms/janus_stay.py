"""One stay in a Janus room, from joining it to losing the connection: turns what the room reports into happenings."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from aiortc import MediaStreamTrack, RTCConfiguration

from bot.consent import ConsentPolicy
from bot.errors import RemovedFromRoom, RoomRefused
from bot.rooms import Arrival, ConsentChanged, Departure, Happening, Unseen
from bot.rooms.janus_api import JanusHandle, JanusSession
from bot.rooms.janus_messages import Envelope, RoomEvent, read_room_event
from bot.rooms.janus_roster import Answers, Camera, Change, JanusRoster, Presence
from bot.rooms.janus_subscription import Subscription, Terms
from bot.rooms.waiting import in_time
from bot.tasks import alone, background
from pipeline.coverage import Coverage

logger = logging.getLogger(__name__)

RECONCILE_SECONDS = 15.0
"""Time between readings of the server's own list, which has people whom no event reported, as without `notify_joining`."""

LATE_SECONDS = 3.0
"""How long subscribing to a camera may take before its owner is reported as stalled."""


class Stay:
    """A stay in a room: keeps the roster, and the subscription to the cameras in it."""

    def __init__(
        self,
        session: JanusSession,
        handle: JanusHandle,
        woken: asyncio.Event,
        ourselves: Iterable[str],
        terms: Terms,
        configuration: RTCConfiguration,
        tell: Callable[[Happening], None],
        heard: asyncio.Event,
        reconcile_seconds: float = RECONCILE_SECONDS,
        policy: ConsentPolicy | None = None,
        answers: Answers | None = None,
    ) -> None:
        self.subscription = Subscription(session, terms, configuration, self._arrived, self._unreadable)
        self._session = session
        self._handle = handle
        self._woken = woken
        self._roster = JanusRoster(ourselves, policy, answers)
        self._tell = tell
        self._heard = heard
        self._reconcile_seconds = reconcile_seconds
        self._list = {"request": "listparticipants", "room": terms.room}
        self._watched: dict[str, Camera] = {}
        self._late: dict[str, asyncio.TimerHandle] = {}
        self._told_of: set[str] = set()
        self._untold: dict[str, ConsentChanged] = {}
        """Each yes of a participant who was not reported yet, such as one whose camera's track has not arrived."""

    def begin(self, joined: RoomEvent) -> None:
        """Take in who was in the room when we joined."""
        self._take(joined)

    async def run(self) -> str:
        """Follow what happens until the connection is lost; returns why. Raises RemovedFromRoom."""
        with alone(RemovedFromRoom):
            async with background(self._subscribe(), self._reconcile()):
                await self._follow_events()
        return self._session.why

    async def _follow_events(self) -> None:
        while True:
            while event := self._handle.pop():
                self._read(event)
            if self._session.lost.is_set():  # checked last, because events before the end still count, such as a removal
                return
            await self._woken.wait()
            self._woken.clear()

    async def _subscribe(self) -> None:
        """Subscribe once somebody reads the happenings, because aiortc queues unread pictures without limit."""
        await self._heard.wait()
        await self.subscription.run()

    async def _reconcile(self) -> None:
        """Compare the roster with the server's list regularly, until the session is lost."""
        while not await in_time(self._session.lost, self._reconcile_seconds):
            try:
                answer = await self._handle.request(self._list)
            except RoomRefused:  # the session is lost, or the server does not give out its list
                continue
            for change in self._roster.reconcile(read_room_event(answer.plugin_data)):
                self._follow(change)

    def _read(self, envelope: Envelope) -> None:
        if envelope.janus == "detached":
            self._session.lose("janus detached the bot")
        elif envelope.janus == "event":
            event = read_room_event(envelope.plugin_data)
            self._session.skipped["odd entries"] += event.skipped
            self._take(event)

    def _take(self, event: RoomEvent) -> None:
        if event.videoroom == "destroyed":
            raise RemovedFromRoom("the room was closed at the server")
        if event.leaving == "ok" and event.reason == "kicked":
            raise RemovedFromRoom("the bot was removed from the room")
        for change in self._roster.take(event):
            self._follow(change)

    def _follow(self, change: Change) -> None:
        """Subscribe or unsubscribe, and report what does not come with a track."""
        match change:
            case Departure(participant_id):
                self._stop_watching(participant_id)
                self._told_of.discard(participant_id)
                self._untold.pop(participant_id, None)
                self._tell(change)
            case ConsentChanged():
                self._follow_consent(change)
            case Presence(participant, None):
                self._stop_watching(participant.id)
                self._tell_of(Unseen(participant, change.coverage))
            case Presence(_, Camera() as camera):
                self.subscription.want(camera)
                self._no_longer_late(camera.feed_id)
                later = asyncio.get_running_loop().call_later(LATE_SECONDS, self._tell_if_late, camera)
                self._late[camera.feed_id] = later

    def _follow_consent(self, change: ConsentChanged) -> None:
        if not change.granted:
            self._stop_watching(change.participant_id)
        if change.participant_id in self._told_of:
            self._tell(change)
        elif change.granted:
            self._untold[change.participant_id] = change
        else:
            self._untold.pop(change.participant_id, None)

    def _tell_of(self, happening: Arrival | Unseen) -> None:
        self._tell(happening)
        self._told_of.add(happening.participant.id)
        if yes := self._untold.pop(happening.participant.id, None):
            self._tell(yes)

    def _stop_watching(self, participant_id: str) -> None:
        self._watched.pop(participant_id, None)
        self._no_longer_late(participant_id)
        self.subscription.drop(participant_id)

    def _no_longer_late(self, participant_id: str) -> None:
        """Cancel the timer for a participant's late camera, because it has arrived, is gone or is a new one."""
        if timer := self._late.pop(participant_id, None):
            timer.cancel()

    def _arrived(self, camera: Camera, track: MediaStreamTrack) -> None:
        presence = self._roster.present.get(camera.feed_id)
        if presence is not None and presence.camera == camera:
            self._watched[camera.feed_id] = camera
            self._tell_of(Arrival(presence.participant, track))

    def _unreadable(self, camera: Camera) -> None:
        self._unseen(camera, Coverage.UNSUPPORTED_CODEC)

    def _tell_if_late(self, camera: Camera) -> None:
        self._late.pop(camera.feed_id, None)
        if self._watched.get(camera.feed_id) != camera and not self._session.lost.is_set():
            self._unseen(camera, Coverage.STALLED)
            self.subscription.renew(camera.feed_id)

    def _unseen(self, camera: Camera, coverage: Coverage) -> None:
        presence = self._roster.present.get(camera.feed_id)
        if presence is not None and presence.camera == camera:
            self._tell_of(Unseen(presence.participant, coverage))
