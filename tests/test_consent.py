"""Nobody is read before they agree, nor once they no longer do: from the packet to Redis."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription, codecs, rtcrtpreceiver
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from bot.app import assemble, load_analyst, running
from bot.clip_track import sending
from bot.clips import Clip, encode
from bot.consent import NO_VISITORS, ConsentPolicy, consent_policy, said_in_metadata, said_in_words
from bot.errors import SettingsWrong
from bot.janus_students import janus_student
from bot.redis_client import connect
from bot.rooms import Arrival, ConsentChanged, Departure, Happening, Unseen
from bot.rooms.local import LocalRoom, host
from bot.rooms.session import YESES_AT_ONCE
from bot.rooms.whip import TICKET
from bot.settings import read_settings
from bot.tasks import background
from pipeline.clock import now_ms
from pipeline.coverage import Coverage
from pipeline.events import EmotionSample, Event
from pipeline.follow import events_since, room_state
from pipeline.keys import Keys
from tests.janus_attendance import attended
from tests.janus_servers import needs_janus, running_janus
from tests.marks import mark_of, marked_clip
from tests.redis_servers import RedisServer, needs_redis
from tests.videos import portrait
from tests.webrtc import OFFER, camera_offer, next_arrival, next_consent, next_unseen, publisher

AGREES, SILENT, UNCLEAR = 3, 5, 9
SHORTLY_SECONDS = 1.0


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def room() -> AsyncIterator[LocalRoom]:
    async with host("algebra", read_settings(port=0)) as hosted:
        yield hosted


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[int | None]:
    """How many pictures with each mark have come out of any decoder of this process since the fixture was set up."""
    count: Counter[int | None] = Counter()

    class Counting:
        """One of aiortc's decoders, with what it puts out being counted."""

        def __init__(self, codec: Any) -> None:
            self._decoder = codecs.get_decoder(codec)

        def decode(self, frame: Any) -> list[Any]:
            pictures: list[Any] = self._decoder.decode(frame)
            count.update(map(mark_of, pictures))
            return pictures

    monkeypatch.setattr(rtcrtpreceiver, "get_decoder", Counting)
    return count


class Student:
    """Somebody who sends a clip, and may change their mind."""

    def __init__(self, http: aiohttp.ClientSession, url: str, peer: RTCPeerConnection) -> None:
        self.url, self._http, self._peer = url, http, peer

    async def say(self, word: str) -> int:
        """Tell the room yes or no; returns the status of its answer."""
        async with self._http.put(f"{self.url}/consent", data=word) as response:
            return response.status

    async def packets_sent(self) -> int:
        (sender,) = self._peer.getSenders()
        stats = (await sender.getStats()).values()
        return sum(each.packetsSent for each in stats if each.type == "outbound-rtp")


@asynccontextmanager
async def student(http: aiohttp.ClientSession, whip_url: str, clip: Clip, **query: str) -> AsyncIterator[Student]:
    """A student who sends that clip while the block runs, whatever the room does with it."""
    async with sending(clip) as camera:
        async with http.post(whip_url, params=query, data=await camera.offer(), headers=OFFER) as response:
            url, answer = urljoin(whip_url, response.headers["Location"]), await response.text()
        await camera.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await camera.until_connected(whip_url)
        yield Student(http, url, camera.peer)


