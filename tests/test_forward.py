"""Events on their way out of Redis: to a real web server that fails now and then, and to a real MQTT broker."""

import asyncio
import re
import shutil
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

import aiohttp
import aiomqtt
import pytest
import standardwebhooks
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from redis.asyncio import Redis

from bot.cli import main
from bot.errors import SettingsWrong, Trouble
from bot.forward import MOST_TRIES, Forwarder, NotNow, Refused
from bot.mqtt import Broker, Mqtt
from bot.tasks import background
from bot.webhook import Webhook, message_id, signing_key
from model.faces import Emotion
from pipeline.coverage import Coverage
from pipeline.events import ConsentWithdrawn, CoverageChanged, Data, EmotionChanged, Event, ParticipantJoined, ParticipantLeft
from pipeline.keys import Keys
from pipeline.publish import Publisher, RedisUnusable
from tests.commands import started, until
from tests.redis_servers import RedisServer, free_port, needs_redis
from tests.test_publish import status

KEYS = Keys("classmood", "maths/7b")
# Debian puts it where only root's PATH looks
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

pytestmark = needs_redis
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="no mosquitto")


@pytest.fixture
def sender(redis: Redis) -> Publisher:
    return Publisher(redis, KEYS, "1", outbox_limit=5000, retention_ms=600_000, status_ttl_ms=5000, retry_seconds=0.02)


def changed(participant: str) -> EmotionChanged:
    return EmotionChanged(participant=participant, before=None, after=Emotion.HAPPY, since_ms=1)


async def publish(sender: Publisher, *data: Data) -> None:
    for each in data:
        sender.publish(each)
    await sender.flush(5)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


class Hours:
    """A clock that only sleeping advances; it records the length of each sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def monotonic(self) -> float:
        return self.now


@dataclass
class Receiver:
    """A web server's memory: what it took, and how it answers each attempt at an event, by sequence number."""

    answers: Callable[[int, int], web.Response] = lambda sequence, tries: web.Response()
    tries: Counter[int] = field(default_factory=Counter)
    ids: dict[int, set[str]] = field(default_factory=dict)
    taken: list[Event] = field(default_factory=list)
    content_types: set[str] = field(default_factory=set)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        event = Event.model_validate(standardwebhooks.Webhook(SECRET).verify(body, dict(request.headers)))
        self.tries[event.sequence] += 1
        self.ids.setdefault(event.sequence, set()).add(request.headers["webhook-id"])
        self.content_types.add(request.headers["content-type"])
        answer = self.answers(event.sequence, self.tries[event.sequence])
        if answer.status == 200:
            self.taken.append(event)
        if answer.reason == "cut":
            assert request.transport is not None
            request.transport.close()
        return answer

    def of(self, participant: str) -> list[int]:
        return [event.sequence for event in self.taken if event.subject == participant]


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    async with TestServer(app) as hooks:
        yield str(hooks.make_url("/hook"))


@asynccontextmanager
async def forwarding(
    redis: Redis, url: str, hours: Hours | None = None, name: str = "a", *, from_start: bool = True
) -> AsyncIterator[Forwarder]:
    times = hours or Hours()
    async with aiohttp.ClientSession() as session:
        target = Webhook(session, url, signing_key(SecretStr(SECRET)), answer_seconds=5)
        bridge = Forwarder(redis, KEYS, target, name, from_start=from_start, sleep=times.sleep, monotonic=times.monotonic)
        async with background(bridge.run()):
            yield bridge


async def test_every_event_is_posted_once_signed_and_as_a_cloudevent(redis: Redis, sender: Publisher) -> None:
    receiver = Receiver()
    await publish(sender, *(changed(f"p{number % 5}") for number in range(40)))
    async with listening(receiver) as url, forwarding(redis, url) as bridge:
        await eventually(lambda: len(receiver.taken) == 40)
        await publish(sender, changed("p0"))
        await eventually(lambda: len(receiver.taken) == 41)
    assert sorted(event.sequence for event in receiver.taken) == list(range(1, 42))
    assert all(receiver.of(f"p{number}") == sorted(receiver.of(f"p{number}")) for number in range(5))
    assert receiver.content_types == {"application/cloudevents+json; charset=UTF-8"}
    assert (bridge.counts.forwarded, bridge.counts.dropped, bridge.counts.retries) == (41, 0, 0)


