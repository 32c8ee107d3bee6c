"""Where HTTP requests come from, if there is a reverse proxy in between."""

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from aiohttp import web

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def address_from(text: str) -> Address:
    """The address in the text of a socket or a header; raises ValueError.

    A socket for both kinds gives an IPv4 address as an IPv6 one (RFC 4291, section 2.5.5.2); here it is the IPv4 address.
    """
    address = ipaddress.ip_address(text)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def address_of(request: web.Request, proxies: tuple[Network, ...]) -> str:
    """The address that a request comes from; `proxies` are believed in what they say about it.

    If a proxy says nothing that can be read, it is the proxy's own address.
    """
    if is_within(address_from(request.remote or "::"), proxies) and (address := forwarded_for(request, proxies)):
        return str(address)
    return request.remote or ""


def forwarded_for(request: web.Request, proxies: tuple[Network, ...]) -> Address | None:
    """The address for which the proxies forward, by the `X-Forwarded-For` header; None if it names none that can be read."""
    # the last address that is not a proxy of ours: what comes before it, the client may have made up
    for hop in reversed(",".join(request.headers.getall("X-Forwarded-For", ())).split(",")):
        try:
            address = address_from(hop.strip())
        except ValueError:
            return None
        if not is_within(address, proxies):
            return address
    return None


def is_within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether the address is in one of the networks."""
    return any(address in network for network in networks)


def network_of(address: Address) -> str:
    """What limits count by: an IPv4 address, or an IPv6 network of 64 bits, the least that one subscriber has."""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
