"""A STUN and TURN server for tests (RFC 8489, RFC 8656); whatever it is given to relay is lost, as on a bad line."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aioice.stun import Class, Message, Method, parse_message
from aioice.turn import make_integrity_key

USERNAME, PASSWORD, REALM = "class", "tvrn-s3cret", "class.example"
RELAYED = ("198.51.100.7", 49_152)


class IceServer(asyncio.DatagramProtocol):
    """Tells all clients their address, and gives a relay to those who know the password; while `overloaded`, it does neither."""

    def __init__(self) -> None:
        self.overloaded = False
        self._key = make_integrity_key(USERNAME, REALM, PASSWORD)
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def place(self) -> str:
        """Host and port, as written in a URL."""
        assert self._transport is not None, "it listens"
        return "{}:{}".format(*self._transport.get_extra_info("sockname"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            request = parse_message(data)
        except ValueError:  # data for a channel
            return
        if request.message_class is Class.REQUEST and self._transport is not None:
            self._transport.sendto(bytes(self._answer(request, addr)), addr)

    def _answer(self, request: Message, sender: tuple[str, int]) -> Message:
        if request.message_method is Method.BINDING:
            mapped = {"XOR-MAPPED-ADDRESS": sender}
            return _refusal(request, 500) if self.overloaded else _reply(request, Class.RESPONSE, mapped)
        if not request.check_message_integrity(self._key):
            return _refusal(request, 401, REALM=REALM, NONCE=b"once")
        reply = self._allocation(request, sender)
        reply.add_message_integrity(self._key)
        return reply

    def _allocation(self, request: Message, sender: tuple[str, int]) -> Message:
        if self.overloaded and request.message_method is Method.ALLOCATE:
            return _refusal(request, 508)
        lifetime = {"LIFETIME": request.attributes.get("LIFETIME", 600)}
        allocated = {"XOR-RELAYED-ADDRESS": RELAYED, "XOR-MAPPED-ADDRESS": sender, **lifetime}
        given = {Method.ALLOCATE: allocated, Method.REFRESH: lifetime}
        return _reply(request, Class.RESPONSE, given.get(request.message_method, {}))


@asynccontextmanager
async def ice_server() -> AsyncIterator[IceServer]:
    """A server on this machine while the block runs."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(IceServer, local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()


def _refusal(request: Message, code: int, **attributes: Any) -> Message:
    return _reply(request, Class.ERROR, {"ERROR-CODE": (code, ""), **attributes})


def _reply(request: Message, kind: Class, attributes: dict[str, Any]) -> Message:
    return Message(request.message_method, kind, request.transaction_id, dict(attributes))
