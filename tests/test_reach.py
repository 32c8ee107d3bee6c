"""Where a publisher can make the room send packets: sockets that listen in the wrong places hear nothing."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiortc import RTCIceCandidate
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.rooms.client import client_of
from bot.rooms.fragment import read_fragment
from bot.rooms.local import LocalRoom, host
from bot.rooms.reach import (
    MAX_CANDIDATES,
    MAX_CANDIDATES_PER_ADDRESS,
    PUBLIC,
    CandidateGate,
    Reach,
    goes_nowhere,
    own_addresses,
    reach_of,
)
from bot.settings import read_settings
from tests.webrtc import OFFER, camera_offer, connect, offer_of, sender

FROM_OUTSIDE = {"X-Forwarded-For": "1.1.1.1"}
"""Makes a request through a proxy on this machine count as coming from a public address."""


def words(text: str) -> list[str]:
    return text.split()


ANYWHERE = Reach(private=True)
"""Every address that an endpoint can have, which loopback, link-local and the like are not."""

NOWHERE = words("""127.0.0.1 127.8.8.8 0.0.0.0 0.1.2.3 169.254.169.254 169.254.1.1 224.0.0.251 239.1.2.3 255.255.255.255 240.0.0.1
168.63.129.16 100.100.100.200 ::1 ::
fe80::1 fe80::1%eth0 2606:4700::1%lo fec0::1 ff02::fb ff05::1 ::ffff:127.0.0.1 ::ffff:10.1.1.1
::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::a00:1 2002:7f00:1:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 fd00:ec2::254""")
PRIVATE = words("10.1.2.3 172.16.0.9 172.31.255.1 192.168.1.5 100.64.0.1 198.18.0.1 fd12:3456::1 fc00::9")
GLOBAL = words("1.1.1.1 8.8.8.8 172.32.0.1 2606:4700::1111")
NO_ADDRESS = words("localhost evil.example 2130706433 0x7f000001 127.1 0177.0.0.1 1e4d8a3c-5a3c-4f0e-9f7e-0123456789ab.local")


def candidate(ip: str, port: int = 50_000, **changes: object) -> RTCIceCandidate:
    usual = {"component": 1, "foundation": "1", "priority": 1, "protocol": "udp", "type": "host"}
    return RTCIceCandidate(**{**usual, "ip": ip, "port": port, **changes})  # type: ignore[arg-type]  # fields by name


def taken(reach: Reach, *candidates: RTCIceCandidate) -> list[str]:
    return [each.ip for each in CandidateGate(reach).take(candidates)]


# the policy


def test_addresses_that_are_no_other_machine_are_never_taken() -> None:
    assert taken(ANYWHERE, *map(candidate, NOWHERE)) == []
    assert taken(ANYWHERE, *map(candidate, NO_ADDRESS)) == []


def test_private_addresses_are_taken_from_those_who_are_there() -> None:
    assert taken(PUBLIC, *map(candidate, PRIVATE + GLOBAL)) == GLOBAL
    assert taken(ANYWHERE, *map(candidate, PRIVATE + GLOBAL)) == PRIVATE + GLOBAL


def test_the_reach_follows_from_where_somebody_asks() -> None:
    own = ipaddress.ip_address(own_address())
    here, near, far = (ipaddress.ip_address(each) for each in ("127.0.0.1", "192.168.1.5", "1.1.1.1"))
    assert reach_of(here, private=False) == reach_of(own, private=False) == Reach(own=own_addresses())
    assert reach_of(here, private=False).allows(own) and not reach_of(here, private=False).allows(near)
    assert reach_of(near, private=False) == Reach(private=True, forbidden=own_addresses())
    assert reach_of(far, private=False) == reach_of(None, private=False) == Reach(private=False, forbidden=own_addresses())
    assert reach_of(far, private=True).private
    assert not reach_of(near, private=False).allows(own)


def test_low_ports_and_what_no_endpoint_uses_are_left_out() -> None:
    wrong = [candidate("1.1.1.1", port) for port in (0, 22, 53, 443, 1023, 65_536, -1)]
    wrong += [candidate("1.1.1.1", protocol="tcp"), candidate("1.1.1.1", component=2), candidate("1.1.1.1", type="prflx")]
    gate = CandidateGate(ANYWHERE)
    assert gate.take(wrong) == []
    assert gate.left_out == len(wrong)
    assert len(gate.take([candidate("1.1.1.1", port) for port in (1024, 65_535)])) == 2


def test_candidates_are_bounded_in_all_and_per_address_over_all_requests() -> None:
    gate = CandidateGate(PUBLIC)
    assert len(gate.take(candidate("1.1.1.1", 2000 + i) for i in range(50))) == MAX_CANDIDATES_PER_ADDRESS
    assert gate.take([candidate("1.1.1.1", 2000)] * 9) == []
    rest = [gate.take([candidate(f"1.1.{i}.2")]) for i in range(50)]
    assert sum(map(len, rest)) == MAX_CANDIDATES - MAX_CANDIDATES_PER_ADDRESS


def test_an_address_is_told_as_a_socket_tells_it() -> None:
    assert taken(PUBLIC, candidate("2606:4700:0:0:0:0:0:0001")) == ["2606:4700::1"]


@settings(max_examples=40)
@given(st.ip_addresses())
def test_what_is_taken_from_outside_is_a_public_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if taken(PUBLIC, candidate(str(address))):
        assert address.is_global and not address.is_multicast and not goes_nowhere(address)


# who asks


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        ("", [], "127.0.0.1 127.0.0.1"),
        ("", ["1.1.1.1"], "None 127.0.0.1"),
        ("127.0.0.0/8", [], "None 127.0.0.1"),
        ("127.0.0.1", ["1.1.1.1"], "1.1.1.1 1.1.1.1"),
        ("127.0.0.1", ["192.168.1.1, 1.1.1.1"], "1.1.1.1 1.1.1.1"),
        ("127.0.0.1", ["192.168.1.1", "1.1.1.1"], "1.1.1.1 1.1.1.1"),
        ("127.0.0.1,10.0.0.0/8", ["1.1.1.1, 10.0.0.7"], "1.1.1.1 1.1.1.1"),
        ("127.0.0.1", ["1.1.1.1, unknown"], "None 127.0.0.1"),
        ("127.0.0.1", ["::ffff:1.1.1.1"], "1.1.1.1 1.1.1.1"),
        ("127.0.0.1", ["2606:4700:1:2:3:4:5:6"], "2606:4700:1:2:3:4:5:6 2606:4700:1:2::/64"),
    ],
)
async def test_what_a_proxy_says_of_its_client_is_believed_where_it_is_known(
    proxies: str, forwarded: list[str], expected: str
) -> None:
    trusted = read_settings(trusted_proxies=proxies).trusted_proxies

    async def tell(request: web.Request) -> web.Response:
        client = client_of(request, trusted)
        return web.Response(text=f"{client.address} {client.network}")

    application = web.Application()
    application.router.add_get("/", tell)
    async with TestServer(application) as server, aiohttp.ClientSession() as http:
        headers = [("X-Forwarded-For", each) for each in forwarded]
        async with http.get(server.make_url("/"), headers=headers) as response:
            assert await response.text() == expected


# packets


@contextmanager
def ear(address: str) -> Iterator[socket.socket]:
    """A UDP socket that receives what is sent to that address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as listening:
        listening.bind((address, 0))
        listening.setblocking(False)
        yield listening


