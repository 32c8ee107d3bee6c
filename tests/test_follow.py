"""What a subscriber reads back from a real Redis, including what others may have left there."""

import asyncio
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from model.faces import EMOTIONS
from pipeline.coverage import Coverage
from pipeline.events import BotStatus, EmotionSample, Event, FaceBox, ParticipantJoined, ParticipantLeft, Summary
from pipeline.follow import PAGE, entries_since, events_since, room_state, rooms
from pipeline.keys import LONGEST_ROOM_BYTES, Keys, room_of
from pipeline.publish import Publisher
from tests.redis_servers import every_server, needs_redis, running_redis

KEYS = Keys("classmood", "algebra")

pytestmark = needs_redis


def publisher(redis: Redis, room: str = KEYS.room, epoch: str = "1") -> Publisher:
    keys = replace(KEYS, room=room)
    return Publisher(redis, keys, epoch, outbox_limit=5000, retention_ms=60_000, status_ttl_ms=5000, retry_seconds=0.1)


def joined(participant: str, name: str = "") -> ParticipantJoined:
    return ParticipantJoined(participant=participant, name=name or participant, reason="published")


@given(st.text(min_size=1, max_size=LONGEST_ROOM_BYTES // 4))
def test_any_room_name_comes_back_from_its_keys_and_keeps_its_hash_tag_whole(name: str) -> None:
    keys = Keys("classmood", name)
    assert room_of(keys.bot, "classmood") == name
    assert room_of(keys.participants, "classmood") == name
    assert room_of(keys.events, "classmood") is None
    tag = keys.events[keys.events.index("{") + 1 : keys.events.index("}")]
    assert all(key.startswith(f"classmood:{{{tag}}}:") for key in (keys.live, keys.participant("}{"), keys.summary))
    assert not set(tag) & set(string.whitespace + "{}")


def test_a_room_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="without a name"):
        Keys("classmood", "")


async def test_a_room_that_nobody_published_is_empty_and_not_live(redis: Redis) -> None:
    state = await room_state(redis, KEYS)
    assert (state.participants, state.summary, state.bot, state.broken) == ((), None, None, 0)


@every_server
async def test_the_state_holds_everybody_in_the_order_of_their_names(program: str) -> None:
    with running_redis(program) as server:
        async with server.client() as redis:
            sender = publisher(redis)
            for data in (
                joined("1", "zoe"),
                joined("2", "Ada"),
                joined("3", "ben"),
                ParticipantLeft(participant="3", reason="left"),
            ):
                sender.publish(data)
            sender.publish(
                Summary(
                    participants=2,
                    scored=2,
                    coverage={Coverage.OK: 2},
                    shares=dict.fromkeys(EMOTIONS, 0.1),
                    valence=-0.25,
                    withheld=False,
                )
            )
            await sender.flush(5)
            state = await room_state(redis, KEYS)
    assert [(person.name, person.present) for person in state.participants] == [("Ada", True), ("ben", False), ("zoe", True)]
    assert [person.id for person in state.present] == ["2", "1"]
    assert state.summary is not None
    assert (state.summary.coverage, state.summary.valence, state.summary.withheld) == ({Coverage.OK: 2}, -0.25, False)
    assert state.summary.shares == dict.fromkeys(EMOTIONS, 0.1)


async def test_what_does_not_fit_its_key_is_left_out_and_counted(redis: Redis) -> None:
    sender = publisher(redis)
    sender.publish(joined("ada"))
    await sender.flush(5)
    await redis.zadd(KEYS.participants, {"expired": 1, "foreign": 2, "wild": 3})
    await redis.hset(KEYS.participant("foreign"), mapping={"colour": "blue"})
    await redis.hset(KEYS.participant("wild"), mapping={**await redis.hgetall(KEYS.participant("ada")), "face": "{"})
    await redis.hset(KEYS.summary, "participants", b"\xff\xfe")
    await redis.set(KEYS.bot, "alive")
    state = await room_state(redis, KEYS)
    assert [person.id for person in state.participants] == ["ada"]
    assert (state.summary, state.bot, state.broken) == (None, None, 4)


@every_server
async def test_a_key_of_another_type_is_one_that_does_not_fit_and_blinds_nobody(program: str) -> None:
    with running_redis(program) as server:
        async with server.client() as redis:
            sender = publisher(redis)
            for who in ("ada", "ben"):
                sender.publish(joined(who))
            await sender.flush(5)
            await redis.delete(KEYS.participant("ben"))
            await redis.sadd(KEYS.participant("ben"), "y")
            await redis.set(KEYS.summary, "x")
            await redis.sadd(KEYS.bot, "y")
            state = await room_state(redis, KEYS)
            assert [person.id for person in state.participants] == ["ada"]
            assert set(state.broken_keys) == {KEYS.participant("ben"), KEYS.summary, KEYS.bot}
            await redis.set(KEYS.participants, "x")
            state = await room_state(redis, KEYS)
    assert state.participants == () and set(state.broken_keys) == {KEYS.participants, KEYS.summary, KEYS.bot}


async def test_a_field_from_a_later_version_is_ignored(redis: Redis) -> None:
    sender = publisher(redis)
    sender.publish(joined("ada"))
    await sender.flush(5)
    await redis.hset(KEYS.participant("ada"), "gaze", "left")
    assert len((await room_state(redis, KEYS)).participants) == 1


async def test_rooms_are_those_with_a_bot_or_participants(redis: Redis) -> None:
    for name in ("physics", "a {b}: c", "Ünï"):
        sender = publisher(redis, name)
        sender.publish(joined("ada"))
        await sender.flush(5)
    await redis.set(Keys("classmood", "empty but live").bot, "{}")
    await redis.mset({"classmood:x": 1, "other:{y}:bot": 1, "classmood:{z}:events": 1, "classmood:{}:bot": 1})
    assert await rooms(redis, "classmood") == ["a {b}: c", "empty but live", "physics", "Ünï"]


async def test_events_come_in_order_over_many_pages(redis: Redis) -> None:
    sender = publisher(redis)
    for number in range(PAGE + 1):
        sender.publish(joined(str(number)))
    await sender.flush(5)
    assert [event.sequence async for event in events_since(redis, KEYS)] == list(range(1, PAGE + 2))


async def test_reading_goes_on_behind_the_last_entry(redis: Redis) -> None:
    sender = publisher(redis)
    sender.publish(joined("ada"))
    sender.publish(joined("ben"))
    await sender.flush(5)
    (first, _), (last, _) = [entry async for entry in entries_since(redis, KEYS)]
    assert [event.subject async for event in events_since(redis, KEYS, after=first)] == ["ben"]
    assert [event async for event in events_since(redis, KEYS, after=last)] == []


async def test_entries_that_are_no_events_are_skipped_and_named(redis: Redis) -> None:
    sender = publisher(redis)
    sender.publish(joined("ada"))
    await sender.flush(5)
    foreign: list[dict[str | bytes, str | bytes]] = [{"event": "{"}, {"note": "hello"}, {"event": b"\xff"}, {"event": "{}"}]
    written = [await redis.xadd(KEYS.events, fields) for fields in foreign]  # type: ignore[arg-type]
    sender.publish(joined("ben"))
    await sender.flush(5)
    broken: list[str] = []
    assert [event.subject async for event in events_since(redis, KEYS, broken=broken.append)] == ["ada", "ben"]
    assert broken == written


async def test_a_sample_comes_back_as_it_was_published(redis: Redis) -> None:
    sample = EmotionSample(
        participant="ada",
        at_ms=1,
        emotion="unknown",
        confidence=0.3,
        scores=dict.fromkeys(EMOTIONS, 0.14),
        face=FaceBox(x=0, y=0, width=1, height=1),
        faces=1,
        coverage=Coverage.OK,
        model="cnn@1",
    )
    sender = publisher(redis)
    sender.publish(sample)
    await sender.flush(5)
    [event] = [event async for event in events_since(redis, KEYS)]
    assert event.typed() == sample
    assert Event.model_validate_json(event.to_json()) == event


async def test_the_bot_is_live_until_its_status_expires(redis: Redis) -> None:
    status = BotStatus(
        state="running",
        participants=0,
        looks_per_second=0,
        frames_received=0,
        looks=0,
        frames_skipped=0,
        frames_dropped=0,
        events_dropped=7,
        tracks_failed=0,
    )
    sender = publisher(redis)
    sender.publish(status)
    await sender.flush(5)
    assert (await room_state(redis, KEYS)).bot == status
    await redis.pexpire(KEYS.bot, 1)
    await asyncio.sleep(0.01)
    assert (await room_state(redis, KEYS)).bot is None
