"""The WHIP endpoint and the HTTP interface of its sessions (RFC 9725)."""

import asyncio
import math
import secrets
from urllib.parse import quote

from aiohttp import web

from bot.consent import NO_VISITORS, ConsentPolicy, said_in_words
from bot.rooms import Participant
from bot.rooms.fragment import read_fragment
from bot.rooms.guard import Guard
from bot.rooms.ice import ice_server_links
from bot.rooms.names import display_name
from bot.rooms.offer import Offer, OfferMalformed, OfferUnacceptable, read_offer
from bot.rooms.roster import NetworkFull, RoomFull, Roster, SessionOver
from bot.rooms.session import WhipSession
from bot.rooms.tokens import check_token
from bot.settings import Settings

SDP = "application/sdp"
SDP_FRAGMENT = "application/trickle-ice-sdpfrag"
RETRY_AFTER = {"Retry-After": "5"}

TICKET = "Classmood-Ticket"
"""The header in which the bot's own simulated students bring the ticket that distinguishes them from visitors."""

SAID_THERE = "page"
"""How events name the source of a yes or a no that came by this interface."""


class Whip:
    """Lets publishers into one room; every refusal is one line of text/plain."""

    def __init__(self, name: str, roster: Roster, settings: Settings, policy: ConsentPolicy, guard: Guard) -> None:
        self._name = name
        self._roster = roster
        self._policy = policy
        self._guard = guard
        self._token = settings.room_token
        self._links = ice_server_links(settings)

    def routes(self) -> list[web.RouteDef]:
        """The routes of the interface.

        On the endpoint and on sessions, GET, HEAD and PUT have none: they are reserved, and get 405 (RFC 9725, sections 4.1 and
        4.2).
        """
        session = "/whip/{room:[^/]+}/{secret}"
        return [
            web.post("/whip/{room:[^/]+}", self.publish),
            web.options("/whip/{room:[^/]+}", self.options),
            web.patch(session, self.trickle),
            web.delete(session, self.leave),
            web.options(session, self.session_options),
            web.put(f"{session}/consent", self.consent),
            web.options(f"{session}/consent", self.consent_options),
        ]

    async def publish(self, request: web.Request) -> web.Response:
        """Answer an offer (RFC 9725, section 4.2)."""
        check_token(request, self._token)
        self._check_room(request)
        text = await _body(request, SDP)
        try:
            session, answer = await self._admit(read_offer(text, self._guard.reach(request)), request)
        except OfferMalformed as refusal:
            raise web.HTTPBadRequest(text=str(refusal)) from None
        except OfferUnacceptable as refusal:
            raise web.HTTPNotAcceptable(text=str(refusal)) from None
        except RoomFull as refusal:
            raise _full(refusal) from None
        except NetworkFull as refusal:
            raise web.HTTPTooManyRequests(text=str(refusal), headers=RETRY_AFTER) from None
        return self._created(session, answer)

    async def trickle(self, request: web.Request) -> web.Response:
        """Take in more candidates (RFC 9725, sections 4.3.1 and 4.3.2)."""
        session = self._find(request)
        text = await _body(request, SDP_FRAGMENT)
        _check_entity_tag(request, session)
        try:
            fragment = read_fragment(text)
        except OfferMalformed as refusal:
            raise web.HTTPBadRequest(text=str(refusal)) from None
        if not set(fragment.mids) <= set(session.offer.mids):
            raise web.HTTPBadRequest(text="the fragment names a media section that was not offered")
        if fragment.restarts(session.offer):
            # required of a session that supports trickling but not restarts: section 4.3.1
            raise web.HTTPUnprocessableEntity(text="ICE restarts are not supported; DELETE this session and POST a new offer")
        await session.trickle(fragment)
        return web.Response(status=204)

    async def leave(self, request: web.Request) -> web.Response:
        """End a session (RFC 9725, section 4.2)."""
        self._find(request).end("left")
        return web.Response()

    async def consent(self, request: web.Request) -> web.Response:
        """Take in a connected publisher's yes or no; any other word counts as a no, and the answer says so with 400."""
        session = self._find(request)
        word = (await request.read()).decode(errors="replace").strip().lower()
        if word == "yes" and not session.may_be_read:
            raise web.HTTPForbidden(text=NO_VISITORS)
        if word == "yes":
            _spend_a_yes(session)
        try:
            await self._roster.consent(session, word == "yes", SAID_THERE)
        except RoomFull as refusal:
            raise _full(refusal) from None
        except SessionOver:
            raise web.HTTPNotFound(text="there is no such session") from None
        if word not in ("yes", "no"):
            raise web.HTTPBadRequest(text="the body must be yes or no, and was taken for no")
        return web.Response(status=204)

    async def options(self, request: web.Request) -> web.Response:
        """Say what may be posted; needs no token, because a preflight request cannot bear one."""
        return web.Response(headers={"Accept-Post": SDP})

    async def session_options(self, request: web.Request) -> web.Response:
        """Say what a session may be patched with."""
        return web.Response(headers={"Accept-Patch": SDP_FRAGMENT})

    async def consent_options(self, request: web.Request) -> web.Response:
        """Let pages from other origins ask whether they may use it; the CORS headers answer them."""
        return web.Response(headers={"Allow": "OPTIONS, PUT"})

    async def _admit(self, offer: Offer, request: web.Request) -> tuple[WhipSession, str]:
        participant_id = secrets.token_urlsafe(9)
        may_be_read = self._policy.admits(request.headers.get(TICKET, ""))
        yes_from = self._policy.granted(participant_id, _said(request), SAID_THERE) if may_be_read else None
        participant = Participant(participant_id, _name(request), consent=yes_from is not None)
        network = self._guard.client(request).network
        return await self._roster.admit(offer, participant, yes_from, may_be_read=may_be_read, network=network)

    def _created(self, session: WhipSession, answer: str) -> web.Response:
        response = web.Response(status=201, text=answer, content_type=SDP)
        response.headers["Location"] = f"/whip/{quote(self._name, safe='')}/{session.secret}"
        response.headers["ETag"] = session.etag
        response.headers["Accept-Patch"] = SDP_FRAGMENT
        for link in self._links:
            response.headers.add("Link", link)
        return response

    def _check_room(self, request: web.Request) -> None:
        if request.match_info["room"] != self._name:
            raise web.HTTPNotFound(text="there is no such room")

    def _find(self, request: web.Request) -> WhipSession:
        check_token(request, self._token)
        self._check_room(request)
        session = self._roster.find(request.match_info["secret"])
        if session is None:
            raise web.HTTPNotFound(text="there is no such session")
        return session


