"""Who asks by HTTP: the address that a request comes from, and the network that limits count by."""

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from aiohttp import web

from bot.rooms.reach import Address

Network = IPv4Network | IPv6Network

_SIGNS_OF_A_PROXY = ("X-Forwarded-For", "Forwarded", "Via")


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks; the address is None where a proxy stands between that nobody vouched for."""

    address: Address | None
    network: str


def client_of(request: web.Request, proxies: tuple[Network, ...]) -> Client:
    """Who a request is from; `proxies` are believed in what they say of it (the `X-Forwarded-For` header).

    Without `proxies`, a proxy on this machine does not make everybody behind it someone from this machine.
    """
    peer = ipaddress.ip_address(request.remote or "::")
    if is_within(peer, proxies):
        address = _forwarded_for(request, proxies) if "X-Forwarded-For" in request.headers else peer
        return Client(address, network_of(address or peer))
    behind_a_proxy = any(header in request.headers for header in _SIGNS_OF_A_PROXY)
    return Client(None if behind_a_proxy else peer, network_of(peer))


def network_of(address: Address) -> str:
    """What limits count by: an IPv4 address, or the 64 bits of an IPv6 address that one subscriber has at least."""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


def is_within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether the address is in one of the networks."""
    return any(address in network for network in networks)


def _forwarded_for(request: web.Request, proxies: tuple[Network, ...]) -> Address | None:
    # the last that no proxy of ours has written: what stands before it, the client may have made up
    for hop in reversed(",".join(request.headers.getall("X-Forwarded-For")).split(",")):
        try:
            address = ipaddress.ip_address(hop.strip())
        except ValueError:
            return None
        if not is_within(address, proxies):
            return address
    return None
