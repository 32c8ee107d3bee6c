"""Who asks by HTTP: the address that a request comes from, and the network that limits count by."""

from dataclasses import dataclass

from aiohttp import web

from bot.rooms.reach import Address
from dashboard.proxies import Network, address_from, forwarded_for, is_within, network_of

_SIGNS_OF_A_PROXY = ("X-Forwarded-For", "Forwarded", "Via")


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks; the address is None where a proxy stands between that nobody vouched for."""

    address: Address | None
    network: str


def client_of(request: web.Request, proxies: tuple[Network, ...]) -> Client:
    """Who a request is from; `proxies` are believed in what they say of it (the `X-Forwarded-For` header), and say it.

    Without `proxies`, a proxy on this machine does not make everybody behind it someone from this machine.
    """
    peer = address_from(request.remote or "::")
    if is_within(peer, proxies):
        address = forwarded_for(request, proxies)
        return Client(address, network_of(address or peer))
    behind_a_proxy = any(header in request.headers for header in _SIGNS_OF_A_PROXY)
    return Client(None if behind_a_proxy else peer, network_of(peer))
