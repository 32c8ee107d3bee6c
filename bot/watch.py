"""A live table of a room in the terminal, read from Redis."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bot.errors import NothingHappened, RedisRefused, SettingsWrong
from bot.redis_client import connect
from bot.settings import Settings
from dashboard.board import left_in_this_run
from pipeline.cancellation import cancellable
from pipeline.clock import now_ms
from pipeline.contract import shown
from pipeline.coverage import Coverage
from pipeline.entries import event_in
from pipeline.events import BasisStated
from pipeline.follow import RoomState, rooms
from pipeline.keys import Keys
from pipeline.publish import heals, reason
from pipeline.room import state_with
from pipeline.state import ParticipantState, SummaryState
from pipeline.summary import coverage_in_words

LONGEST_NAME = 40

BASIS_STATED: str = BasisStated.model_fields["type"].default

STYLES = {
    "angry": "red",
    "disgust": "magenta",
    "fear": "yellow",
    "happy": "green",
    "sad": "blue",
    "surprise": "cyan",
    "neutral": "white",
}


async def watch(
    settings: Settings, room: str | None = None, *, console: Console | None = None, every_seconds: float = 0.5
) -> None:
    """Show a room until cancelled, even through outages of Redis; without `room`, the only room in Redis.

    Raises NothingHappened or SettingsWrong if there is not exactly one, and RedisRefused if Redis refuses us.
    """
    async with connect(settings) as redis:
        # before anything is drawn: which room it is may have to be asked
        seen = await _look(redis, settings.key_prefix, _Seen(RoomState(room or "")))
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(seen.table(live.console), refresh=True)
                await asyncio.sleep(every_seconds)
                seen = await _look(redis, settings.key_prefix, seen)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A room as it was seen last, and why no more is known of it, if so."""

    state: RoomState
    class_alone: bool = False
    trouble: str = ""

    def table(self, console: Console) -> RenderableType:
        return table(self.state, now_ms(), self.trouble, class_alone=self.class_alone, console=console)


async def _look(redis: Redis, prefix: str, last: _Seen) -> _Seen:
    """The room of the last look, or the only one there is where that knew none."""
    try:
        state, class_alone = await cancellable(_read(redis, prefix, last.state.room))
    except RedisError as error:
        return replace(last, trouble=_away(error))
    return _Seen(state, class_alone)


async def _read(redis: Redis, prefix: str, room: str) -> tuple[RoomState, bool]:
    """The room's state, and whether its bot publishes only figures of the class as a whole."""
    keys = Keys(prefix, room or await _only_room(redis, prefix))
    state, [audited] = await state_with(redis, keys, ("XREVRANGE", keys.audit, "+", "-", "COUNT", 1))
    return state, _is_class_alone(audited)


def _is_class_alone(audited: Any) -> bool:
    """Whether the newest audit entry says that only the class is published; at that level, a run audits nothing after it."""
    if isinstance(audited, RedisError) or not audited:
        return False
    event = event_in(audited[0][1])
    return event is not None and event.type == BASIS_STATED and event.data.get("level") == "aggregate"


async def _only_room(redis: Redis, prefix: str) -> str:
    found = await rooms(redis, prefix)
    if not found:
        raise NothingHappened("Redis has no room yet")
    if len(found) > 1:
        raise SettingsWrong(f"name a room: there are {', '.join(map(_shown, found))}")
    return found[0]


def _away(error: RedisError) -> str:
    if not heals(error):
        raise RedisRefused(f"redis refuses: {reason(error)}") from None
    return f"redis is away: {reason(error)}"


