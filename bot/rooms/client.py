"""Who sends an HTTP request: its address, and the network to which limits apply."""

from dataclasses import dataclass

from aiohttp import web

from bot.rooms.reach import Address
from dashboard.proxies import Network, address_from, forwarded_for, is_within, network_of

_SIGNS_OF_A_PROXY = ("X-Forwarded-For", "Forwarded", "Via")


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends a request; `address` is None if it came through a proxy that is not trusted."""

    address: Address | None
    network: str


def client_of(request: web.Request, proxies: tuple[Network, ...]) -> Client:
    """Who a request is from; if it comes from one of `proxies`, their `X-Forwarded-For` header says so.

    Requests through any other proxy have no address, so that a proxy on this machine does not make everybody behind it seem to
    be on this machine.
    """
    peer = address_from(request.remote or "::")
    if is_within(peer, proxies):
        address = forwarded_for(request, proxies)
        return Client(address, network_of(address or peer))
    behind_a_proxy = any(header in request.headers for header in _SIGNS_OF_A_PROXY)
    return Client(None if behind_a_proxy else peer, network_of(peer))
