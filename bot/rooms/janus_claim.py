"""What happened to the bot in a Janus room while its connection was cut: it claims its old session, and asks there.

Source: https://janus.conf.meetecho.com/docs/rest.html ("claim")
"""

from dataclasses import dataclass

from bot.errors import RemovedFromRoom
from bot.rooms.janus_api import Access, JanusRefused, SessionOver, janus_session
from bot.rooms.janus_messages import NO_SUCH_ROOM, read_room_event


@dataclass(frozen=True, slots=True)
class FormerStay:
    """Where the bot was in the server: its session, its handle, the room, and its own id in the room."""

    session_id: int
    handle_id: int
    room: int | str
    own_id: str


async def check_not_removed(access: Access, former: FormerStay) -> None:
    """Make sure that nobody removed the bot while it could not hear; raises RemovedFromRoom or Unreachable.

    A session that Janus still has is ended, so that the room does not show the bot twice. If Janus no longer has it (60 s
    after the last message, or after a restart), or refuses the question, there is no telling, and no error.
    """
    try:
        async with janus_session(access, claimed=former.session_id) as session:
            handle = session.handle(former.handle_id)
            answer = await handle.request({"request": "listparticipants", "room": former.room})
    except SessionOver:
        return
    except JanusRefused as refused:
        if refused.code == NO_SUCH_ROOM:
            raise RemovedFromRoom("the room was closed at the server") from None
        return
    if former.own_id not in {each.id for each in read_room_event(answer.plugin_data).participants}:
        raise RemovedFromRoom("the bot was removed from the room")
