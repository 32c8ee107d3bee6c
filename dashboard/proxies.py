"""Who asks by HTTP, where a reverse proxy stands between."""

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from aiohttp import web

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def address_from(text: str) -> Address:
    """The address that a socket or a header tells; raises ValueError.

    A socket for both kinds tells an IPv4 address as one of IPv6 (RFC 4291, section 2.5.5.2): it is the IPv4 address.
    """
    address = ipaddress.ip_address(text)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def address_of(request: web.Request, proxies: tuple[Network, ...]) -> str:
    """The address that a request comes from; `proxies` are believed in what they say of it.

    Where they say nothing that can be read it is the proxy's own.
    """
    if is_within(address_from(request.remote or "::"), proxies) and (address := forwarded_for(request, proxies)):
        return str(address)
    return request.remote or ""


def forwarded_for(request: web.Request, proxies: tuple[Network, ...]) -> Address | None:
    """Whom the proxies bring, by the `X-Forwarded-For` header; None where it does not say so in a way that can be read."""
    # the last that no proxy of ours has written: what stands before it, the client may have made up
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
    """What limits count by: an IPv4 address, or the 64 bits of an IPv6 address that one subscriber has at least."""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
