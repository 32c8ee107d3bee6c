"""Consent in Redis: its record, and what a withdrawal removes, whatever goes wrong."""

import asyncio
from collections.abc import Iterable

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from bot.redis_client import connect
from bot.settings import Settings
from bot.tasks import background
from model.faces import Emotion
from pipeline import forget as forgetting
from pipeline.audit import audit_trail
from pipeline.events import (
    AttentionCleared,
    AttentionRaised,
    ConsentGranted,
    ConsentWithdrawn,
    Data,
    EmotionChanged,
    Event,
    ParticipantLeft,
)
from pipeline.follow import room_state
from pipeline.forget import Forgotten, Withdrawal, forget
from pipeline.keys import Keys
from pipeline.publish import BATCH, Publisher
from tests.redis_servers import SERVER, RedisServer, every_server, needs_redis, proxied, running_redis
from tests.test_publish import BASIS, KEYS, SUMMARY, joined, publisher, sample, stream

pytestmark = needs_redis

WITHDRAWN = ConsentWithdrawn(participant="p1", source="page")
GRANTED = ConsentGranted(participant="p1", source="page")
RAISED = AttentionRaised(participant="p1", reason="changed", for_seconds=90.0)
CLEARED = AttentionCleared(participant="p1", reason="changed", for_seconds=95.0)
LEFT = ParticipantLeft(participant="p1", reason="left")
CHANGED = EmotionChanged(participant="p1", before=None, after=Emotion.SAD, since_ms=1)


async def told(sender: Publisher, *everything: Data) -> None:
    for data in everything:
        sender.publish(data)
    assert await sender.flush(5) == 0


async def audited(redis: Redis) -> list[Event]:
    return [event async for event in audit_trail(redis, KEYS)]


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.type.removeprefix("classmood.") for event in events]


async def erase_withdrawn(redis: Redis, keys: Keys, participant_id: str) -> int:
    """Carry out a `Withdrawal` to its end; returns how many entries were erased."""
    withdrawal = Withdrawal(keys, participant_id)
    while not withdrawal.is_done:
        await withdrawal.erase_page(redis)
    return withdrawal.erased


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


async def test_what_was_raised_and_heard_of_is_cleared_before_a_withdrawal(redis: Redis) -> None:
    sender = publisher(redis)
    await told(sender, joined(), GRANTED, RAISED)
    await told(sender, CHANGED, CLEARED, WITHDRAWN)
    assert kinds(await stream(redis))[3:] == ["attention.cleared", "consent.withdrawn"]


async def test_what_nobody_heard_of_is_not_cleared_and_what_was_heard_of_before_it_is(redis: Redis) -> None:
    sender = publisher(redis)
    await told(sender, joined(), GRANTED, RAISED)
    await told(sender, CLEARED, RAISED, CLEARED, WITHDRAWN)
    assert kinds(await stream(redis))[3:] == ["attention.cleared", "consent.withdrawn"]


async def test_a_redis_that_lost_everything_is_not_told_again_of_what_was_read_of_somebody_who_withdraws_meanwhile(
    redis: Redis,
) -> None:
    sender = publisher(redis)
    await told(sender, joined(), GRANTED, CHANGED, sample())
    await redis.flushall()
    await told(sender, *[SUMMARY] * BATCH, WITHDRAWN)
    about_them = [event for event in await stream(redis) if event.subject]
    assert kinds(about_them) == ["participant.joined", "consent.granted", "consent.withdrawn"]


async def test_a_page_whose_erasure_fails_is_erased_at_the_next_try_and_nothing_newer_than_the_withdrawal(
    server: RedisServer, redis: Redis
) -> None:
    sender = publisher(redis)
    await told(sender, joined(), GRANTED, sample())
    await told(sender, WITHDRAWN, GRANTED, sample())
    await redis.execute_command("ACL", "SETUSER", "weak", "on", ">secret", "~*", "&*", "+@all", "-xdel")
    withdrawal, url = Withdrawal(KEYS, "p1"), f"redis://weak:secret@127.0.0.1:{server.port}/0"
    async with connect(Settings(redis_url=url, _env_file=None)) as weak:  # type: ignore[arg-type, call-arg]
        with pytest.raises(NoPermissionError):
            await withdrawal.erase_page(weak)
    await withdrawal.erase_page(redis)
    assert withdrawal.is_done and withdrawal.erased == 3
    assert kinds(await stream(redis)) == ["consent.withdrawn", "consent.granted", "emotion.sample"]