def heard(listening: socket.socket) -> int:
    """How many datagrams have arrived since the last call."""
    count = 0
    while True:
        try:
            listening.recv(2048)
        except BlockingIOError:
            return count
        count += 1


def pointing(offer: str, *places: tuple[str, int]) -> str:
    """An offer or a fragment whose only candidates are those places."""
    bare = re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", offer)
    lines = (f"a=candidate:{i} 1 udp {i + 1} {ip} {port} typ host\r\n" for i, (ip, port) in enumerate(places))
    return bare + "".join(lines) + "a=end-of-candidates\r\n"


def own_address() -> str:
    return str(next(each for each in own_addresses() if each.version == 4 and not goes_nowhere(each)))


@pytest.fixture
def ears() -> Iterator[dict[str, socket.socket]]:
    with ExitStack() as stack:
        addresses = ("127.0.0.1", "127.0.0.9", "::1", own_address())
        yield {address: stack.enter_context(ear(address)) for address in addresses}


@pytest.mark.slow
async def test_nothing_can_be_sent_to_addresses_that_are_not_the_publishers(ears: dict[str, socket.socket]) -> None:
    places = [(address, each.getsockname()[1]) for address, each in ears.items()]
    disguised = [(f"::ffff:{address}", port) for address, port in places if ":" not in address]
    names = [("localhost", places[0][1]), ("2130706433", places[0][1])]
    async with host("maths", read_settings(port=0, trusted_proxies="127.0.0.1")) as room, aiohttp.ClientSession() as http:
        await publish_and_wait(http, room, [*places, *disguised, *names], FROM_OUTSIDE)
        assert [heard(each) for each in ears.values()] == [0, 0, 0, 0]
        # a control: a publisher on this machine is sent packets at its own address, though nowhere else
        await publish_and_wait(http, room, [*places, *disguised, *names], {"X-Forwarded-For": own_address()})
        async with asyncio.timeout(20):
            while not heard(ears[own_address()]):
                await asyncio.sleep(0.05)
        assert [heard(each) for address, each in ears.items() if address != own_address()] == [0, 0, 0]