async def test_a_target_that_fails_now_and_then_gets_everything_in_order_with_the_same_message_id(
    redis: Redis, sender: Publisher
) -> None:
    def now_and_then(sequence: int, tries: int) -> web.Response:
        if tries > 2 or sequence % 3:
            return web.Response()
        return web.Response(status=(500, 503)[tries - 1]) if sequence % 2 else web.Response(status=502, reason="cut")

    receiver = Receiver(now_and_then)
    await publish(sender, *(changed(f"p{number % 4}") for number in range(30)))
    async with listening(receiver) as url, forwarding(redis, url) as bridge:
        await eventually(lambda: len(receiver.taken) == 30)
    assert all(receiver.of(f"p{number}") == sorted(receiver.of(f"p{number}")) for number in range(4))
    assert bridge.counts.dropped == 0 and bridge.counts.retries >= 10
    assert all(len(ids) == 1 for ids in receiver.ids.values()) and len(set.union(*receiver.ids.values())) == 30


async def test_a_target_that_asks_for_time_is_left_alone_for_as_long(redis: Redis, sender: Publisher) -> None:
    busy = web.Response(status=429, headers={"retry-after": "90"})
    receiver, hours = Receiver(lambda sequence, tries: web.Response() if tries > 1 else busy), Hours()
    await publish(sender, changed("ada"))
    async with listening(receiver) as url, forwarding(redis, url, hours):
        await eventually(lambda: len(receiver.taken) == 1)
    assert sum(hours.slept) == pytest.approx(90)


async def test_what_a_target_refuses_is_dropped_and_counted_and_the_rest_goes_on(redis: Redis, sender: Publisher) -> None:
    receiver = Receiver(lambda sequence, tries: web.Response(status=422 if sequence == 2 else 301 if sequence == 3 else 200))
    await publish(sender, *(changed("ada") for _ in range(4)))
    async with listening(receiver) as url, forwarding(redis, url) as bridge:
        await eventually(lambda: len(receiver.taken) == 2)
    assert receiver.of("ada") == [1, 4] and bridge.counts.dropped == 2 and receiver.tries[2] == 1


async def test_one_event_that_breaks_the_target_does_not_hold_up_the_rest_for_ever(redis: Redis, sender: Publisher) -> None:
    receiver = Receiver(lambda sequence, tries: web.Response(status=500 if sequence == 1 else 200))
    await publish(sender, changed("ada"), changed("ben"), changed("ada"))
    async with listening(receiver) as url, forwarding(redis, url) as bridge:
        await eventually(lambda: len(receiver.taken) == 2)
    assert receiver.of("ada") == [3] and bridge.counts.dropped == 1 and receiver.tries[1] == MOST_TRIES


async def test_a_bridge_that_starts_again_neither_loses_nor_repeats(redis: Redis, sender: Publisher) -> None:
    receiver = Receiver()
    async with listening(receiver) as url:
        for number in range(3):
            await publish(sender, changed("ada"), changed("ben"))
            async with forwarding(redis, url):
                await eventually(lambda count=2 * number + 2: len(receiver.taken) == count)
                await asyncio.sleep(0.05)
        async with forwarding(redis, url, name="b"):
            await eventually(lambda: len(receiver.taken) == 12)
    assert sorted(event.sequence for event in receiver.taken[:6]) == [1, 2, 3, 4, 5, 6]


async def test_a_target_that_is_busy_for_long_loses_no_event(redis: Redis, sender: Publisher) -> None:
    receiver = Receiver(lambda sequence, tries: web.Response(status=503 if tries <= 3 * MOST_TRIES else 200))
    await publish(sender, changed("ada"))
    async with listening(receiver) as url, forwarding(redis, url) as bridge:
        await eventually(lambda: len(receiver.taken) == 1)
    assert (bridge.counts.dropped, bridge.counts.retries) == (0, 3 * MOST_TRIES)


async def test_a_target_that_is_away_is_waited_for(redis: Redis, sender: Publisher) -> None:
    port, hours = free_port(), Hours()
    await publish(sender, changed("ada"))
    async with forwarding(redis, f"http://127.0.0.1:{port}/hook", hours) as bridge:
        await eventually(lambda: bridge.counts.retries > 100)
    assert bridge.counts.forwarded == bridge.counts.dropped == 0 and max(hours.slept) == 60


