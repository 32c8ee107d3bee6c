"""Consent in Redis: its record, and what a withdrawal takes away, in every kind of weather."""

import asyncio
from collections.abc import Iterable

import pytest
from redis.asyncio import Redis

from bot.tasks import background
from model.faces import Emotion
from pipeline import forget as forgetting
from pipeline.audit import audit_trail
from pipeline.events import (
    AttentionRaised,
    ConsentGranted,
    ConsentWithdrawn,
    Data,
    EmotionChanged,
    Event,
    ParticipantLeft,
)
from pipeline.follow import room_state
from pipeline.forget import Forgotten, erase_withdrawn, forget
from pipeline.publish import Publisher
from tests.redis_servers import RedisServer, every_server, needs_redis, proxied, running_redis
from tests.test_publish import BASIS, KEYS, SUMMARY, joined, publisher, sample, stream

pytestmark = needs_redis

WITHDRAWN = ConsentWithdrawn(participant="p1", source="page")
GRANTED = ConsentGranted(participant="p1", source="page")
RAISED = AttentionRaised(participant="p1", reason="changed", for_seconds=90.0)
CHANGED = EmotionChanged(participant="p1", before=None, after=Emotion.SAD, since_ms=1)


async def told(sender: Publisher, *everything: Data) -> None:
    for data in everything:
        sender.publish(data)
    assert await sender.flush(5) == 0


async def audited(redis: Redis) -> list[Event]:
    return [event async for event in audit_trail(redis, KEYS)]


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.type.removeprefix("classmood.") for event in events]


@every_server
async def test_consent_and_the_basis_stand_in_the_audit_stream_as_in_the_stream(program: str) -> None:
    with running_redis(program) as server:
        async with server.client() as redis:
            sender = publisher(redis)
            await told(sender, BASIS, joined(), GRANTED, sample(), SUMMARY)
            await told(sender, WITHDRAWN)
            events = await stream(redis)
            assert kinds(await audited(redis)) == ["basis.stated", "consent.granted", "consent.withdrawn"]
            assert await audited(redis) == [event for event in events if event.sequence in (1, 3, 6)]


async def test_the_audit_stream_has_a_retention_of_its_own(redis: Redis) -> None:
    sender = publisher(redis, retention_ms=200, audit_retention_ms=60_000)
    await told(sender, BASIS, joined(), GRANTED)
    await told(sender, SUMMARY)
    await asyncio.sleep(0.3)
    assert await redis.keys("*") == [KEYS.audit]
    assert len(await audited(redis)) == 2 and 0 < await redis.pttl(KEYS.audit) <= 60_000


async def test_the_audit_stream_is_trimmed_by_age(redis: Redis) -> None:
    await redis.xadd(KEYS.audit, {"event": "old"}, id="1-1")
    sender = publisher(redis, audit_retention_ms=60_000)
    await told(sender, BASIS)
    await told(sender, GRANTED)
    assert await redis.xlen(KEYS.audit) == 2


async def test_a_hash_knows_consent_and_attention_until_they_end(redis: Redis) -> None:
    sender = publisher(redis, clock=lambda: 1_700_000_100_000)
    await told(sender, joined(), GRANTED, CHANGED, sample(), RAISED)
    [person] = (await room_state(redis, KEYS)).participants
    assert (person.consent, person.attention, person.attention_since_ms) == (True, "changed", 1_700_000_010_000)
    await told(sender, WITHDRAWN)
    [person] = (await room_state(redis, KEYS)).participants
    assert (person.present, person.consent, person.coverage, person.name) == (True, False, "not_consented", "student 1")
    assert (await redis.hgetall(KEYS.participant("p1"))).keys() == {
        *("id", "name", "present", "consent", "coverage", "updated_ms", "epoch", "sequence")
    }


async def test_who_left_needs_nobodys_attention(redis: Redis) -> None:
    await told(publisher(redis), joined(), RAISED, ParticipantLeft(participant="p1", reason="left"))
    [person] = (await room_state(redis, KEYS)).participants
    assert (person.present, person.attention, person.attention_since_ms) == (False, None, None)


async def test_what_was_read_and_not_yet_sent_does_not_go_out_after_a_withdrawal(redis: Redis) -> None:
    sender = publisher(redis)
    for data in (joined(), GRANTED, CHANGED, sample(), RAISED, sample(participant="p2"), WITHDRAWN):
        sender.publish(data)
    await sender.flush(5)
    assert kinds(await stream(redis)) == ["participant.joined", "consent.granted", "emotion.sample", "consent.withdrawn"]
    assert [event.sequence for event in await stream(redis)] == [1, 2, 3, 4]
    assert sender.dropped == 0