async def gone_back(server: RedisServer, redis: Redis, sender: Publisher, *since: Data) -> None:
    """Redis is told these data and then loses them, and the publisher notices."""
    await redis.save()
    for data in since:
        await told(sender, data)
    server.kill()
    server.start()
    await told(sender, SUMMARY)


async def test_a_redis_that_goes_back_learns_again_who_left_and_who_withdrew() -> None:
    with running_redis(SERVER) as server:
        async with server.client() as redis:
            sender = publisher(redis, withdrawal_erases=True)
            await told(sender, *map(joined, (1, 2, 3)), GRANTED, CHANGED, sample())
            left = ParticipantLeft(participant="p2", reason="left")
            await gone_back(server, redis, sender, WITHDRAWN, LEFT, left)
            state = await room_state(redis, KEYS)
            assert {each.id: (each.present, each.consent, each.emotion) for each in state.participants} == {
                "p1": (False, False, None),
                "p2": (False, None, None),
                "p3": (True, None, None),
            }
            events = await stream(redis)
            assert kinds(event for event in events if event.subject == "p1") == ["consent.withdrawn", "participant.left"]
            assert [event.typed() for event in events if event.subject == "p2"][-1] == left


async def test_a_redis_that_goes_back_behind_a_withdrawal_forgets_what_was_read_before_it_though_they_agreed_again() -> None:
    with running_redis(SERVER) as server:
        async with server.client() as redis:
            sender = publisher(redis, withdrawal_erases=True)
            await told(sender, joined(), GRANTED, sample())
            await gone_back(server, redis, sender, WITHDRAWN, GRANTED)
            [person] = (await room_state(redis, KEYS)).participants
            assert (person.present, person.consent, person.emotion) == (True, True, None)
            about_them = [event for event in await stream(redis) if event.subject]
            assert kinds(about_them) == ["consent.withdrawn", "participant.joined", "consent.granted"]


async def test_a_redis_that_goes_back_behind_an_erasure_erases_again() -> None:
    with running_redis(SERVER) as server:
        async with server.client() as redis:
            sender = publisher(redis, withdrawal_erases=False)
            await told(sender, joined(), GRANTED, sample(), joined(2))
            await told(sender, WITHDRAWN)
            erasing = publisher(redis, epoch="2", withdrawal_erases=True)
            await told(erasing, SUMMARY)
            await gone_back(server, redis, erasing, SUMMARY)
            assert "emotion.sample" not in kinds(await stream(redis))


async def test_a_redis_that_goes_back_to_a_former_run_learns_again_that_its_people_are_gone() -> None:
    with running_redis(SERVER) as server:
        async with server.client() as redis:
            await told(publisher(redis, epoch="1"), joined())
            sender = publisher(redis, epoch="2")
            await gone_back(server, redis, sender, LEFT, joined(2))
            assert [each.id for each in (await room_state(redis, KEYS)).present] == ["p2"]


async def test_a_redis_that_goes_back_is_told_of_nobody_at_aggregate() -> None:
    with running_redis(SERVER) as server:
        async with server.client() as redis:
            await told(publisher(redis, epoch="1"), joined())
            sender = publisher(redis, epoch="2", level="aggregate")
            await redis.save()
            await sender.wait_until_reachable()
            await told(sender, SUMMARY)
            server.kill()
            server.start()
            await told(sender, SUMMARY)
            assert (await room_state(redis, KEYS)).participants == ()
            assert {event.subject for event in await stream(redis) if event.epoch == "2"} == {None}
