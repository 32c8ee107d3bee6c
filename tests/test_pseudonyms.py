"""Pseudonyms: the same for one person throughout a class, and meaningless to everybody afterwards."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.app import Bot, assemble, attend
from bot.pseudonym_words import ANIMALS, COLOURS, names
from bot.pseudonyms import EMPTY_MS, MOST_REMEMBERED, PseudonymousRoom, Pseudonyms, pseudonymous
from bot.rooms import Arrival, ConsentChanged, Departure, Happening, Participant, Unseen
from bot.settings import read_settings
from bot.tasks import background
from model.faces import Emotion
from pipeline.analysis import Analyst
from pipeline.coverage import Coverage
from pipeline.follow import events_since, room_state
from pipeline.forget import forget
from pipeline.keys import Keys
from pipeline.mood import Mood
from tests.fakes import SOMEWHERE, AlwaysOf, Clock, FaceEverywhere, LostOnce, ScriptedRoom, SilentTrack
from tests.redis_servers import needs_redis
from tests.test_publish import until

HOSTILE = "<script>Ada\u202e Lovelace\n"
KEYS = Keys("classmood", "algebra")


def came(room_id: str, name: str = "Ada") -> Unseen:
    return Unseen(Participant(room_id, name, consent=True), Coverage.CAMERA_OFF)


class Behind:
    """What a bot hears of a room through pseudonyms."""

    def __init__(self, room: ScriptedRoom, clock: Clock) -> None:
        self.room = PseudonymousRoom(room, clock)
        self._scripted = room

    async def hears(self, *happenings: Happening) -> list[Happening]:
        """What happenings become, in one stay in the room."""
        for happening in happenings:
            self._scripted.happen(happening)
        self._scripted.close()
        return [happening async for happening in self.room.happenings()]


def behind(clock: Clock | None = None) -> tuple[Behind, ScriptedRoom]:
    room = ScriptedRoom()
    return Behind(room, clock or Clock()), room


def who(happening: Happening) -> Participant:
    assert isinstance(happening, Arrival | Unseen)
    return happening.participant


def test_a_person_is_the_same_all_class_long_and_somebody_else_in_the_next() -> None:
    first, second = Pseudonyms(), Pseudonyms()
    assert first.of("ada") == first.of("ada")
    assert first.of("ada").id != first.of("ben").id and first.of("ada").name != first.of("ben").name
    assert first.of("ada").id != second.of("ada").id


def test_an_id_cannot_be_computed_from_what_is_known_of_a_person() -> None:
    alias = Pseudonyms().of("ada")
    guesses = [
        hashlib.sha256(b"ada").hexdigest(),
        *(hmac.digest(key, b"ada", "sha256").hex() for key in (b"", b"classmood", b"algebra")),
    ]
    assert not any(guess.startswith(alias.id) for guess in guesses)


def test_nothing_that_is_printed_of_pseudonyms_holds_the_key() -> None:
    pseudonyms = Pseudonyms()
    key = pseudonyms._key
    for text in (repr(pseudonyms), str(pseudonyms), repr(PseudonymousRoom(ScriptedRoom()))):
        assert key.hex() not in text and repr(key) not in text


def test_names_are_two_words_that_exist_once() -> None:
    every = list(names(7))
    assert len(set(every)) == len(every) == len(COLOURS) * len(ANIMALS)
    assert all(len(name.split()) == 2 for name in every)


@settings(max_examples=20)
@given(st.sets(st.text(max_size=20), min_size=2, max_size=60))
def test_two_people_never_share_an_id_or_a_name(room_ids: set[str]) -> None:
    pseudonyms = Pseudonyms()
    aliases = [pseudonyms.of(room_id) for room_id in room_ids]
    assert len({alias.id for alias in aliases}) == len({alias.name for alias in aliases}) == len(room_ids)


def test_strangers_who_come_and_go_all_day_take_no_memory_without_end() -> None:
    pseudonyms = Pseudonyms()
    ada = pseudonyms.of("ada")
    for number in range(MOST_REMEMBERED + 50):
        pseudonyms.of(f"stranger {number}")
    assert len(pseudonyms._aliases) == len(pseudonyms._taken) == MOST_REMEMBERED
    assert pseudonyms.of("ada").id == ada.id


async def test_every_happening_is_told_of_the_alias_and_keeps_the_rest() -> None:
    these, room = behind()
    track = SilentTrack()
    heard = await these.hears(
        Arrival(Participant("7", HOSTILE, consent=True), track), ConsentChanged("7", True, "page"), Departure("7", "left")
    )
    alias = who(heard[0])
    assert heard == [Arrival(alias, track), ConsentChanged(alias.id, True, "page"), Departure(alias.id, "left")]
    assert alias.consent and alias.id != "7" and "Ada" not in alias.name
    assert (these.room.name, these.room.inside, these.room.over) == (room.name, room.inside, True)


async def test_what_the_bot_says_of_an_alias_reaches_the_person_and_nobody_once_they_left() -> None:
    room = ScriptedRoom()
    masked = PseudonymousRoom(room, Clock())
    room.happen(came("7"))
    room.happen(Departure("7", "left"))
    async with aclosing(masked.happenings()) as happenings:  # type: ignore[type-var]  # it is a generator
        alias = who(await anext(happenings))
        masked.stalled(alias.id)
        masked.show(Mood(alias.id, 1, Coverage.OK, Emotion.HAPPY, 0.9))
        masked.drop(alias.id, "stalled")
        await anext(happenings)
        masked.stalled(alias.id)
        masked.drop(alias.id, "stalled")
        masked.drop("7", "stalled")
    assert room.mended == ["7"] and room.dropped == [("7", "stalled")]
    assert [mood.participant_id for mood in room.shown] == ["7"]


async def test_who_comes_again_within_the_class_is_known_and_after_an_empty_room_is_not() -> None:
    clock = Clock()
    these, _ = behind(clock)
    [before, *_] = await these.hears(came("7"), Departure("7", "left"))
    clock.pass_seconds(EMPTY_MS / 1000 - 1)
    [again, *_] = await these.hears(came("7"), Departure("7", "left"))
    clock.pass_seconds(EMPTY_MS / 1000)
    [next_class] = await these.hears(came("7"))
    assert who(again) == who(before)
    assert who(next_class).id != who(before).id


async def test_a_long_class_is_one_class() -> None:
    clock = Clock()
    these, room = behind(clock)
    room.happen(came("7"))
    async with aclosing(these.room.happenings()) as happenings:  # type: ignore[type-var]  # it is a generator
        first = who(await anext(happenings))
        clock.pass_seconds(3 * 3600)
        room.happen(came("7"))
        assert who(await anext(happenings)) == first


def test_a_room_is_masked_once() -> None:
    masked = pseudonymous(ScriptedRoom())
    assert pseudonymous(masked) is masked


@asynccontextmanager
async def at_work(room: ScriptedRoom, redis: Redis, **values: object) -> AsyncIterator[Bot]:
    chosen = read_settings(**values)
    bot = assemble(room, redis, Analyst(FaceEverywhere(SOMEWHERE), AlwaysOf(Emotion.HAPPY)), chosen)
    async with background(bot.publisher.run(), bot.attendance.run()):
        yield bot


async def everything(redis: Redis) -> str:
    """Every key of a Redis, with everything that it holds."""
    kinds: dict[str, Callable[[str], Awaitable[object]]] = {
        "stream": redis.xrange,
        "hash": redis.hgetall,
        "string": redis.get,
        "zset": lambda key: redis.zrange(key, 0, -1),
    }
    return json.dumps(
        [[key, await kinds[str(await redis.type(key))](key)] async for key in redis.scan_iter()], ensure_ascii=False
    )


@needs_redis
async def test_neither_ids_nor_names_of_the_room_reach_redis_and_an_alias_can_be_forgotten(redis: Redis) -> None:
    room = ScriptedRoom()
    async with redis.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(KEYS.live)
        async with at_work(room, redis) as bot:
            room.happen(came("lovelace@school.example", HOSTILE))
            await until(lambda: bot.publisher.published["classmood.coverage.changed"] == 1)
        heard = [await channel.get_message(timeout=1) for _ in range(3)]  # the confirmation of the subscription is not among them
        [person] = (await room_state(redis, KEYS)).participants
    assert len([message for message in heard if message]) == 2
    written = await everything(redis) + json.dumps(heard, ensure_ascii=False)
    assert person.id in written and person.name in written
    for secret in ("lovelace", "school", "Ada", "script", "\u202e", "\\u202e"):
        assert secret not in written
    assert (await forget(redis, KEYS, person.id)).anything
    assert person.id not in await everything(redis)


@needs_redis
async def test_with_names_the_room_is_told_of_as_it_is(redis: Redis) -> None:
    room = ScriptedRoom()
    async with at_work(room, redis, names=True) as bot:
        room.happen(came("7", "Ada"))
        await until(lambda: bot.publisher.published["classmood.coverage.changed"] == 1)
    assert [(person.id, person.name) for person in (await room_state(redis, KEYS)).participants] == [("7", "Ada")]


@needs_redis
async def test_a_person_keeps_their_alias_when_the_connection_to_the_room_was_lost(redis: Redis) -> None:
    room = LostOnce()
    for _ in range(2):
        room.happen(came("7"))
        room.close()
    await attend(room, redis, Analyst(FaceEverywhere(SOMEWHERE), AlwaysOf(Emotion.HAPPY)), read_settings())
    joined = [event async for event in events_since(redis, KEYS) if event.type == "classmood.participant.joined"]
    assert len({event.epoch for event in joined}) == 2 and len({event.subject for event in joined}) == 1