async def publish_and_wait(
    http: aiohttp.ClientSession, room: LocalRoom, places: list[tuple[str, int]], headers: dict[str, str]
) -> None:
    """Offer those candidates, half of them with the offer and all of them later, and wait for the checks on them."""
    offer = pointing(await camera_offer(), *places[::2])
    async with http.post(room.whip_url, data=offer, headers={**OFFER, **headers}) as response:
        assert response.status == 201
        session, etag = room.url + response.headers["Location"], response.headers["ETag"]
    fragment = pointing("a=mid:0\r\n", *places)
    patch = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": etag, **headers}
    async with http.patch(session, data=fragment, headers=patch) as response:
        assert response.status == 204
    await asyncio.sleep(0.4)


@pytest.mark.slow
async def test_nobody_is_asked_by_multicast_who_has_a_name() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("224.0.0.251", 5353))
        group = socket.inet_aton("224.0.0.251") + socket.inet_aton("0.0.0.0")
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        listening.setblocking(False)
        async with host("maths", read_settings(port=0)) as room, aiohttp.ClientSession() as http:
            await publish_and_wait(http, room, [("1e4d8a3c-5a3c-4f0e-9f7e-0123456789ab.local", 50_000)], {})
        assert heard(listening) == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaking:
            speaking.sendto(b"a control", ("224.0.0.251", 5353))
        await asyncio.sleep(0.05)
        assert heard(listening) == 1


async def test_who_hides_behind_names_is_found_by_their_own_checks() -> None:
    async with host("maths", read_settings(port=0)) as room, aiohttp.ClientSession() as http, sender("video") as peer:
        offer = pointing(await offer_of(peer), ("1e4d8a3c-5a3c-4f0e-9f7e-0123456789ab.local", 50_000))
        async with http.post(room.whip_url, data=offer, headers=OFFER) as response:
            await connect(peer, await response.text())


def test_a_fragment_names_candidates_and_decides_on_none() -> None:
    fragment = read_fragment("a=candidate:1 1 udp 1 127.0.0.1 50000 typ host")
    assert [each.ip for each in fragment.candidates] == ["127.0.0.1"]


@pytest.mark.slow
async def test_one_offer_sends_at_most_so_many_checks_to_one_address() -> None:
    with ExitStack() as stack:
        ears = [stack.enter_context(ear(own_address())) for _ in range(12)]
        # a candidate that is left out keeps the list open, so that the others are taken up to the limit
        places = [("127.0.0.1", 50_000), *((own_address(), each.getsockname()[1]) for each in ears)]
        async with host("maths", read_settings(port=0)) as room, aiohttp.ClientSession() as http:
            await publish_and_wait(http, room, places, {})
            # longer than a connection may take to be established
            await asyncio.sleep(16)
        counts = [heard(each) for each in ears]
    sockets = sum(each.version == 4 and not goes_nowhere(each) for each in own_addresses())
    assert sum(count > 0 for count in counts) == MAX_CANDIDATES_PER_ADDRESS
    assert max(counts) <= 6 * sockets
