"""Events as MQTT 5 messages: CloudEvents in the structured mode of their MQTT binding.

A room has these topics under the chosen base topic, with its name and the participants' ids percent-encoded:

    BASE/ROOM/availability     of this bridge: `online`, or `offline` at its end or by its last will; retained
    BASE/ROOM/summary, BASE/ROOM/bot.status                                          retained
    BASE/ROOM/participant/ID/emotion.sample, emotion.changed, coverage.changed       retained
    BASE/ROOM/participant/ID/participant.joined, participant.left, and other events about them

A retained message holds the latest event of its kind for later subscribers. Those about a participant are cleared when the
participant leaves, and those with their emotions also when they withdraw their consent. All of them expire after the retention
time, and the bot's status three heartbeats after it was sent. Every message is sent with QoS 1, at least once. If the broker
acknowledges one with a failure, it is sent again where that may help, and dropped where it cannot.
Sources: https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html and
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/mqtt-protocol-binding.md
"""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bot.errors import Trouble
from bot.forward import LANES, NotNow, Refused
from pipeline.events import Event

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
LONGEST_TOPIC_BYTES = 65_535

_PREFIX = "classmood."
_RETAINED = ("summary", "bot.status", "emotion.sample", "emotion.changed", "coverage.changed")
_CLEARED = {
    "participant.left": ("emotion.sample", "emotion.changed", "coverage.changed"),
    "consent.withdrawn": ("emotion.sample", "emotion.changed"),
}
"""The kinds of a participant's retained messages that are cleared after each kind of event."""

_REFUSALS = {129, 130, 132, 133, 134, 135, 138, 140, 144, 153, 157}
"""Reason codes of CONNACK for which waiting does not help: MQTT 5.0, section 3.2.2.2."""

_NOT_AUTHORIZED = 0x87
_NEVER = {_NOT_AUTHORIZED, 0x90, 0x99}
"""Reason codes of PUBACK for which another try does not help: no right, topic name, payload. MQTT 5.0, section 3.4.2.1."""

_BUSY = {0x91, 0x97}
"""Reason codes of PUBACK that are not due to the message: packet identifier in use, quota exceeded."""


class _NotTaken(aiomqtt.MqttError):
    """The broker acknowledged a message with the code of a failure."""

    def __init__(self, code: ReasonCode) -> None:
        super().__init__(f"the broker answers: {code}")
        self.code: int = code.value


class _Client(aiomqtt.Client):
    """A client whose `publish` raises _NotTaken for a failure; aiomqtt's own takes every acknowledgement for a success."""

    @cached_property
    def _not_taken(self) -> dict[int, ReasonCode]:
        return {}

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties) -> None:
        if reason_code.is_failure and mid in self._pending_publishes:
            self._not_taken[mid] = reason_code
        super()._on_publish(client, userdata, mid, reason_code, properties)

    @contextmanager
    def _pending_call(self, mid: int, value: Any, pending_dict: dict[int, Any]) -> Iterator[None]:
        try:
            with super()._pending_call(mid, value, pending_dict):
                yield
        finally:
            code = self._not_taken.pop(mid, None)
        if code is not None:
            raise _NotTaken(code)