async def test_what_was_gone_before_it_could_be_sent_is_counted(redis: Redis, sender: Publisher) -> None:
    await publish(sender, *(changed("ada") for _ in range(10)))
    await redis.xtrim(KEYS.events, maxlen=4, approximate=False)
    receiver = Receiver()
    async with listening(receiver) as url, forwarding(redis, url) as bridge:
        await eventually(lambda: len(receiver.taken) == 4)
    assert bridge.counts.missed == 6


@pytest.mark.parametrize("damaged", ["junk", "of another type"])
async def test_a_place_to_go_on_from_that_is_none_is_told_with_its_key(redis: Redis, damaged: str) -> None:
    key = KEYS.forwarded("a")
    await (redis.set(key, damaged) if damaged == "junk" else redis.rpush(key, damaged))
    async with aiohttp.ClientSession() as session:
        bridge = Forwarder(redis, KEYS, Webhook(session, "http://127.0.0.1:1/", None), "a")
        with pytest.raises(RedisUnusable, match=rf"^[^\n]*{re.escape(key)} [^\n]+$"):
            await bridge.run()


async def test_a_bridge_that_ends_before_its_first_page_is_out_still_begins_at_the_start(redis: Redis, sender: Publisher) -> None:
    receiver = Receiver(lambda sequence, tries: web.Response(status=503))
    await publish(sender, changed("ada"), changed("ben"))
    async with listening(receiver) as url:
        async with forwarding(redis, url) as bridge:
            await eventually(lambda: bridge.counts.retries > 0)
        receiver.answers = lambda sequence, tries: web.Response()
        async with forwarding(redis, url, from_start=False):
            await eventually(lambda: len(receiver.taken) == 2)


async def test_a_target_that_goes_away_while_many_events_are_under_way_is_told_of_once(
    redis: Redis, sender: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    class Wavering:
        """Of three events under way, it refuses the first, then takes the second, and then refuses the third."""

        def __init__(self) -> None:
            self.tries: Counter[str | None] = Counter()

        async def send(self, event: Event) -> None:
            self.tries[event.subject] += 1
            if self.tries[event.subject] == 1:
                await getattr(self, f"first_of_{event.subject}")()

        async def first_of_ada(self) -> None:
            await eventually(lambda: len(self.tries) == 3)
            raise NotNow("away")

        async def first_of_ben(self) -> None:
            await eventually(lambda: bridge.counts.retries == 1)

        async def first_of_zoe(self) -> None:
            await eventually(lambda: bridge.counts.forwarded == 1)
            raise NotNow("away still")

    bridge = Forwarder(redis, KEYS, Wavering(), "w", from_start=True)
    await publish(sender, *map(changed, ("ada", "ben", "zoe")))
    with caplog.at_level("INFO", "bot.forward"):
        async with background(bridge.run()):
            await eventually(lambda: bridge.counts.forwarded == 3)
    assert [record.message for record in caplog.records] == [
        "the target does not accept events now: away",
        "the target accepts events again",
    ]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("99999999999", 3600),
        ("soon", 0),
        ("", 0),
        ("-3", 0),
        ("Thu, 01 Jan 1970 00:01:30 GMT", 60),
        (f"Thu, 01 Jan 1970 00:01:30 +{9**30}", 0),
    ],
)
async def test_retry_after_is_read_in_both_its_forms(header: str, seconds: float) -> None:
    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"retry-after": header})

    app = web.Application()
    app.router.add_post("/hook", busy)
    async with TestServer(app) as hooks, aiohttp.ClientSession() as session:
        with pytest.raises(NotNow, match="status 503") as later:
            await Webhook(session, str(hooks.make_url("/hook")), None, clock=lambda: 30.0).send(_event())
    assert later.value.after_seconds == seconds


def _event(participant: str = "ada", room: str = "maths") -> Event:
    data = changed(participant)
    return Event(
        id="1-1",
        source=f"/classmood/rooms/{room}",
        type=data.type,
        subject=participant,
        time="2026-01-01T08:00:00.000Z",
        sequence=1,
        epoch="1",
        dataschema=f"urn:classmood:schema:1:{data.type}",
        data=data.model_dump(mode="json"),
    )


def test_the_same_event_of_two_rooms_has_two_message_ids() -> None:
    assert message_id(_event()) == message_id(_event("ada")) != message_id(_event(room="art"))