async def test_what_never_arrived_is_not_sent_again_after_a_withdrawal(server: RedisServer, redis: Redis) -> None:
    async def withdraw_while_redis_is_away(seconds: float) -> None:
        sender.publish(WITHDRAWN)
        await asyncio.sleep(0)

    async with proxied(server, "request") as proxy, server.client(proxy.port) as cut:
        sender = publisher(cut, sleep=withdraw_while_redis_is_away)
        await told(sender, joined(), GRANTED, sample())
    assert kinds(await stream(redis)) == ["participant.joined", "consent.granted", "consent.withdrawn"]


async def test_a_withdrawal_erases_what_the_stream_holds_from_before_it_and_only_that(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "PAGE", 3)
    sender = publisher(redis, withdrawal_erases=True)
    await told(sender, joined(), joined(2), GRANTED, CHANGED, sample(), sample(participant="p2"), SUMMARY, RAISED)
    await told(sender, WITHDRAWN, sample(participant="p2"))
    await told(sender, SUMMARY)
    assert [event.sequence for event in await stream(redis)] == [2, 6, 7, 9, 10, 11]
    assert kinds(await audited(redis)) == ["consent.granted", "consent.withdrawn"]
    await told(sender, GRANTED, sample(), WITHDRAWN)
    assert [event.sequence for event in await stream(redis)] == [2, 6, 7, 9, 10, 11, 13]


async def test_nothing_is_erased_that_was_read_after_they_agreed_again(redis: Redis) -> None:
    sender = publisher(redis)
    await told(sender, joined(), GRANTED, sample())
    await told(sender, WITHDRAWN, GRANTED, sample())
    assert await erase_withdrawn(redis, KEYS, "p1") == 3
    assert kinds(await stream(redis)) == ["consent.withdrawn", "consent.granted", "emotion.sample"]
    assert await erase_withdrawn(redis, KEYS, "p1") == 0
    assert await erase_withdrawn(redis, KEYS, "p2") == 0


async def test_without_the_setting_the_stream_keeps_what_it_has(redis: Redis) -> None:
    sender = publisher(redis, withdrawal_erases=False)
    await told(sender, joined(), GRANTED, sample())
    await told(sender, WITHDRAWN)
    assert len(await stream(redis)) == 4


async def test_a_bot_that_died_before_it_erased_does_so_at_its_next_start(redis: Redis) -> None:
    former = publisher(redis, epoch="1")
    await told(former, joined(), joined(2), GRANTED, sample(), sample(participant="p2"))
    await told(former, WITHDRAWN)
    sender = publisher(redis, epoch="2", withdrawal_erases=True)
    await sender.wait_until_reachable()
    await told(sender)
    left = [(event.subject, event.type) for event in await stream(redis) if event.epoch == "1"]
    assert left == [(who, f"classmood.{kind}") for who, kind in (("p2", "participant.joined"), ("p2", "emotion.sample"))] + [
        ("p1", "classmood.consent.withdrawn")
    ]


async def test_an_outage_while_it_erases_is_waited_out(server: RedisServer, redis: Redis) -> None:
    sender = publisher(redis, withdrawal_erases=True)
    await told(sender, joined(), GRANTED, *[sample()] * 20)
    async with background(sender.run()):
        server.stall()
        sender.publish(WITHDRAWN)
        await asyncio.sleep(0.1)
        server.go_on()
        async with asyncio.timeout(10):
            while kinds(await stream(redis)) != ["consent.withdrawn"]:
                await asyncio.sleep(0.02)


async def test_who_is_forgotten_leaves_no_record_of_consent_unless_it_is_to_be_kept(redis: Redis) -> None:
    other = ConsentGranted(participant="p2", source="page")
    await told(publisher(redis), BASIS, joined(), GRANTED, other, WITHDRAWN)
    kept = await forget(redis, KEYS, "p1", keep_consent=True)
    assert (kept.entries, kept.audit, len(await audited(redis))) == (3, 0, 4)
    assert await forget(redis, KEYS, "p1") == Forgotten(0, 0, 0, 2, False, audit=2)
    assert [event.subject for event in await audited(redis)] == [None, "p2"]


async def test_a_redis_that_lost_everything_is_told_of_basis_and_consent_again(redis: Redis) -> None:
    sender = publisher(redis)
    await told(sender, BASIS, joined(), GRANTED, sample())
    await redis.flushall()
    await told(sender, SUMMARY)
    assert kinds(await audited(redis)) == ["basis.stated", "consent.granted"]
    [person] = (await room_state(redis, KEYS)).participants
    assert (person.consent, person.emotion) == (True, "happy")
