"""What a Janus gateway may say, and much that it should not: none of it ends the bot."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiortc import RTCConfiguration
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.consent import ConsentPolicy
from bot.errors import RemovedFromRoom
from bot.rooms import ConsentChanged, Departure, Happening, Participant, Unseen
from bot.rooms.janus_api import Access, JanusSession
from bot.rooms.janus_messages import VIDEO_ROOM, read_envelope, read_room_event
from bot.rooms.janus_roster import Answers, Camera, JanusRoster, Presence
from bot.rooms.janus_stay import Stay
from bot.rooms.janus_subscription import Terms
from pipeline.coverage import Coverage

EVERYONE = ConsentPolicy("everyone")
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=sendonly\r\n"


class SaysNo:
    """The socket of a gateway that creates sessions and handles, and answers everything else with one error."""

    close_code = 1000

    def __init__(self) -> None:
        self.hear: Callable[[str], None] = lambda text: None
        self.handles = 0

    async def send_str(self, text: str) -> None:
        message = json.loads(text)
        answer: dict[str, Any] = {"janus": "success", "transaction": message["transaction"]}
        if message["janus"] == "info":
            answer |= {"janus": "server_info", "version": 1102, "version_string": "1.1.2"}
        elif message["janus"] == "create":
            answer["data"] = {"id": 1}
        elif message["janus"] == "attach":
            self.handles += 1
            answer["data"] = {"id": 100 + self.handles}
        elif message["janus"] == "message":
            answer |= {"janus": "event", "plugindata": {"data": {"error_code": 499, "error": "no"}}}
        self.hear(json.dumps(answer))


async def stay_in(*messages: str, policy: ConsentPolicy = EVERYONE) -> tuple[list[Happening], JanusSession]:
    """What happens in a room whose gateway says that, and the session; raises whatever ends the stay."""
    socket = SaysNo()
    told: list[Happening] = []
    session = JanusSession(socket, Access("ws://127.0.0.1:1/"))  # type: ignore[arg-type]  # as much of one as is needed
    socket.hear = session.take
    await session.start()
    woken = asyncio.Event()
    handle = await session.attach(VIDEO_ROOM, woken.set)
    terms, heard = Terms(1, {"room": 1}, 0, 0), asyncio.Event()
    heard.set()
    stay = Stay(session, handle, woken, ["99"], terms, RTCConfiguration(iceServers=[]), told.append, heard, policy=policy)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stay.run())
        for message in messages:
            session.take(message)
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert running.done() == session.lost.is_set()
        session.lose("the test is over")
    return told, session


def said(**data: Any) -> str:
    """An event of the room, as JSON."""
    return json.dumps({"janus": "event", "sender": 101, "plugindata": {"data": {"videoroom": "event", **data}}})


def camera(codec: str = "vp8", **more: Any) -> dict[str, Any]:
    return {"type": "video", "mid": "0", "mindex": 0, "codec": codec, **more}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
SOMEBODY = st.fixed_dictionaries(
    {"id": st.integers(1, 5) | ANYTHING},
    optional={
        "display": st.text(max_size=4) | ANYTHING,
        "metadata": ANYTHING,
        "streams": st.lists(st.builds(camera, st.sampled_from(["vp8", "vp9", "h264", ""])) | ANYTHING, max_size=3) | ANYTHING,
    },
)
DATA = st.fixed_dictionaries(
    {},
    optional={
        "videoroom": st.sampled_from(["event", "joined", "attached", "updated", "updating", "talking", "slow_link"]) | ANYTHING,
        "publishers": st.lists(SOMEBODY | ANYTHING, max_size=3) | ANYTHING,
        "attendees": st.lists(SOMEBODY | ANYTHING, max_size=3) | ANYTHING,
        "joining": SOMEBODY | ANYTHING,
        "leaving": st.integers(1, 5) | ANYTHING,
        "unpublished": st.integers(1, 5) | ANYTHING,
        "kicked": st.integers(1, 5) | ANYTHING,
        "streams": st.lists(SOMEBODY | ANYTHING, max_size=3) | ANYTHING,
        "reason": st.text(max_size=4) | ANYTHING,
        "error_code": ANYTHING,
    },
)
MESSAGE = st.fixed_dictionaries(
    {"janus": st.sampled_from(["event", "ack", "success", "error", "hangup", "webrtcup", "media", "slowlink", "trickle"])},
    optional={
        "sender": st.sampled_from([101, 102, 7]) | ANYTHING,
        "transaction": st.text(max_size=4) | ANYTHING,
        "plugindata": st.fixed_dictionaries({"data": DATA}) | ANYTHING,
        "jsep": st.just({"type": "offer", "sdp": SDP}) | ANYTHING,
        "data": ANYTHING,
        "error": ANYTHING,
    },
)
TEXTS = st.lists((MESSAGE | ANYTHING).map(json.dumps) | st.text(max_size=20), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
def test_whatever_the_gateway_says_the_bot_stays(texts: list[str]) -> None:
    told, session = asyncio.run(stay_in(*texts, said(publishers=[{"id": 77, "display": "Ada", "streams": [camera("vp9")]}])))
    assert session.why == "the test is over"
    assert Unseen(Participant("77", "Ada", True), Coverage.UNSUPPORTED_CODEC) in told


@settings(max_examples=25, deadline=None)
@given(st.lists(DATA, max_size=12))
def test_whatever_events_come_the_roster_tells_each_change_once(events: list[dict[str, Any]]) -> None:
    roster = JanusRoster(policy=EVERYONE)
    present: set[str] = set()
    for data in events:
        event = read_room_event(data)
        for change in roster.take(event):
            if isinstance(change, Departure):
                present.remove(change.participant_id)
            elif isinstance(change, Presence):
                present.add(change.participant.id)
        assert present == roster.present.keys()
        repeated = [change for change in roster.take(event) if isinstance(change, Presence)] if not _contradicts(data) else []
        assert not repeated


def _contradicts(data: dict[str, Any]) -> bool:
    """Whether an event says two things about somebody, so that repeating it changes them twice."""
    return len(data.keys() & {"publishers", "attendees", "joining", "leaving", "unpublished", "kicked"}) > 1 or (
        isinstance(data.get("publishers"), list) and len(data["publishers"]) > 1
    )


@pytest.mark.parametrize(
    ("publisher", "coverage"),
    [
        ({"streams": []}, Coverage.CAMERA_OFF),
        ({"streams": [{"type": "audio", "mid": "0", "codec": "opus"}]}, Coverage.CAMERA_OFF),
        ({"streams": [camera("vp9")]}, Coverage.UNSUPPORTED_CODEC),
        ({"streams": [camera("av1"), camera("h265")]}, Coverage.UNSUPPORTED_CODEC),
        ({"streams": [camera("h264", h264_profile="640c1f")]}, Coverage.UNSUPPORTED_CODEC),
        ({"streams": [camera("h264", h264_profile="high")]}, Coverage.UNSUPPORTED_CODEC),
        ({"streams": [camera(disabled=True)]}, Coverage.CAMERA_OFF),
        ({"streams": [camera(description="My Screen")]}, Coverage.CAMERA_OFF),
        ({"streams": [camera()], "metadata": {"consent": False}}, Coverage.NOT_CONSENTED),
        ({"audio_codec": "opus"}, Coverage.CAMERA_OFF),
    ],
)
async def test_who_cannot_be_watched_is_told_of_with_the_reason(publisher: dict[str, Any], coverage: Coverage) -> None:
    told, _ = await stay_in(said(publishers=[{"id": 5, "display": "Ada", **publisher}]))
    assert [(happening.participant.name, happening.coverage) for happening in told if isinstance(happening, Unseen)] == [
        ("Ada", coverage)
    ]


# consent


def taken(roster: JanusRoster, **data: Any) -> list[Any]:
    """What an event changes: for a presence, whether there is a camera to subscribe to, or else the coverage."""
    changes = roster.take(read_room_event(data))
    return [(change.camera is not None or change.coverage) if isinstance(change, Presence) else change for change in changes]


def publishing(metadata: object = None, participant_id: int = 5) -> dict[str, Any]:
    return {"publishers": [{"id": participant_id, "display": "Ada", "streams": [camera()], "metadata": metadata}]}


@pytest.mark.parametrize(
    "metadata", [None, {}, "yes", ["consent"], True, {"consent": None}, {"consent": "true"}, {"consent": 1}, {"consent": False}]
)
def test_nobody_is_subscribed_to_whose_metadata_do_not_say_yes(metadata: object) -> None:
    assert taken(JanusRoster(), **publishing(metadata)) == [Coverage.NOT_CONSENTED]


def test_a_yes_in_the_metadata_counts_while_it_stands_there() -> None:
    roster, yes, no = JanusRoster(), ConsentChanged("5", True, "room"), ConsentChanged("5", False, "room")
    assert taken(roster, **publishing({"consent": True, "colour": "red"})) == [True, yes]
    assert taken(roster, unpublished=5) == [Coverage.CAMERA_OFF]
    assert taken(roster, **publishing({"consent": True})) == [True]
    assert taken(roster, **publishing({"consent": False})) == [no, Coverage.NOT_CONSENTED]
    assert taken(roster, **publishing({"consent": True})) == [True, yes]
    assert taken(roster, **publishing()) == [no, Coverage.NOT_CONSENTED]


def test_a_yes_and_a_no_that_are_said_by_configure_count_at_once() -> None:
    roster, yes, no = JanusRoster(), ConsentChanged("5", True, "room"), ConsentChanged("5", False, "room")
    taken(roster, **publishing({"consent": True}))
    assert taken(roster, id=5, metadata={"consent": False}) == [no, Coverage.NOT_CONSENTED]
    assert taken(roster, id=5, metadata={"consent": True, "colour": "red"}) == [True, yes]
    assert taken(roster, id=5, metadata={"colour": "red"}) == [no, Coverage.NOT_CONSENTED]
    assert taken(roster, id=6, metadata={"consent": True}) == [], "of nobody who is there"
    taken(roster, joining={"id": 7, "display": "Ben"})
    assert taken(roster, id=7, metadata={"consent": True}) == [Coverage.CAMERA_OFF, ConsentChanged("7", True, "room")]


@pytest.mark.parametrize("stays", [1, 2])
def test_who_agreed_once_and_comes_again_with_a_no_has_withdrawn(stays: int) -> None:
    answers = Answers()
    roster, no = JanusRoster(answers=answers), ConsentChanged("5", False, "room")
    taken(roster, **publishing({"consent": True}))
    if stays == 2:  # the bot lost the room in between
        roster = JanusRoster(answers=answers)
    taken(roster, leaving=5)
    assert taken(roster, joining={"id": 5, "metadata": {"consent": False}}) == [Coverage.NOT_CONSENTED, no]
    taken(roster, leaving=5)
    assert taken(roster, joining={"id": 5, "metadata": {"consent": False}}) == [Coverage.NOT_CONSENTED], "once"
    assert taken(JanusRoster(answers=Answers(agreed={"6"})), joining={"id": 6}) == [Coverage.NOT_CONSENTED], (
        "silence takes nothing back"
    )


def test_silence_after_a_no_is_no_yes_even_where_everyone_is_read() -> None:
    roster = JanusRoster(policy=EVERYONE)
    taken(roster, joining={"id": 5, "display": "Ada", "metadata": {"consent": False}})
    assert taken(roster, **publishing()) == []
    assert taken(roster, **publishing({"consent": True})) == [True, ConsentChanged("5", True, "room")]


def test_a_no_outlasts_a_lost_connection_as_a_yes_does() -> None:
    answers = Answers()
    taken(JanusRoster(policy=EVERYONE, answers=answers), joining={"id": 5, "metadata": {"consent": False}})
    assert taken(JanusRoster(policy=EVERYONE, answers=answers), **publishing()) == [Coverage.NOT_CONSENTED]


def test_a_name_is_no_longer_than_those_of_other_rooms() -> None:
    (presence,) = JanusRoster().take(read_room_event({"joining": {"id": 5, "display": "Ada " * 1_000_000}}))
    assert isinstance(presence, Presence) and presence.participant.name == ("Ada " * 20).strip()


def test_a_name_cannot_write_on_the_terminal_of_whoever_reads_it() -> None:
    (presence,) = JanusRoster().take(read_room_event({"joining": {"id": 5, "display": "Ada\x1b[31m\u202e\nof the red hair"}}))
    assert isinstance(presence, Presence) and presence.participant.name == "Ada[31mof the red hair"


def test_a_new_name_for_somebody_who_is_there_changes_nothing() -> None:
    roster = JanusRoster(policy=EVERYONE)
    roster.take(read_room_event(publishing()))
    assert taken(roster, id=5, display="Augusta") == []
    renamed = {"videoroom": "participants", "participants": [{"id": 5, "display": "Augusta"}]}
    assert roster.reconcile(read_room_event(renamed)) == []


def test_the_servers_list_can_withdraw_a_consent_and_its_silence_cannot() -> None:
    roster = JanusRoster()
    roster.take(read_room_event(publishing({"consent": True})))
    listed = {"videoroom": "participants", "participants": [{"id": 5, "display": "Ada"}]}
    assert roster.reconcile(read_room_event(listed)) == []
    listed["participants"] = [{"id": 5, "display": "Ada", "metadata": {"consent": False}}]
    assert roster.reconcile(read_room_event(listed))[0] == ConsentChanged("5", False, "room")


def test_ids_of_the_settings_count_as_a_yes_and_their_owners_no_counts_more() -> None:
    roster = JanusRoster(policy=ConsentPolicy(ids=frozenset({"5", "6"})))
    assert taken(roster, **publishing()) == [True, ConsentChanged("5", True, "settings")]
    assert taken(roster, **publishing({"consent": False}, 6)) == [Coverage.NOT_CONSENTED]
    assert taken(roster, **publishing(None, 7)) == [Coverage.NOT_CONSENTED]


def test_where_everyone_is_read_whoever_says_no_is_not() -> None:
    roster = JanusRoster(policy=EVERYONE)
    assert taken(roster, **publishing()) == [True, ConsentChanged("5", True, "everyone")]
    assert taken(roster, **publishing({"consent": "no"}, 6)) == [Coverage.NOT_CONSENTED]


async def test_a_yes_that_was_withdrawn_before_anything_was_seen_is_not_told() -> None:
    streams = {"id": 5, "display": "Ada", "streams": [camera()]}
    yes, no = ({**streams, "metadata": {"consent": each}} for each in (True, False))
    told, _ = await stay_in(said(publishers=[yes]), said(publishers=[no]), policy=ConsentPolicy())
    assert told == [Unseen(Participant("5", "Ada"), Coverage.NOT_CONSENTED)]


def test_the_first_camera_with_a_readable_codec_is_chosen_beside_a_screen() -> None:
    streams = [camera(mid="1", description="screen"), camera("vp9", mid="2"), camera("h264", mid="3"), camera(mid="4")]
    change, _ = JanusRoster(policy=EVERYONE).take(read_room_event({"publishers": [{"id": 5, "streams": streams}]}))
    assert isinstance(change, Presence) and change.camera == Camera("5", "3")


@pytest.mark.parametrize("profile", ["", "42001f", "42e01f", "42c01e"])
def test_a_camera_of_h264_is_chosen_where_its_profile_is_one_that_can_be_agreed_to_or_is_not_told(profile: str) -> None:
    streams = [camera("h264", mid="1", h264_profile="640c1f"), camera("h264", mid="2", h264_profile=profile)]
    change, _ = JanusRoster(policy=EVERYONE).take(read_room_event({"publishers": [{"id": 5, "streams": streams}]}))
    assert isinstance(change, Presence) and change.camera == Camera("5", "2")


def test_somebody_without_an_id_is_nobody() -> None:
    roster = JanusRoster(policy=EVERYONE)
    nobody, ada = {"id": "", "streams": [camera()]}, {"id": "5", "streams": [camera()]}
    changes = roster.take(read_room_event({"publishers": [nobody, ada]}))
    assert [change.camera for change in changes if isinstance(change, Presence)] == [Camera("5", "0")]


def test_a_dummy_that_keeps_a_place_is_no_student() -> None:
    roster = JanusRoster(policy=EVERYONE)
    roster.take(read_room_event({"attendees": [{"id": 4, "display": "Dummy publisher"}]}))
    dummy = read_room_event({"publishers": [{"id": 4, "display": "Dummy publisher", "dummy": True, "streams": [camera()]}]})
    assert roster.take(dummy) == [Departure("4", "left")]
    listed = read_room_event({"videoroom": "participants", "participants": [{"id": 4, "display": "Dummy publisher"}]})
    assert roster.take(dummy) == [] and roster.reconcile(listed) == []


def test_a_former_self_that_lingers_in_the_room_is_no_participant() -> None:
    roster = JanusRoster(["7"])
    assert roster.take(read_room_event({"attendees": [{"id": 7}, {"id": 8, "display": "Ada"}]})) == [
        Presence(Participant("8", "Ada"), None, Coverage.NOT_CONSENTED)
    ]


def test_the_servers_own_list_tells_of_whom_events_did_not() -> None:
    roster = JanusRoster(["7"])
    roster.take(read_room_event({"attendees": [{"id": 1, "display": "Ada"}, {"id": 2, "display": "Bob"}]}))
    listed = read_room_event({"videoroom": "participants", "participants": [{"id": 7}, {"id": 2}, {"id": 3, "display": "Cy"}]})
    assert roster.reconcile(listed) == [Presence(Participant("3", "Cy"), None, Coverage.NOT_CONSENTED)]
    # one list may be older than somebody's arrival, but not two
    assert roster.reconcile(listed) == [Departure("1", "left")]
    assert roster.reconcile(listed) == [] and roster.reconcile(read_room_event({"videoroom": "event"})) == []


async def test_who_unpublishes_stays_and_who_leaves_is_gone_however_often_it_is_said() -> None:
    publisher = {"id": 5, "display": "Ada", "streams": [camera("vp9")]}
    told, _ = await stay_in(*[said(publishers=[publisher])] * 2, *[said(unpublished=5)] * 2, *[said(leaving=5)] * 2)
    ada = Participant("5", "Ada", True)
    yes = ConsentChanged("5", True, "everyone")
    assert told == [Unseen(ada, Coverage.UNSUPPORTED_CODEC), yes, Unseen(ada, Coverage.CAMERA_OFF), Departure("5", "left")]


async def test_one_odd_entry_costs_the_others_nothing_and_is_counted() -> None:
    told, session = await stay_in(said(publishers=[{"id": []}, 5, {"id": 6, "display": "Bob"}], leaving={"id": 3}))
    assert told == [Unseen(Participant("6", "Bob", True), Coverage.CAMERA_OFF), ConsentChanged("6", True, "everyone")]
    assert session.skipped["odd entries"] == 3


@pytest.mark.parametrize(
    ("data", "words"),
    [({"leaving": "ok", "reason": "kicked"}, "removed from the room"), ({"videoroom": "destroyed"}, "closed at the server")],
)
async def test_who_is_removed_leaves_for_good(data: dict[str, Any], words: str) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await stay_in(said(**data))
    assert caught.group_contains(RemovedFromRoom, match=words)


async def test_a_session_that_the_gateway_forgot_is_lost() -> None:
    _, session = await stay_in(json.dumps({"janus": "timeout", "session_id": 1}))
    assert session.why == "the session timed out"


def test_a_message_that_is_none_is_read_as_none() -> None:
    assert read_envelope("nonsense") is None and read_envelope("[1]") is None and read_envelope('{"janus": 5}') is None
