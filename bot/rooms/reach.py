"""Where a publisher's ICE candidates may point: the room sends packets there before anybody has agreed to receive any.

Without a check, that would allow server-side request forgery over UDP (RFC 8445, section 19.5; RFC 8827, section 6.4).
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import ifaddr
from aiortc import RTCIceCandidate

Address = IPv4Address | IPv6Address

MAX_CANDIDATES = 32
"""Most ICE candidates that are taken from one publisher; one on several networks has about ten."""

MAX_CANDIDATES_PER_ADDRESS = 8
"""How many of them may share an address: an offer that is not bundled yet has a port for each of its sections."""

LOWEST_PORT = 1024
"""Lowest port of a candidate: below it, services listen but no WebRTC endpoint does."""

_TYPES = frozenset({"host", "srflx", "relay"})
"""The types that can be signalled; peer-reflexive candidates are discovered by checks (RFC 8445, section 5.1.1)."""

_NOWHERE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",  # contains the metadata service of most clouds, 169.254.169.254
        "168.63.129.16/32",  # that of Azure, in public address space
        "100.100.100.200/32",  # that of Alibaba Cloud
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/8",  # unspecified, loopback, and embedded IPv4
        "64:ff9b::/32",  # IPv4 behind NAT64
        "2001::/32",  # IPv4 within Teredo
        "2002::/16",  # IPv4 within 6to4
        "fd00:ec2::/32",  # the metadata service of AWS
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


@dataclass(frozen=True, slots=True)
class Reach:
    """The addresses that a publisher's candidates may have: public ones, all others too if `private`, and those in `own`.

    None of the `forbidden` ones is allowed.
    """

    private: bool = False
    own: frozenset[Address] = frozenset()
    forbidden: frozenset[Address] = frozenset()

    def allows(self, address: Address) -> bool:
        """Whether packets may be sent there."""
        if goes_nowhere(address) or address in self.forbidden:
            return False
        return self.private or address.is_global or address in self.own


PUBLIC = Reach()


def reach_of(client: Address | None, *, private: bool) -> Reach:
    """The reach of a client with this HTTP address, or with an unknown one (None).

    A client on this machine may use its addresses, but no other private ones, because it may be an undeclared proxy. A client
    on a private network may use private addresses; with `private`, everybody may. Nobody else may use this machine's own
    addresses, because nothing that listens there is theirs.
    """
    own = own_addresses()
    if client is not None and (client.is_loopback or client in own):
        return Reach(private=private, own=own)
    near = client is not None and not client.is_global
    return Reach(private=private or near, forbidden=own)


def own_addresses() -> frozenset[Address]:
    """The addresses of this machine's network interfaces."""
    texts = (ip.ip if isinstance(ip.ip, str) else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips)
    return frozenset(ipaddress.ip_address(text) for text in texts)


def goes_nowhere(address: Address) -> bool:
    """Whether the address cannot be that of an endpoint on another machine."""
    # an address with a scope refers to one of our own interfaces
    scoped = isinstance(address, IPv6Address) and address.scope_id is not None
    return scoped or any(address in network for network in _NOWHERE)


class CandidateGate:
    """Decides which of a publisher's candidates are taken; `left_out` counts the others.

    Host names are not taken: `.local` names would be looked up by multicast, where anybody could answer with any address. Their
    owners are still found once they send a connectivity check themselves.
    """

    def __init__(self, reach: Reach) -> None:
        self.left_out = 0
        self._reach = reach
        self._taken: set[tuple[Address, int]] = set()
        self._per_address: Counter[Address] = Counter()

    def take(self, candidates: Iterable[RTCIceCandidate]) -> list[RTCIceCandidate]:
        """The candidates that RTP over UDP can use and that point to allowed addresses; limits are over all calls together."""
        return [each for each in candidates if self._takes(each)]

    def _takes(self, candidate: RTCIceCandidate) -> bool:
        address = _address(candidate.ip)
        if address is None or not _usable(candidate) or not self._reach.allows(address) or not self._has_place(address):
            self.left_out += 1
            return False
        candidate.ip = str(address)  # spelled as sockets report it
        place = (address, candidate.port)
        if place in self._taken:
            return False
        self._taken.add(place)
        self._per_address[address] += 1
        return True

    def _has_place(self, address: Address) -> bool:
        return len(self._taken) < MAX_CANDIDATES and self._per_address[address] < MAX_CANDIDATES_PER_ADDRESS


def _usable(candidate: RTCIceCandidate) -> bool:
    over_udp = candidate.protocol.lower() == "udp" and candidate.component == 1
    return over_udp and candidate.type in _TYPES and LOWEST_PORT <= candidate.port < 65_536


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:  # a name
        return None
