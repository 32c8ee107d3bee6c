"""Checks every request before it is answered: is it for this room, may its page ask, and are there too many."""

import asyncio
import ipaddress
import math
import socket
import time
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.rooms.allowance import Allowance
from bot.rooms.client import Client, client_of
from bot.rooms.cors import origins_of
from bot.rooms.reach import Reach, reach_of
from bot.rooms.refusals import Refusals
from bot.rooms.roster import Roster
from bot.rooms.serving import Visit
from bot.rooms.tokens import bears_token
from bot.settings import Settings

ANSWER_SECONDS = 20.0
"""Time for a request, from its headers to its answer; waiting for a silent STUN server takes 5 s of it."""

LEAST_BURST = 100
"""How many offers a network may always send at once; in a room for more people, it may send as many as those."""

ALL_NETWORKS = 10
"""The allowance of all networks together, as a multiple of that of one network."""

MOST_NETWORKS = 10_000
"""How many networks' allowances are kept; beyond that, the one that was silent for longest is forgotten."""


class Guard:
    """Refuses requests that no publisher of this room would send; `refused` counts them by reason."""

    def __init__(self, roster: Roster, settings: Settings, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.refused = Refusals()
        self._answer_seconds = answer_seconds
        self._roster = roster
        self._settings = settings
        # a certificate proves to the browser that the name is this room's; without one, any name could point here
        self._checks_names = settings.tls_certificate is None or bool(settings.public_names)
        self._origins = origins_of(settings)
        self._public_names = frozenset(name.lower() for name in settings.public_names)
        self._names = self._public_names.union(name.lower() for name in _own_names())
        self._offers = OfferRates(settings, time.monotonic)

    @web.middleware
    async def let_through(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A middleware that answers a request, or refuses it with 403, 408, 421 or 429."""
        if isinstance(request.protocol, Visit):
            request.protocol.request_came()
        self._check_name(request)
        self._check_origin(request)
        try:
            # a GET, such as that of a stream of moods, may last
            async with asyncio.timeout(None if request.method == "GET" else self._answer_seconds):
                return await self._metered(request, handler)
        except TimeoutError:
            self.refused.note("slow")
            raise web.HTTPRequestTimeout(text="the request did not arrive in time") from None

    def client(self, request: web.Request) -> Client:
        """Who sent a request."""
        return client_of(request, self._settings.trusted_proxies)

    def reach(self, request: web.Request) -> Reach:
        """The addresses to which candidates from the request's sender may point."""
        return reach_of(self.client(request).address, private=self._settings.private_candidates)

    async def _metered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Charge offers and wrong tokens to the network's allowance; once it is spent, no token is even checked."""
        if not _asks_for_the_token(request) or self._is_of_a_session(request):
            return await handler(request)
        network = self.client(request).network
        if wait := self._offers.wait_seconds(network):
            raise self._too_many(wait)
        is_offer = request.method == "POST"
        if is_offer:
            self._offers.spend(network, of_all=bears_token(request, self._settings.room_token))
        try:
            return await handler(request)
        except web.HTTPUnauthorized:
            if not is_offer:
                self._offers.spend(network, of_all=False)
            raise

    def _too_many(self, wait: float) -> web.HTTPTooManyRequests:
        self.refused.note("rate")
        seconds = math.ceil(wait)
        text = f"too many requests from your network, try again in {seconds} s"
        return web.HTTPTooManyRequests(text=text, headers={"Retry-After": str(seconds)})

    def _check_name(self, request: web.Request) -> None:
        """Prevent DNS rebinding, by which a stranger's page could reach the room under a name of the stranger's."""
        if self._checks_names and not self._is_our_name(_host_name(request)):
            self.refused.note("host")
            raise web.HTTPMisdirectedRequest(text="this room has another name; CLASSMOOD_PUBLIC_NAMES sets its names")

    def _is_our_name(self, name: str) -> bool:
        return name in self._names or name.endswith(".localhost") or _is_address(name)

    def _check_origin(self, request: web.Request) -> None:
        """Keep out strangers' pages in the browser of somebody who can reach the room."""
        origin = request.headers.get("Origin")
        if origin is None or self._is_our_origin(origin, request) or self._origins.may_ask(origin):
            return
        self.refused.note("origin")
        raise web.HTTPForbidden(text="pages of that origin may not use this room; CLASSMOOD_ALLOWED_ORIGINS names those that may")

    def _is_our_origin(self, origin: str, request: web.Request) -> bool:
        # the scheme is not compared, because a proxy may have terminated TLS
        place = _parts(origin)
        return place is not None and (
            place.netloc.lower() == request.headers.get("Host", "").lower() or place.hostname in self._public_names
        )

    def _is_of_a_session(self, request: web.Request) -> bool:
        return self._roster.find(request.match_info.get("secret", "")) is not None


class OfferRates:
    """How many offers each network, and all of them together, may still send."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._per_second = settings.offers_per_minute / 60
        self._burst = max(LEAST_BURST, settings.max_participants, settings.offers_per_minute)
        self._all = Allowance(ALL_NETWORKS * self._per_second, ALL_NETWORKS * self._burst, clock())
        self._networks: dict[str, Allowance] = {}

    def __len__(self) -> int:
        return len(self._networks)

    def wait_seconds(self, network: str) -> float:
        """How long the network must wait before its next offer; 0 if it may come now."""
        now = self._clock()
        own = self._networks.get(network)
        return max(self._all.wait_seconds(now), own.wait_seconds(now) if own else 0.0)

    def spend(self, network: str, *, of_all: bool = True) -> None:
        """Charge an offer to the network and, if `of_all`, to the allowance that all networks share."""
        now = self._clock()
        own = self._networks.pop(network, None) or Allowance(self._per_second, self._burst, now)
        self._networks[network] = own
        if len(self._networks) > MOST_NETWORKS:
            del self._networks[next(iter(self._networks))]
        own.spend(now)
        # offers without the token are not charged to all: a few networks could use up what those with the token need
        if of_all:
            self._all.spend(now)


def _asks_for_the_token(request: web.Request) -> bool:
    return request.method != "OPTIONS" and ("room" in request.match_info or request.path == "/configuration.json")


def _host_name(request: web.Request) -> str:
    """The name in the Host header, without port and brackets; empty if it is missing or malformed."""
    place = _parts(f"//{request.headers.get('Host', '')}")
    return (place.hostname if place else None) or ""


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _own_names() -> tuple[str, ...]:
    name = socket.gethostname()
    return "localhost", name, f"{name}.local"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
