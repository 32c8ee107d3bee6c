"""Checks that the STUN and TURN servers of the settings work: aioice silently skips one that does not."""

import ipaddress
import logging

from aiortc import RTCConfiguration, RTCIceCandidate
from aiortc.sdp import SessionDescription

from bot.settings import PREFIX

logger = logging.getLogger(__name__)

_SCHEMES = {"stun": "srflx", "stuns": "srflx", "turn": "relay", "turns": "relay"}
"""The type of candidate that a server yields, by the scheme of its URL."""

_USELESS = {
    "srflx": f"the first server in {PREFIX}STUN_URLS does not answer the bot: check its address",
    "relay": f"the first server in {PREFIX}TURN_URLS gives the bot no relay: "
    f"check its address, {PREFIX}TURN_USERNAME and {PREFIX}TURN_PASSWORD",
}


class ServerWatch:
    """Warns of a kind of server that yields no candidate: once, until it yields one again."""

    def __init__(self, configuration: RTCConfiguration) -> None:
        urls = [url for server in configuration.iceServers or () for url in _urls(server.urls)]
        self._expected = {_SCHEMES[url.partition(":")[0]] for url in urls}
        self._useless: set[str] = set()

    def note(self, sdp: str) -> None:
        """Take in a description of our own with all its candidates."""
        if not self._expected:
            return
        candidates = [each for section in SessionDescription.parse(sdp).media for each in section.ice_candidates]
        missing = self._expected - {each.type for each in candidates}
        if not any(map(_asks_a_stun_server, candidates)):
            missing.discard("srflx")
        for kind in sorted(missing - self._useless):
            logger.warning(_USELESS[kind])
        self._useless = missing


def _asks_a_stun_server(candidate: RTCIceCandidate) -> bool:
    """Whether a STUN server was asked from there: aioice asks over IPv4 only, and keeps an answer that adds nothing new."""
    return candidate.type == "host" and ipaddress.ip_address(candidate.ip).version == 4


def _urls(urls: str | list[str]) -> list[str]:
    return [urls] if isinstance(urls, str) else urls
