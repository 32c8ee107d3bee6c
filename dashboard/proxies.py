"""Who asks, where a reverse proxy stands between."""

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from aiohttp import web

Network = IPv4Network | IPv6Network


def address_of(request: web.Request, proxies: tuple[Network, ...]) -> str:
    """The address that a request comes from; `proxies` are believed in what they say of it (the `X-Forwarded-For` header).

    Where they say nothing that can be read it is the proxy's own.
    """
    peer = request.remote or ""
    if not _is_within(_address(peer), proxies):
        return peer
    # the last that no proxy of ours has written: what stands before it, the client may have made up
    for hop in reversed(",".join(request.headers.getall("X-Forwarded-For", ())).split(",")):
        address = _address(hop.strip())
        if address is None:
            return peer
        if not _is_within(address, proxies):
            return str(address)
    return peer


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _is_within(address: IPv4Address | IPv6Address | None, networks: tuple[Network, ...]) -> bool:
    return address is not None and any(address in network for network in networks)