async def until(condition: Callable[[], object], seconds: float = 10) -> float:
    """Wait for something that other tasks bring about; returns how long it took, in seconds."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
    return time.monotonic() - started


# the local room


async def test_not_one_packet_is_decoded_of_whoever_did_not_agree(
    http: aiohttp.ClientSession, room: LocalRoom, decoded: Counter[int | None]
) -> None:
    clips = {mark: marked_clip(mark, (160, 90), seconds=0.5) for mark in (AGREES, SILENT, UNCLEAR)}
    async with (
        student(http, room.whip_url, clips[SILENT]) as silent,
        student(http, room.whip_url, clips[UNCLEAR], consent="maybe") as unclear,
        student(http, room.whip_url, clips[AGREES], consent="yes"),
    ):
        await until(lambda: decoded[AGREES] >= 10)
        assert min(await silent.packets_sent(), await unclear.packets_sent()) >= 10
        assert set(decoded) == {AGREES}
        # a student who agrees later is seen at once, and one who withdraws is not seen any more
        assert await silent.say("yes") == 204
        assert await until(lambda: decoded[SILENT]) < SHORTLY_SECONDS
        assert await silent.say("no") == 204
        at_the_no, others, sent = decoded[SILENT], decoded[AGREES], await silent.packets_sent()
        await until(lambda: decoded[AGREES] >= others + 5)
        assert await silent.packets_sent() >= sent + 5 and decoded[SILENT] == at_the_no
        assert await silent.say("Yes\n") == 204
        await until(lambda: decoded[SILENT] > at_the_no)
        assert not decoded[UNCLEAR]


async def test_the_room_tells_of_each_change_once_and_in_order(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    happenings = room.happenings()
    async with publisher(http, room.whip_url, consent=None) as published:
        unseen = await next_unseen(happenings)
        ada = unseen.participant
        assert (unseen.coverage, ada.consent) == (Coverage.NOT_CONSENTED, False)
        for word in ("no", "yes", "yes", "no", "no", "yes"):
            async with http.put(f"{published.session_url}/consent", data=word) as response:
                assert (response.status, await response.read()) == (204, b"")
        told = [await asyncio.wait_for(anext(happenings), 5) for _ in range(5)]
        assert [type(each) for each in told] == [Arrival, ConsentChanged, ConsentChanged, Arrival, ConsentChanged]
        assert told[1:3] == [ConsentChanged(ada.id, granted, "page") for granted in (True, False)]
        first, second = told[0], told[3]
        assert isinstance(first, Arrival) and isinstance(second, Arrival) and first.participant.consent
        assert first.track is not second.track


async def test_what_cannot_be_understood_is_a_no_and_told_to_be_one(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    happenings = room.happenings()
    async with publisher(http, room.whip_url) as published:
        arrival = await next_arrival(happenings)
        assert await next_consent(happenings) == ConsentChanged(arrival.participant.id, True, "page")
        async with http.put(f"{published.session_url}/consent", data=b"\xffyes, but") as response:
            assert response.status == 400 and "taken for no" in await response.text()
        assert await next_consent(happenings) == ConsentChanged(arrival.participant.id, False, "page")
        async with http.put(f"{room.whip_url}/somebody/consent", data="no") as response:
            assert response.status == 404
    async with publisher(http, room.whip_url + "?consent=yes", consent="no"):
        assert not (await next_unseen(skip(happenings, Departure))).participant.consent


async def skip(happenings: AsyncIterator[Happening], kind: type[Happening]) -> AsyncIterator[Happening]:
    async for happening in happenings:
        if not isinstance(happening, kind):
            yield happening


async def test_a_no_is_heard_while_a_yes_must_wait_for_a_place(http: aiohttp.ClientSession) -> None:
    async with host("algebra", read_settings(port=0, max_participants=1)) as room, publisher(http, room.whip_url) as published:
        statuses = []
        for word in ("no", "yes") * 5:
            async with http.put(f"{published.session_url}/consent", data=word) as response:
                statuses.append(response.status)
        assert set(statuses[0::2]) == {204} and statuses[-1] == 503
        told = [await anext(room.happenings()) for _ in range(3)]
        assert [type(each) for each in told] == [Arrival, ConsentChanged, ConsentChanged]


async def test_who_changes_their_mind_without_end_is_slowed_down_and_every_no_is_heard(
    http: aiohttp.ClientSession, room: LocalRoom
) -> None:
    response = await http.post(room.whip_url, data=await camera_offer(), headers=OFFER)
    address = urljoin(room.whip_url, response.headers["Location"]) + "/consent"
    said = [(await http.put(address, data=word)).status for _ in range(YESES_AT_ONCE) for word in ("yes", "no")]
    assert set(said) == {204}
    slowed = await http.put(address, data="yes")
    assert (slowed.status, slowed.headers["Retry-After"]) == (429, "10")
    assert (await http.put(address, data="no")).status == 204


async def test_a_yes_that_arrives_after_its_session_has_ended_brings_nobody_back(http: aiohttp.ClientSession) -> None:
    gone = asyncio.Event()

    async def yes() -> AsyncIterator[bytes]:
        yield b"y"
        await gone.wait()
        yield b"es"

    async with host("algebra", read_settings(port=0), connect_seconds=0.3) as room:
        happenings = room.happenings()
        response = await http.post(f"{room.whip_url}?consent=no", data=await camera_offer(), headers=OFFER)
        address = urljoin(room.whip_url, response.headers["Location"]) + "/consent"
        saying = asyncio.create_task(http.put(address, data=yes()))
        assert isinstance(await anext(happenings), Unseen)
        assert isinstance(await asyncio.wait_for(anext(happenings), 5), Departure)
        gone.set()
        assert (await saying).status == 404
    assert [happening async for happening in happenings] == []


async def test_a_no_that_nobody_would_take_in_any_more_is_not_told_to_be_heard(
    http: aiohttp.ClientSession, room: LocalRoom
) -> None:
    happenings = room.happenings()
    response = await http.post(f"{room.whip_url}?consent=yes", data=await camera_offer(), headers=OFFER)
    address = urljoin(room.whip_url, response.headers["Location"]) + "/consent"
    assert isinstance(await anext(happenings), Arrival)
    assert await anext(happenings)
    stopping = asyncio.create_task(anext(happenings))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert (await http.put(address, data="no")).status == 404
    assert (await http.post(room.whip_url, data=await camera_offer(), headers=OFFER)).status == 503


async def test_where_everyone_is_read_silence_is_a_yes_and_a_no_is_a_no(http: aiohttp.ClientSession) -> None:
    async with host("algebra", read_settings(port=0, consent="everyone")) as room:
        happenings = room.happenings()
        async with publisher(http, room.whip_url, consent=None) as published:
            arrival = await next_arrival(happenings)
            assert await next_consent(happenings) == ConsentChanged(arrival.participant.id, True, "everyone")
            async with http.put(f"{published.session_url}/consent", data="no"):
                assert not (await next_consent(happenings)).granted


async def test_a_room_for_its_own_students_admits_visitors_unread_whatever_they_say(http: aiohttp.ClientSession) -> None:
    policy = consent_policy(read_settings(consent="everyone"), reads_visitors=False)
    async with host("demo", read_settings(port=0), policy) as room:
        happenings = room.happenings()
        async with publisher(http, room.whip_url) as visitor:
            assert (await next_unseen(happenings)).coverage is Coverage.NOT_CONSENTED
            async with http.put(f"{visitor.session_url}/consent", data="yes") as response:
                assert (response.status, await response.text()) == (403, NO_VISITORS)
            async with http.get(f"{room.url}/configuration.json") as response:
                assert (await response.json())["unread_because"] == NO_VISITORS
            ticket = {**OFFER, TICKET: policy.ticket.get_secret_value()}
            query = {"consent": "yes"}
            async with http.post(room.whip_url, params=query, data=await camera_offer(), headers=ticket) as response:
                assert response.status == 201
            assert (await next_arrival(happenings)).participant.consent
    assert policy.ticket.get_secret_value() not in repr(policy)


# the policy


@pytest.mark.parametrize(("text", "said"), [("yes", True), (" YES\n", True), ("no", False), ("", False), ("true", False)])
def test_only_the_word_yes_is_a_yes(text: str, said: bool) -> None:
    assert said_in_words(text) is said


@pytest.mark.parametrize(
    ("metadata", "said"), [({"consent": True}, True), ({"consent": "yes"}, False), ({}, None), ("yes", None)]
)
def test_metadata_say_yes_by_a_truth_and_nothing_without_the_field(metadata: object, said: bool | None) -> None:
    assert said_in_metadata(metadata) is said


def test_a_yes_comes_from_the_person_the_settings_or_nowhere() -> None:
    asked, everyone = ConsentPolicy(ids=frozenset({"ada"})), ConsentPolicy("everyone")
    assert [asked.granted(who, None, "room") for who in ("ada", "bob")] == ["settings", None]
    assert [asked.granted("bob", said, "room") for said in (True, False)] == ["room", None]
    assert [everyone.granted("bob", said, "room") for said in (None, False)] == ["everyone", None]
    assert asked.granted("ada", False, "room") is None


def test_a_ticket_is_needed_only_where_visitors_are_not_read() -> None:
    closed = ConsentPolicy(reads_visitors=False)
    assert ConsentPolicy().admits("") and not closed.admits("") and not closed.admits("\udcff")
    assert closed.admits(closed.ticket.get_secret_value())


@pytest.mark.parametrize("name", [" ", "\t\u200b", "\u2800", "\u3164\u00ad", "\u0301"])
def test_a_bot_that_nobody_could_see_in_the_room_is_refused(name: str) -> None:
    with pytest.raises(SettingsWrong, match=r"^CLASSMOOD_BOT_NAME: nothing in it can be read[^\n]*$"):
        read_settings(bot_name=name)


@pytest.mark.parametrize("name", ["classmood", "見る", "🤖", "e\u0301"])
def test_a_bot_may_have_a_name_in_any_script(name: str) -> None:
    assert read_settings(bot_name=name).bot_name == name


# to Redis


KEYS = Keys("classmood", "algebra")


class InRedis:
    """What Redis holds about a room."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def events(self, participant_id: str) -> list[Event]:
        return [each async for each in events_since(self._redis, KEYS) if each.subject == participant_id]

    async def until(self, participant_id: str, condition: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the types of a participant's events are as wanted; returns them without their prefix."""
        async with asyncio.timeout(10):
            while True:
                types = [each.type.removeprefix("classmood.") for each in await self.events(participant_id)]
                if condition(types):
                    return types
                await asyncio.sleep(0.05)


async def heard_so_far(live: PubSub) -> list[Event]:
    """All events that a subscriber has received so far."""
    heard = []
    while message := await live.get_message(timeout=0.2):
        heard.append(Event.model_validate_json(message["data"]))
    return heard


@needs_redis
async def test_who_withdraws_is_read_no_more_and_what_redis_held_of_them_is_erased(
    http: aiohttp.ClientSession, server: RedisServer
) -> None:
    often = {"sample_seconds": 0.2, "looks_per_second": 5, "redis_retry_seconds": 0.1}
    settings = read_settings(redis_url=server.url, port=0, **often)
    analyst, face = load_analyst(settings), encode(portrait(320, 180) for _ in range(20))
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect(settings))
        await redis.flushall()
        live = await stack.enter_async_context(redis.pubsub())
        await live.subscribe(KEYS.live)
        await live.get_message(timeout=5)  # the confirmation of the subscription
        room = await stack.enter_async_context(host("algebra", settings))
        bot = assemble(room, redis, analyst, settings)
        await stack.enter_async_context(running(bot, analyst, settings))
        await stack.enter_async_context(background(bot.attendance.run()))
        ada = await stack.enter_async_context(student(http, room.whip_url, face, consent="yes"))
        await until(lambda: bot.attendance.seats)
        (ada_id,) = bot.attendance.seats
        stored = InRedis(redis)
        types = await stored.until(ada_id, lambda types: types.count("emotion.sample") >= 3)
        assert types[:2] == ["participant.joined", "consent.granted"]

        # while Redis is away, what was seen waits, and must not be published afterwards
        server.stall()
        looks, stalled_ms = bot.attendance.totals.looks, now_ms()
        await until(lambda: bot.attendance.totals.looks >= looks + 5)
        assert await ada.say("no") == 204
        await until(lambda: bot.attendance.seats[ada_id].watcher is None, SHORTLY_SECONDS)
        looks = bot.attendance.totals.looks
        server.go_on()

        types = await stored.until(ada_id, lambda types: types[:1] == ["consent.withdrawn"])
        assert set(types) <= {"consent.withdrawn", "coverage.changed"}
        (state,) = (await room_state(redis, KEYS)).participants
        assert (state.coverage, state.consent, state.emotion, state.scores) == (Coverage.NOT_CONSENTED, False, None, None)
        assert bot.attendance.totals.looks == looks
        sequences = [each.sequence async for each in events_since(redis, KEYS)]
        assert sequences[-1] - sequences[0] >= len(sequences)  # the erased events left gaps among those that remain

        assert await ada.say("yes") == 204
        types = await stored.until(ada_id, lambda types: "emotion.sample" in types)
        assert types.index("consent.granted") < types.index("emotion.sample")
        assert "coverage.changed" in types
        heard = await heard_so_far(live)
    assert [each.sequence for each in heard] == list(range(1, len(heard) + 1)), "what was dropped left a gap"
    (withdrawn,) = [number for number, each in enumerate(heard) if each.type == "classmood.consent.withdrawn"]
    late = [each for each in map(Event.typed, heard[:withdrawn]) if isinstance(each, EmotionSample) and each.at_ms > stalled_ms]
    assert len(late) <= 1, "but for what was on its way, nothing came out of what waited"


# Janus


@needs_janus
@pytest.mark.slow
async def test_in_a_room_of_janus_only_who_agreed_is_subscribed_to(decoded: Counter[int | None]) -> None:
    with running_janus() as server:
        settings = read_settings()
        async with (
            janus_student(server.room_url, "Ada", settings) as ada,
            janus_student(server.room_url, "Bob", settings) as bob,
            attended(server.room_url, consent="asked", consented_ids=ada.id) as seen,
        ):
            await bob.publish(marked_clip(SILENT, (160, 90), seconds=0.5))
            await ada.publish(marked_clip(AGREES, (160, 90), seconds=0.5))
            await seen.frames.after_now(ada.id)
            await until(lambda: decoded[AGREES] >= 10)
            assert set(decoded) == {AGREES}
            seats = seen.attendance.seats
            assert {each.participant.id: each.participant.consent for each in seats.values()} == {ada.id: True, bob.id: False}
            assert "consent.granted" in seen.kinds()
