"""A STUN or TURN server that does not work is reported in the log: once, and again if it worked in between."""

import logging

import aiohttp
import pytest

from bot.rooms.local import LocalRoom, host
from bot.settings import Settings, read_settings
from tests.ice_servers import PASSWORD, USERNAME, ice_server
from tests.webrtc import OFFER, camera_offer

NO_RELAY = (
    "the first server in CLASSMOOD_TURN_URLS gives the bot no relay: "
    "check its address, CLASSMOOD_TURN_USERNAME and CLASSMOOD_TURN_PASSWORD"
)
NO_ANSWER = "the first server in CLASSMOOD_STUN_URLS does not answer the bot: check its address"


def chosen(turn: str, password: str = PASSWORD) -> Settings:
    return read_settings(port=0, turn_urls=f"turn:{turn}", turn_username=USERNAME, turn_password=password)


async def answer(room: LocalRoom) -> str:
    """The room's answer to an offer."""
    async with aiohttp.ClientSession() as http, http.post(room.whip_url, data=await camera_offer(), headers=OFFER) as response:
        assert response.status == 201
        return await response.text()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings since the last call."""
    said = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    caplog.clear()
    return said


async def test_a_turn_server_that_gives_no_relay_is_told_once_until_it_gives_one(caplog: pytest.LogCaptureFixture) -> None:
    async with ice_server() as server, host("maths", chosen(server.place)) as room:
        server.overloaded = True
        assert "typ relay" not in await answer(room) + await answer(room)
        assert warnings(caplog) == [NO_RELAY]
        server.overloaded = False
        assert "typ relay" in await answer(room)
        assert warnings(caplog) == []
        server.overloaded = True
        await answer(room)
        assert warnings(caplog) == [NO_RELAY]


@pytest.mark.parametrize(("place", "password"), [("127.0.0.1:9?transport=tcp", PASSWORD), ("", "wr0ng")])
async def test_a_turn_server_that_is_not_there_or_wants_another_password_is_told_without_the_password(
    caplog: pytest.LogCaptureFixture, place: str, password: str
) -> None:
    async with ice_server() as server, host("maths", chosen(place or server.place, password)) as room:
        assert "typ relay" not in await answer(room)
    assert warnings(caplog) == [NO_RELAY]


async def test_a_stun_server_that_does_not_answer_is_told_and_one_that_tells_nothing_new_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with ice_server() as server, host("maths", read_settings(port=0, stun_urls=f"stun:{server.place}")) as room:
        assert "typ srflx" in await answer(room)
        assert warnings(caplog) == []
        server.overloaded = True
        assert "typ srflx" not in await answer(room)
        assert warnings(caplog) == [NO_ANSWER]
