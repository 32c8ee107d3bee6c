"""The wiring: the only file that knows every part, in the order in which data passes through them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from shlex import quote

import cv2
from redis.asyncio import Redis

from bot.attendance import Attendance
from bot.declaration import declaration
from bot.priority import give_way
from bot.pseudonyms import pseudonymous
from bot.rooms import Room
from bot.settings import Settings
from bot.tasks import background
from model.classifier import LiteRtClassifier
from model.detector import BlazeFace
from pipeline.analysis import Analyst, Limits, analyse
from pipeline.attention import Attention, AttentionRules
from pipeline.clock import Clock, now_ms
from pipeline.events import BotState, BotStatus
from pipeline.frames import MOST_LATE_MS, LatestFrames
from pipeline.keys import Keys
from pipeline.mood import MoodRules, Moods
from pipeline.publish import Publisher
from pipeline.summary import NOBODY, ClassFigures

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 3.0
"""How long to wait, when the bot stops, for the last events to reach Redis."""

ATTENTION_SECONDS = 1.0
"""Time between two judgements of who may need help."""


@dataclass(frozen=True)
class Bot:
    """The parts of a running bot, for whoever reads their counters."""

    frames: LatestFrames
    moods: Moods
    attendance: Attendance
    publisher: Publisher
    attention: Attention
    figures: ClassFigures
    model: str


def load_analyst(settings: Settings) -> Analyst:
    """Detector and classifier, ready to use; raises ModelUnusable if the weights do not match their card."""
    cv2.setNumThreads(1)  # there is one model thread; more would take the event loop's core
    return Analyst(BlazeFace(), LiteRtClassifier(settings.weights), limits(settings))


def limits(settings: Settings) -> Limits:
    """The limits within which a face can be read, from the settings."""
    return Limits(
        smallest_face_pixels=settings.smallest_face_pixels,
        darkest_face=settings.darkest_face,
        blurriest_face=settings.blurriest_face,
    )


def mood_rules(settings: Settings) -> MoodRules:
    """The rules by which an emotion changes, from the settings."""
    return MoodRules(
        smoothing_seconds=settings.smoothing_seconds,
        unknown_below=settings.unknown_below,
        lead_to_change=settings.lead_to_change,
        dwell_seconds=settings.dwell_seconds,
        sample_seconds=settings.sample_seconds,
    )


def attention_rules(settings: Settings) -> AttentionRules:
    """The rules by which somebody is reported as perhaps needing help, from the settings."""
    return AttentionRules(
        settings.attention_changed_seconds,
        settings.attention_not_visible_seconds,
        settings.attention_observation_seconds,
        settings.attention_baseline_seconds,
        settings.attention_valence_fall,
        settings.attention_cooldown_seconds,
        settings.attention_most,
    )


def assemble(
    room: Room,
    redis: Redis,
    analyst: Analyst,
    settings: Settings,
    clock: Clock = now_ms,
    figures: ClassFigures | None = None,
) -> Bot:
    """Connect the parts, without starting them. Pass `figures` to continue those of an earlier stay in the room."""
    room = room if settings.names else pseudonymous(room, clock)
    frames = LatestFrames(clock, max(MOST_LATE_MS, 1000 / settings.looks_per_second))
    publisher = Publisher(
        redis,
        Keys(settings.key_prefix, room.name),
        epoch=str(clock()),
        outbox_limit=settings.outbox_limit,
        retention_ms=round(settings.retention_hours * 3_600_000),
        audit_retention_ms=round(settings.audit_retention_days * 86_400_000),
        withdrawal_erases=settings.withdrawal_erases,
        status_ttl_ms=round(settings.heartbeat_seconds * 3000),
        retry_seconds=settings.redis_retry_seconds,
        level=settings.publication,
        clock=clock,
    )
    attention = Attention(attention_rules(settings), publisher.publish)
    moods = Moods(attention.tell, analyst.model, mood_rules(settings), room.show)
    attendance = Attendance(
        room,
        frames,
        moods,
        settings.looks_per_second,
        settings.stalled_seconds * 1000,
        settings.left_seconds * 1000,
        clock,
    )
    figures = figures or ClassFigures(settings.smallest_group, settings.publication)
    return Bot(frames, moods, attendance, publisher, attention, figures, analyst.model)


@asynccontextmanager
async def running(bot: Bot, analyst: Analyst, settings: Settings) -> AsyncIterator[None]:
    """Look, judge and publish while the block runs; afterwards publish that the bot is stopping."""
    with ThreadPoolExecutor(1, "model", initializer=give_way) as thread:
        try:
            bot.publisher.publish(declaration(settings, bot.model))
            async with background(
                bot.publisher.run(),
                analyse(
                    bot.frames,
                    analyst,
                    thread,
                    bot.attendance.report,
                    batch=settings.batch,
                    gather_ms=settings.gather_ms,
                ),
                bot.attendance.watchdog(),
                summaries(bot, settings),
                watch_over(bot, settings),
                heartbeat(bot, settings),
            ):
                yield
        finally:
            bot.attendance.close("bot stopped")
            bot.publisher.publish(status(bot, "stopping", 0.0))
            if behind := await bot.publisher.flush(FLUSH_SECONDS):
                logger.warning("%d events are not in redis after %g seconds", behind, FLUSH_SECONDS)
                for each in bot.publisher.withdrawals_waiting:
                    forget = f"classmood forget ROOM {quote(each)}"
                    logger.warning("a withdrawal is not in redis: if the bot ends now, `%s` erases what was read", forget)


async def attend(room: Room, redis: Redis, analyst: Analyst, settings: Settings) -> None:
    """Publish what the faces in the room show, until the room is over; each stay in it is an epoch of its own."""
    # created once for all stays: pseudonyms must outlast a stay, and comparing the class figures from before and after an
    # interruption must not reveal who left meanwhile
    room = room if settings.names else pseudonymous(room)
    figures = None
    while not room.over:
        bot = assemble(room, redis, analyst, settings, figures=figures)
        figures = bot.figures
        await bot.publisher.wait_until_reachable()
        async with running(bot, analyst, settings):
            await bot.attendance.run()
        if not room.over:
            await bot.publisher.flush(None)  # a withdrawal among them must not be lost; the next stay needs Redis anyway


async def summaries(bot: Bot, settings: Settings) -> None:
    """Publish the class as a whole at a fixed rate, forever."""
    while True:
        await asyncio.sleep(settings.summary_seconds)
        # while the bot is outside the room it sees nobody, but nobody has left either
        inside = bot.attendance.room.inside
        bot.publisher.publish(bot.figures.summary(bot.moods.present(), bot.attendance.clock()) if inside else NOBODY)


async def watch_over(bot: Bot, settings: Settings) -> None:
    """Judge who may need help, forever; return at once unless that is switched on and may be published."""
    while settings.attention and settings.publication == "individual":
        await asyncio.sleep(ATTENTION_SECONDS)
        bot.attention.look(bot.moods.present(), bot.attendance.clock())


async def heartbeat(bot: Bot, settings: Settings) -> None:
    """Publish how the bot is doing, forever; the first time at once."""
    bot.publisher.publish(status(bot, "starting", 0.0))
    looks, clock = 0, asyncio.get_running_loop().time
    at_seconds = clock()
    while True:
        await asyncio.sleep(settings.heartbeat_seconds)
        before, looks = looks, bot.attendance.totals.looks
        # measured, because an overloaded event loop wakes up late
        before_seconds, at_seconds = at_seconds, clock()
        state: BotState = "running" if bot.attendance.room.inside else "starting"
        bot.publisher.publish(status(bot, state, (looks - before) / (at_seconds - before_seconds)))


def status(bot: Bot, state: BotState, looks_per_second: float) -> BotStatus:
    """The bot's counters as an event."""
    totals = bot.attendance.totals
    return BotStatus(
        state=state,
        participants=len(bot.attendance.seats),
        looks_per_second=round(looks_per_second, 2),
        frames_received=totals.frames_received,
        looks=totals.looks,
        frames_skipped=totals.frames_skipped,
        frames_dropped=bot.frames.dropped,
        events_dropped=bot.publisher.dropped,
        tracks_failed=totals.tracks_failed,
    )