async def _body(request: web.Request, content_type: str) -> str:
    """The body as text; raises the HTTP errors 400, 413 and 415."""
    if request.content_type != content_type:
        raise web.HTTPUnsupportedMediaType(text=f"the content type must be {content_type}")
    limit = request.client_max_size
    if (request.content_length or 0) > limit:
        raise web.HTTPRequestEntityTooLarge(limit, text=f"the body is larger than {limit} bytes")
    try:
        return (await request.read()).decode()
    except UnicodeDecodeError:
        raise web.HTTPBadRequest(text="the body is not UTF-8 text") from None


def _check_entity_tag(request: web.Request, session: WhipSession) -> None:
    """Check that a PATCH names the ICE session it is for, and that it is this one (RFC 9725, section 4.3.2).

    Raises the HTTP errors 428 and 412.
    """
    if "If-Match" not in request.headers:
        raise web.HTTPPreconditionRequired(text="an If-Match header with the session's entity-tag is needed")
    given = {tag.strip() for tag in request.headers["If-Match"].split(",")}
    if not given & {"*", session.etag}:
        raise web.HTTPPreconditionFailed(text="the entity-tag is not the session's")


def _spend_a_yes(session: WhipSession) -> None:
    """Count a yes; raises the HTTP error 429 after too many. A no is never counted."""
    now = asyncio.get_running_loop().time()
    if not session.yeses.spend(now):
        seconds = math.ceil(session.yeses.wait_seconds(now))
        text = f"too many changes of mind, try again in {seconds} s"
        raise web.HTTPTooManyRequests(text=text, headers={"Retry-After": str(seconds)})


def _full(refusal: RoomFull) -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(text=str(refusal), headers=RETRY_AFTER)


def _name(request: web.Request) -> str:
    return display_name(request.query.get("name", "")) or "student"


def _said(request: web.Request) -> bool | None:
    """What the query says in `consent`: None without it, and True only if it says nothing but yes."""
    words = request.query.getall("consent", [])
    return all(map(said_in_words, words)) if words else None