def table(
    state: RoomState, at_ms: int, trouble: str = "", *, class_alone: bool = False, console: Console | None = None
) -> RenderableType:
    """A room as it is at `at_ms`, or as it last was if `trouble` says why nothing newer is known.

    For a terminal, it lists as many people as fit, and says how many more there are.
    """
    if class_alone:
        return Group(_title(state, trouble), Text("only the class is published, nobody individually"), _figures(state.summary))
    if console is None or not console.is_terminal:
        return _people(state, at_ms, trouble, len(state.present))
    most = min(len(state.present), console.height)
    # in a narrow terminal, a row may take several lines
    while most and len(console.render_lines(seen := _people(state, at_ms, trouble, most))) > console.height:
        most -= 1
    return seen if most else _people(state, at_ms, trouble, 0)


def _people(state: RoomState, at_ms: int, trouble: str, most: int) -> Group:
    """The counts, and below them at most `most` participants, beginning with those who may need help."""
    live = state.bot is not None and not trouble
    people = Table(row_styles=[] if live else ["dim"])
    # what may wrap gives way first, the widest most; a name gives way too, and is cut
    people.add_column("participant")
    people.add_column("emotion", no_wrap=True)
    people.add_column("confidence", justify="right", no_wrap=True)
    people.add_column("coverage")
    people.add_column("last look", justify="right")
    if any(participant.attention for participant in state.present):
        people.add_column("attention")
    for participant in sorted(state.present, key=lambda each: not each.attention)[:most]:
        people.add_row(*_row(participant, at_ms)[: len(people.columns)])
    more = len(state.present) - most
    return Group(_title(state, trouble), Text(_counts(state)), people, *([Text(f"and {more} more")] if more else []))


def _title(state: RoomState, trouble: str) -> Text:
    title = Text(_shown(state.room) or "a room", style="bold")
    if trouble:
        return title.append(f"   not live: {shown(trouble, 200)}", style="red")
    if state.bot is None:
        return title.append("   no bot: not live", style="red")
    return title.append(f"   {state.bot.state}, {state.bot.looks_per_second:.1f} looks per second", style="green")


def _row(participant: ParticipantState, at_ms: int) -> tuple[Text, ...]:
    seen = participant.coverage is Coverage.OK and participant.emotion is not None
    return (
        Text(_shown(participant.name) or _shown(participant.id), no_wrap=True, overflow="ellipsis"),
        Text(str(participant.emotion), style=STYLES.get(str(participant.emotion), "dim")) if seen else Text("-"),
        Text(f"{participant.confidence:.0%}" if seen and participant.confidence is not None else "-"),
        Text(str(participant.coverage or "-"), style="" if seen else "yellow"),
        Text("-" if participant.at_ms is None else f"{max(0, at_ms - participant.at_ms) / 1000:.1f} s"),
        Text(_attention(participant, at_ms), style="bold"),
    )


def _attention(participant: ParticipantState, at_ms: int) -> str:
    """Why somebody may need help and for how long, such as "changed for 90 s"; empty if they do not."""
    if not participant.attention:
        return ""
    since_ms = at_ms if participant.attention_since_ms is None else participant.attention_since_ms
    return f"{_shown(participant.attention).replace('_', ' ')} for {max(0, at_ms - since_ms) // 1000} s"


def _figures(summary: SummaryState | None) -> Text:
    """The class as a whole, in two lines."""
    if summary is None:
        return Text("no summary yet")
    if summary.shares is None or summary.valence is None:
        return Text("withheld: too few can be read for figures that reveal nobody")
    shares = sorted(summary.shares.items(), key=lambda share: -share[1])
    line = Text.assemble(*((f"{emotion} {share:.0%}  ", STYLES[emotion]) for emotion, share in shares if share))
    words = coverage_in_words(summary.coverage, summary.participants)
    return line.append(f"\nvalence {summary.valence:+.2f}, over about {summary.scored}; {words}")


def _counts(state: RoomState) -> str:
    counts = Counter(participant.coverage or Coverage.CAMERA_OFF for participant in state.present)
    left = len(left_in_this_run(state))
    return coverage_in_words(dict(counts)) + (f"; {left} left" if left else "")


def _shown(text: str) -> str:
    return shown(text, LONGEST_NAME)