@dataclass(frozen=True, slots=True)
class Broker:
    """The address of a broker, and our credentials there."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None


class Mqtt:
    """Publishes a room's events to a broker, used as `async with`; entering raises Trouble if the broker refuses or is away.

    Once entered, it reconnects for the next event after a connection was lost. `retain_seconds` is how long the broker keeps a
    message, and `status_seconds` how long it keeps the bot's status: as in Redis, no status means that the bot is gone.
    """

    def __init__(self, broker: Broker, base: str, room: str, retain_seconds: int, status_seconds: int) -> None:
        self._broker = broker
        self._room_topic = f"{base}/{_level(room)}"
        self._retain_seconds = retain_seconds
        self._status_seconds = status_seconds
        self._client: _Client | None = None
        self._lacks_a_right = False
        # the same for all connections: the broker then ends the old one when the next begins, and its last will cannot come later
        self._identifier = f"classmood-{secrets.token_hex(8)}"
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        try:
            await self._connected()
        except NotNow as error:
            raise Trouble(f"mqtt broker at {self._broker.host}:{self._broker.port}: {error}") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            with suppress(_NotTaken):
                await client.publish(self._availability, "offline", qos=1, retain=True, timeout=ANSWER_SECONDS)
            await client.__aexit__(None, None, None)
        except aiomqtt.MqttError:  # then the last will says `offline`
            return

    async def send(self, event: Event) -> None:
        """Return once the broker has accepted the event; raises bot.forward.NotNow if it does not, Refused if it never will."""
        topic = self.topic(event)
        if len(topic.encode()) > LONGEST_TOPIC_BYTES:
            raise Refused("its topic would be longer than MQTT allows")
        client = await self._connected()
        try:
            seconds = self._status_seconds if _kind(event) == "bot.status" else self._retain_seconds
            await self._publish(client, topic, event.to_json().encode(), seconds, retain=_kind(event) in _RETAINED)
            for kind in _CLEARED.get(_kind(event), ()):
                await self._publish(client, f"{self._person(event)}/{kind}", b"", 0, retain=True)
        except _NotTaken as error:
            raise self._answered(error) from None
        except aiomqtt.MqttError as error:
            await self._lose(client)
            raise NotNow(str(error)) from None

    def _answered(self, error: _NotTaken) -> NotNow | Refused:
        """The error to raise for the broker's answer; logs once if our user lacks a right."""
        if error.code == _NOT_AUTHORIZED and not self._lacks_a_right:
            self._lacks_a_right = True
            where = f"mqtt broker at {self._broker.host}:{self._broker.port}"
            logger.error("%s: our user lacks the right to publish everywhere under %s", where, self._room_topic)
        if error.code in _NEVER:
            return Refused(str(error))
        return NotNow(str(error), perhaps_the_event=error.code not in _BUSY)

    def topic(self, event: Event) -> str:
        """The topic to which an event is published."""
        return f"{self._person(event) if event.subject is not None else self._room_topic}/{_level(_kind(event))}"

    def _person(self, event: Event) -> str:
        return f"{self._room_topic}/participant/{_level(event.subject or '')}"

    @property
    def _availability(self) -> str:
        return f"{self._room_topic}/availability"

    async def _publish(self, client: _Client, topic: str, payload: bytes, seconds: int, *, retain: bool) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # of paho
        if payload:
            properties.ContentType = "application/cloudevents+json; charset=utf-8"
            properties.MessageExpiryInterval = seconds
        await client.publish(topic, payload, qos=1, retain=retain, properties=properties, timeout=ANSWER_SECONDS)

    async def _connected(self) -> _Client:
        async with self._one_at_a_time:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> _Client:
        broker = self._broker
        client = _Client(
            broker.host,
            broker.port,
            identifier=self._identifier,
            username=broker.username,
            password=broker.password,
            protocol=aiomqtt.ProtocolVersion.V5,
            will=aiomqtt.Will(self._availability, "offline", qos=1, retain=True),
            tls_context=ssl.create_default_context() if broker.tls else None,
            timeout=ANSWER_SECONDS,
        )
        client.pending_calls_threshold = 2 * LANES  # above this, aiomqtt warns of each call that waits for its answer
        try:
            await client.__aenter__()
            await client.publish(self._availability, "online", qos=1, retain=True)
        except _NotTaken as error:
            self._answered(error)  # events may be accepted even so
        except aiomqtt.MqttCodeError as error:
            await _drop(client)
            if getattr(error.rc, "value", error.rc) in _REFUSALS:
                raise Trouble(f"mqtt broker at {broker.host}:{broker.port} refuses: {error}") from None
            raise NotNow(str(error)) from None
        except aiomqtt.MqttError as error:
            await _drop(client)
            raise NotNow(str(error)) from None
        return client

    async def _lose(self, client: _Client) -> None:
        async with self._one_at_a_time:
            if self._client is not client:  # another lane has dropped it already
                return
            self._client = None
        await _drop(client)


async def _drop(client: _Client) -> None:
    with suppress(aiomqtt.MqttError):  # it was lost already, or never there
        await client.__aexit__(None, None, None)


def _kind(event: Event) -> str:
    return event.type.removeprefix(_PREFIX)


def _level(text: str) -> str:
    """Any text as one level of a topic, percent-encoded: without slashes, wildcards or control characters."""
    return quote(text, safe=" ")