@pytest.mark.parametrize("secret", ["hush", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64 at all, though it is long enough"])
def test_a_secret_that_cannot_sign_is_refused_without_being_told(secret: str) -> None:
    with pytest.raises(SettingsWrong, match="CLASSMOOD_WEBHOOK_SECRET must be") as wrong:
        signing_key(SecretStr(secret))
    assert secret.removeprefix("whsec_") not in str(wrong.value) or secret == "whsec_"


@contextmanager
def mosquitto(folder: Path, port: int, *lines: str) -> Iterator[None]:
    """A broker that stores retained messages in `folder`."""
    config = folder / "mosquitto.conf"
    config.write_text(
        "\n".join((f"listener {port} 127.0.0.1", "persistence true", f"persistence_location {folder}/", *lines)) + "\n"
    )
    assert MOSQUITTO is not None
    with (folder / "mosquitto.log").open("ab") as log:
        process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=log, stderr=log)
    try:
        until(lambda: _listens(port), 10)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def subscribed(port: int) -> AsyncIterator[list[aiomqtt.Message]]:
    heard: list[aiomqtt.Message] = []

    async def listen() -> None:
        async for message in client.messages:
            heard.append(message)  # noqa: PERF401  # it never ends

    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe("#", qos=1)
        async with background(listen()):
            yield heard


def topics(messages: list[aiomqtt.Message]) -> list[str]:
    return [str(message.topic).removeprefix("school/maths%2F7b/") for message in messages]


@asynccontextmanager
async def publishing(redis: Redis, port: int) -> AsyncIterator[Forwarder]:
    """Forward all of the room's events to the broker while the block runs."""
    async with Mqtt(Broker("127.0.0.1", port), "school", KEYS.room, 3600, 15) as target:
        bridge = Forwarder(redis, KEYS, target, "mqtt", from_start=True)
        async with background(bridge.run()):
            yield bridge


@pytest.fixture
def broker_folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o777)  # a broker started by root runs as its own user
    return tmp_path


@needs_mosquitto
async def test_a_broker_gets_each_event_on_its_topic_and_keeps_the_latest_until_the_participant_leaves(
    redis: Redis, sender: Publisher, broker_folder: Path
) -> None:
    port = free_port()
    with mosquitto(broker_folder, port, "allow_anonymous true"):
        async with subscribed(port) as heard:
            async with publishing(redis, port) as bridge:
                await publish(sender, ParticipantJoined(participant="a+b", name="Ada", reason="published"), changed("a+b"))
                await eventually(lambda: len(heard) == 3)
                async with subscribed(port) as late:
                    await eventually(lambda: len(late) == 2)
                await publish(sender, ParticipantLeft(participant="a+b", reason="left"))
                await eventually(lambda: bridge.counts.forwarded == 3)
                async with subscribed(port) as later:
                    await eventually(lambda: len(later) == 1)
                    await asyncio.sleep(0.05)
            await eventually(lambda: heard[-1].payload == b"offline")
    person = "participant/a%2Bb/"
    assert topics(heard)[:4] == [
        "availability",
        person + "participant.joined",
        person + "emotion.changed",
        person + "participant.left",
    ]
    assert {message.qos for message in heard} == {1}
    assert Event.model_validate_json(bytes(heard[2].payload)).data["after"] == "happy"  # type: ignore[arg-type]
    assert heard[2].properties is not None and heard[2].properties.json()["ContentType"].startswith(
        "application/cloudevents+json"
    )
    assert sorted(topics(late)) == ["availability", person + "emotion.changed"] and topics(later) == ["availability"]


@needs_mosquitto
async def test_a_broker_forgets_what_was_read_of_whoever_withdraws(redis: Redis, sender: Publisher, broker_folder: Path) -> None:
    port = free_port()
    with mosquitto(broker_folder, port, "allow_anonymous true"):
        async with publishing(redis, port) as bridge:
            await publish(sender, changed("a"), changed("b"))
            await eventually(lambda: bridge.counts.forwarded == 2)
            await publish(sender, ConsentWithdrawn(participant="a", source="page"))
            await publish(sender, CoverageChanged(participant="a", before=Coverage.OK, after=Coverage.NOT_CONSENTED))
            await eventually(lambda: bridge.counts.forwarded == 4)
            async with subscribed(port) as late:
                await eventually(lambda: len(late) == 3)
                await asyncio.sleep(0.05)
    assert sorted(topics(late)) == ["availability", "participant/a/coverage.changed", "participant/b/emotion.changed"]


@needs_mosquitto
async def test_as_many_events_under_way_as_there_may_be_are_nothing_to_warn_of(
    redis: Redis, sender: Publisher, broker_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    await publish(sender, *(changed(f"p{number % 40}") for number in range(400)))
    with mosquitto(broker_folder, port, "allow_anonymous true"):
        async with publishing(redis, port) as bridge:
            await eventually(lambda: bridge.counts.forwarded == 400)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


@needs_mosquitto
async def test_a_broker_that_restarts_loses_no_event(redis: Redis, sender: Publisher, broker_folder: Path) -> None:
    port = free_port()
    target = Mqtt(Broker("127.0.0.1", port), "school", KEYS.room, 3600, 15)
    bridge = Forwarder(redis, KEYS, target, "mqtt", from_start=True, sleep=lambda s: asyncio.sleep(min(s, 0.05)))
    with mosquitto(broker_folder, port, "allow_anonymous true"):
        await target.__aenter__()
        async with background(bridge.run()):
            await publish(sender, changed("ada"))
            await eventually(lambda: bridge.counts.forwarded == 1)
    async with background(bridge.run()):
        await publish(sender, changed("ada"), changed("ben"))
        await eventually(lambda: bridge.counts.retries > 0)
        with mosquitto(broker_folder, port, "allow_anonymous true"):
            async with subscribed(port) as heard:
                await eventually(lambda: bridge.counts.forwarded == 3)
                await eventually(lambda: len(heard) >= 3)
            await target.__aexit__(None, None, None)
    assert bridge.counts.dropped == 0


@needs_mosquitto
async def test_a_broker_that_refuses_the_password_and_one_that_is_not_there_are_one_line(broker_folder: Path) -> None:
    port = free_port()
    refuses = pytest.raises(Trouble, match=f"mqtt broker at 127.0.0.1:{port} refuses: .*[Nn]ot authorized")
    with mosquitto(broker_folder, port, "allow_anonymous false"), refuses as refused:
        await Mqtt(Broker("127.0.0.1", port, username="ada", password="s3cret"), "school", "maths", 60, 15).__aenter__()
    assert "s3cret" not in str(refused.value)
    with pytest.raises(Trouble, match=f"mqtt broker at 127.0.0.1:{port}: "):
        await Mqtt(Broker("127.0.0.1", port), "school", "maths", 60, 15).__aenter__()


@needs_mosquitto
async def test_a_broker_keeps_the_status_of_a_bot_no_longer_than_redis_does(
    redis: Redis, sender: Publisher, broker_folder: Path
) -> None:
    port = free_port()
    with mosquitto(broker_folder, port, "allow_anonymous true"):
        async with publishing(redis, port) as bridge:
            await publish(sender, status(), changed("ada"))
            await eventually(lambda: bridge.counts.forwarded == 2)
            async with subscribed(port) as late:
                await eventually(lambda: len(late) == 3)
    left = {topic: each.properties.json().get("MessageExpiryInterval", 0) for topic, each in zip(topics(late), late, strict=True)}  # type: ignore[union-attr]
    assert 0 < left["bot.status"] <= 15 < left["participant/ada/emotion.changed"] <= 3600


@needs_mosquitto
async def test_what_a_broker_does_not_allow_is_dropped_and_counted_and_said_once(
    redis: Redis, sender: Publisher, broker_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port, rights = free_port(), broker_folder / "rights"
    rights.write_text("topic read #\ntopic write school/+/participant/ada/#\n")
    # as the user who may read the rights file: started by root, it would run as its own user
    with mosquitto(broker_folder, port, "allow_anonymous true", f"acl_file {rights}", f"user {getuser()}"):
        async with subscribed(port) as heard, publishing(redis, port) as bridge:
            await publish(sender, changed("ada"), changed("ben"), changed("ben"), changed("ada"))
            await eventually(lambda: bridge.counts.forwarded + bridge.counts.dropped == 4)
            await eventually(lambda: len(heard) == 2)
    assert (bridge.counts.forwarded, bridge.counts.dropped, bridge.counts.retries) == (2, 2, 0)
    [said] = [record.getMessage() for record in caplog.records if record.name == "bot.mqtt"]
    assert said == f"mqtt broker at 127.0.0.1:{port}: our user lacks the right to publish everywhere under school/maths%2F7b"


@asynccontextmanager
async def answering_broker(code: int) -> AsyncIterator[int]:
    """The port of a broker that accepts anybody, and acknowledges every message with one reason code."""

    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind = (await reader.readexactly(1))[0] >> 4
                length, shift, more = 0, 0, 0x80
                while more & 0x80:
                    more = (await reader.readexactly(1))[0]
                    length, shift = length + ((more & 0x7F) << shift), shift + 7
                packet = await reader.readexactly(length)
                if kind == 1:  # CONNECT
                    writer.write(bytes([0x20, 3, 0, 0, 0]))
                elif kind == 3:  # PUBLISH
                    topic = 2 + int.from_bytes(packet[:2])
                    is_event = b"participant" in packet[:topic]
                    writer.write(bytes([0x40, 3, *packet[topic : topic + 2], code if is_event else 0]))
        writer.close()
        over.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        yield listener.sockets[0].getsockname()[1]
        await over.wait()  # its one client has gone by now


@pytest.mark.parametrize("code", [0x00, 0x10])
async def test_an_acknowledgement_of_success_is_one(code: int) -> None:
    async with answering_broker(code) as port, Mqtt(Broker("127.0.0.1", port), "school", "maths", 60, 15) as target:
        await target.send(_event())


@pytest.mark.parametrize(("code", "perhaps_the_event"), [(0x80, True), (0x83, True), (0x91, False), (0x97, False)])
async def test_a_broker_that_cannot_take_an_event_now_is_asked_again(code: int, perhaps_the_event: bool) -> None:
    async with answering_broker(code) as port, Mqtt(Broker("127.0.0.1", port), "school", "maths", 60, 15) as target:
        for _ in range(2):  # over the same connection
            with pytest.raises(NotNow) as later:
                await target.send(_event())
            assert later.value.perhaps_the_event is perhaps_the_event


@pytest.mark.parametrize("code", [0x87, 0x90, 0x99])
async def test_a_broker_that_will_never_take_an_event_is_not_asked_again(code: int) -> None:
    async with answering_broker(code) as port, Mqtt(Broker("127.0.0.1", port), "school", "maths", 60, 15) as target:
        with pytest.raises(Refused, match="the broker answers: "):
            await target.send(_event())


async def test_a_topic_too_long_for_mqtt_is_refused_before_anything_is_sent() -> None:
    target = Mqtt(Broker("127.0.0.1", 1), "school", "maths", 60, 15)
    with pytest.raises(Refused, match="topic"):
        await target.send(_event("ü" * 20_000))


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://host/x", "--to must be mqtt://"),
        ("http://a..b/", "--to: "),
        (f"mqtt://{'a' * 70}/", "--to: "),
        ("mqtt:///topic", "--to must be mqtt://"),
        ("https://host/\udcff", "--to is not valid text"),
        ("https://ada:s3cret@host/x", "must not hold a password"),
        ("mqtt://host:notaport/x", "the port must be a number"),
        ("mqtt://host/class/#", "has no wildcards"),
    ],
)
def test_a_target_that_cannot_be_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["forward", "maths", "--to", url]) == 2
    told = capsys.readouterr().err
    assert complaint in told and "s3cret" not in told and len(told.splitlines()) == 1


@pytest.mark.slow
async def test_the_command_forwards_until_it_is_stopped_and_tells_what_it_did(
    redis: Redis, sender: Publisher, server: RedisServer, tmp_path: Path
) -> None:
    receiver = Receiver()
    settings = {"CLASSMOOD_REDIS_URL": server.url, "CLASSMOOD_WEBHOOK_SECRET": SECRET}
    await publish(sender, changed("ada"))
    async with listening(receiver) as url:
        with started(tmp_path, "forward", KEYS.room, "--to", url, "--from-start", **settings) as command:
            await eventually(lambda: len(receiver.taken) == 1)
            await asyncio.sleep(0.1)
            command.signal(signal.SIGTERM)
            assert command.exit_code() == 0
    assert "forwarded to 127.0.0.1: 1 forwarded, 0 dropped" in command.err and SECRET not in command.err
