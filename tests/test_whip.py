"""The local room over HTTP and WebRTC, with a real aiortc publisher."""

import asyncio
import datetime
import ipaddress
import logging
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.errors import RoomRefused, SettingsWrong
from bot.rooms import Arrival, Departure
from bot.rooms.fragment import read_fragment
from bot.rooms.ice import ice_servers_as_json
from bot.rooms.local import LocalRoom, host
from bot.rooms.offer import OfferMalformed, OfferUnacceptable, read_offer
from bot.rooms.reach import MAX_CANDIDATES, CandidateGate, Reach
from bot.settings import Settings, read_settings
from bot.students import students, whip_url
from pipeline.coverage import Coverage
from pipeline.mood import Mood
from tests.marks import marked_clip
from tests.webrtc import (
    OFFER,
    camera_offer,
    connect,
    first_frames,
    next_arrival,
    next_departure,
    next_unseen,
    offer_of,
    publisher,
    remaining,
    sender,
)

LOOPBACK = ipaddress.ip_address("127.0.0.1")
HOUR = datetime.timedelta(hours=1)
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


def chosen(**settings: object) -> Settings:
    # any origin, so that tests see that refusals can be read across origins
    return read_settings(**{"port": 0, "allowed_origins": "*", **settings})


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def room() -> AsyncIterator[LocalRoom]:
    async with host("maths 3/b", chosen()) as hosted:
        yield hosted


async def refusal(http: aiohttp.ClientSession, room: LocalRoom, offer: str | bytes, **headers: str) -> tuple[int, str]:
    """Status and reason of a refused offer; the reason must be one line of plain text, readable across origins."""
    async with http.post(room.whip_url, data=offer, headers={**OFFER, **headers}) as response:
        reason = await response.text()
        assert response.content_type == "text/plain"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert reason and "\n" not in reason.strip()
        return response.status, reason


# life of a session


async def test_a_publisher_arrives_is_seen_and_leaves(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    happenings = room.happenings()
    async with publisher(http, room.whip_url + "?name=%20Ada%00%20") as published:
        arrival = await next_arrival(happenings)
        assert arrival.participant.name == "Ada"
        assert arrival.participant.consent
        assert (await first_frames(arrival.track))[-1].width == 160
        async with http.delete(published.session_url) as response:
            assert response.status == 200
        assert await next_departure(happenings) == Departure(arrival.participant.id, "left")
        async with http.delete(published.session_url) as response:
            assert response.status == 404


async def test_the_answer_is_as_the_protocol_says(http: aiohttp.ClientSession) -> None:
    async with host("bare", chosen()) as bare:
        async with http.options(bare.whip_url) as response:
            assert response.headers["Accept-Post"] == "application/sdp"
        async with publisher(http, bare.whip_url) as published:
            headers = published.response.headers
            assert headers["Content-Type"].startswith("application/sdp")
            assert re.fullmatch(r"/whip/bare/[\w-]{32}", headers["Location"])
            assert re.fullmatch(r'"[\w-]+"', headers["ETag"])
            assert headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
            assert "Link" not in headers
            assert "a=candidate" in published.answer


@pytest.mark.slow  # the room waits for servers that do not answer
async def test_a_publisher_is_told_of_the_servers_as_the_protocol_says(http: aiohttp.ClientSession) -> None:
    servers = {"stun_urls": "stun:127.0.0.1:9", "turn_urls": "turn:127.0.0.1:9?transport=tcp"}
    secret = {"turn_username": 'us"er', "turn_password": "pass"}
    async with host("maths", chosen(**servers, **secret)) as room, publisher(http, room.whip_url) as published:
        assert published.response.headers.getall("Link") == [
            '<stun:127.0.0.1:9>; rel="ice-server"',
            '<turn:127.0.0.1:9?transport=tcp>; rel="ice-server"; '
            'username="us\\"er"; credential="pass"; credential-type="password"',
        ]


def test_the_page_is_given_the_servers_as_a_browser_takes_them() -> None:
    servers = chosen(stun_urls="stun:a", turn_urls="turn:b, turns:c", turn_username="ada", turn_password="pass")
    secret = {"username": "ada", "credential": "pass"}
    assert ice_servers_as_json(servers) == [{"urls": "stun:a"}, {"urls": "turn:b", **secret}, {"urls": "turns:c", **secret}]


async def test_audio_is_answered_and_never_received(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    happenings = room.happenings()
    async with publisher(http, room.whip_url, "audio", "video") as published:
        arrival = await next_arrival(happenings)
        assert await first_frames(arrival.track)
        audio, video = published.answer.split("m=")[1:]
        assert audio.startswith("audio") and "a=inactive" in audio
        assert video.startswith("video") and "a=recvonly" in video


async def test_a_publisher_may_send_h264(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    async with publisher(http, room.whip_url, "audio", "video", codec="video/H264") as published:
        assert "H264/90000" in published.answer and "VP8/" not in published.answer
        assert await first_frames((await next_arrival(room.happenings())).track)


async def test_who_does_not_consent_is_in_the_room_as_anybody_else(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    happenings = room.happenings()
    async with publisher(http, room.whip_url, consent="no"):
        unseen = await next_unseen(happenings)
        assert unseen.coverage is Coverage.NOT_CONSENTED
        assert not unseen.participant.consent
        room.drop(unseen.participant.id, "stalled")
        assert await next_departure(happenings) == Departure(unseen.participant.id, "stalled")


async def test_a_publisher_who_vanishes_has_lost_the_connection(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    happenings = room.happenings()
    async with publisher(http, room.whip_url):
        arrival = await next_arrival(happenings)
        await first_frames(arrival.track)
    assert await next_departure(happenings) == Departure(arrival.participant.id, "connection lost")


async def test_a_publisher_who_never_connects_is_let_go(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(), connect_seconds=0.2) as room:
        happenings = room.happenings()
        async with http.post(room.whip_url, data=await camera_offer(), headers=OFFER) as response:
            assert response.status == 201
        unseen = await next_unseen(happenings)
        assert await next_departure(happenings) == Departure(unseen.participant.id, "never connected")


async def test_a_room_that_closes_tells_of_everybody_once(http: aiohttp.ClientSession) -> None:
    async with AsyncExitStack() as publishers, host("maths", chosen()) as room:
        for _ in range(2):
            await publishers.enter_async_context(publisher(http, room.whip_url))
        happenings = room.happenings()
        gone, stays = await next_arrival(happenings), await next_arrival(happenings)
        room.drop(gone.participant.id, "stalled")
        room.drop(gone.participant.id, "stalled again")
    assert await remaining(room) == [
        Departure(gone.participant.id, "stalled"),
        Departure(stays.participant.id, "room closed"),
    ]


async def test_a_cancelled_room_leaves_nothing_behind(http: aiohttp.ClientSession) -> None:
    hosted: asyncio.Future[LocalRoom] = asyncio.Future()

    async def hosting() -> None:
        async with host("maths", chosen()) as room:
            hosted.set_result(room)
            await asyncio.Event().wait()

    task = asyncio.create_task(hosting())
    room = await hosted
    async with publisher(http, room.whip_url):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    arrival, departure = await remaining(room)
    assert isinstance(arrival, Arrival)
    assert departure == Departure(arrival.participant.id, "room closed")


async def test_a_happening_of_somebody_who_is_gone_is_ignored(room: LocalRoom) -> None:
    room.drop("nobody", "stalled")
    room.show(Mood("nobody", 0, Coverage.OK, None, 0.0))
    assert room.refused == 0


# refusals


async def test_offers_that_cannot_be_taken_are_refused_in_one_line(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    good = await camera_offer("audio", "video")
    two_lines = good.replace("UDP/TLS/RTP/SAVPF", "UDP TLS")
    assert await refusal(http, room, "") == (400, "the body holds no SDP")
    assert await refusal(http, room, b"\xff\xfe") == (400, "the body is not UTF-8 text")
    assert await refusal(http, room, "hello") == (400, "the SDP has no media section")
    assert await refusal(http, room, two_lines) == (400, "the SDP is not well formed")
    assert await refusal(http, room, await camera_offer("audio")) == (400, "the offer has no video that is sent")
    assert await refusal(http, room, good.replace("a=sendonly", "a=recvonly")) == (400, "the offer has no video that is sent")
    assert await refusal(http, room, good, **{"Content-Type": "text/plain"}) == (415, "the content type must be application/sdp")
    status, reason = await refusal(http, room, good.replace("VP8/", "AV1/"))
    assert (status, "AV1" in reason) == (406, True)
    async with publisher(http, room.whip_url):
        assert await next_arrival(room.happenings())


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (r"a=mid:0", "", "a=mid"),
        (r"a=mid:0", "a=mid", "a=mid"),
        (r"a=mid:0", "a=mid:0 0", "a=mid"),
        (r"a=rtcp-mux", "", "a=rtcp-mux"),
        (r"a=mid:1", "a=mid:0", "same a=mid"),
        (r"a=ice-pwd:\S+", "a=ice-pwd:short", "a=ice-pwd"),
        (r"a=ice-ufrag:\S+", "", "a=ice-ufrag"),
        (r"a=fingerprint:.*", "", "a=fingerprint"),
        (r"a=setup:.*", "", "a=setup"),
        (r"a=group:BUNDLE.*", "", "BUNDLE"),
        (r"a=group:BUNDLE.*", "a=group:BUNDLE 0 7", "BUNDLE"),
    ],
)
async def test_an_offer_without_what_media_needs_is_malformed(before: str, after: str, reason: str) -> None:
    offer = re.sub(before, after, await camera_offer("audio", "video"))
    with pytest.raises(OfferMalformed, match=reason):
        read_offer(offer)


async def test_what_aiortc_would_trip_over_is_left_out_of_an_offer() -> None:
    strange = "a=msid:one \r\na=ssrc:99999999999 cname:x\r\na=candidate:1 1 udp 1 192.0.2.1 99999 typ host\r\n"
    offer = read_offer(await camera_offer() + strange).sdp
    assert not any(each in offer for each in ("a=msid:", "99999"))


@pytest.mark.parametrize(("offered", "answered"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")])
async def test_publishers_begin_the_handshake_if_they_can(
    http: aiohttp.ClientSession, room: LocalRoom, offered: str, answered: str
) -> None:
    offer = (await camera_offer()).replace("a=setup:actpass", f"a=setup:{offered}")
    async with http.post(room.whip_url, data=offer, headers=OFFER) as response:
        assert re.findall(r"a=setup:(\w+)", await response.text()) == [answered]


async def test_data_channels_are_not_taken() -> None:
    with pytest.raises(OfferUnacceptable, match="data channels"):
        read_offer(await camera_offer() + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:9\r\n")


async def test_an_offer_with_too_many_lines_or_sections_is_refused() -> None:
    offer = await camera_offer()
    for more, reason in (("a=x\r\n" * 1000, "lines"), ("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 8, "media sections")):
        with pytest.raises(OfferMalformed, match=f"more than [0-9]+ {reason}"):
            read_offer(offer + more)


async def test_an_offer_over_the_limit_is_not_even_read(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(max_offer_bytes=1024)) as room:
        assert await refusal(http, room, "v" * 1025) == (413, "the body is larger than 1024 bytes")

        async def without_a_length() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b"v" * 100

        async with http.post(room.whip_url, data=without_a_length(), headers=OFFER) as response:
            assert response.status == 413


async def test_a_room_that_is_full_says_when_to_come_again(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(max_participants=1)) as room, publisher(http, room.whip_url):
        async with http.post(room.whip_url, data=await camera_offer(), headers=OFFER) as response:
            assert (response.status, await response.text()) == (503, "the room is full")
            assert int(response.headers["Retry-After"]) > 0
        assert room.refused == 1


async def test_newcomers_are_refused_while_nobody_listens_to_who_comes_and_goes(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(max_participants=1), connect_seconds=0.01) as room:
        offer = await camera_offer()
        statuses = []
        for _ in range(6):
            async with http.post(room.whip_url, data=offer, headers=OFFER) as response:
                statuses.append(response.status)
            await asyncio.sleep(0.1)
    assert statuses[0] == 201 and statuses[-1] == 503
    assert len(await remaining(room)) == 2 * statuses.count(201)


async def test_nothing_else_is_found_or_allowed(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    async with http.post(f"{room.url}/whip/physics", data=await camera_offer(), headers=OFFER) as response:
        assert (response.status, await response.text()) == (404, "there is no such room")
    for method in ("GET", "HEAD", "PUT"):
        async with http.request(method, room.whip_url) as response:
            assert (response.status, response.headers["Allow"]) == (405, "OPTIONS,POST")
        async with http.request(method, f"{room.whip_url}/secret") as response:
            assert (response.status, response.headers["Allow"]) == (405, "DELETE,OPTIONS,PATCH")
    for method in ("PATCH", "DELETE"):
        async with http.request(method, f"{room.whip_url}/secret") as response:
            assert (response.status, await response.text()) == (404, "there is no such session")


async def test_a_room_with_a_token_lets_nobody_in_without_it(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(room_token=SecretStr("sesame"))) as room:
        for wrong in ({}, {"Authorization": "Bearer sesam"}, {"Authorization": "Basic sesame"}, {"Authorization": "Bearer \xe9"}):
            for method, url in (("POST", room.whip_url), ("PATCH", f"{room.whip_url}/x"), ("DELETE", f"{room.whip_url}/x")):
                async with http.request(method, url, headers={**OFFER, **wrong}) as response:
                    assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        async with http.get(f"{room.url}/configuration.json") as response:
            assert response.status == 401
        async with (
            aiohttp.ClientSession(headers={"Authorization": "Bearer sesame"}) as invited,
            publisher(invited, room.whip_url) as published,
            invited.delete(published.session_url) as response,
        ):
            assert response.status == 200


async def test_pages_of_chosen_origins_may_publish(http: aiohttp.ClientSession) -> None:
    async with host("maths", chosen(allowed_origins="https://school.example")) as room:
        async with http.options(room.whip_url, headers={"Origin": "https://school.example"}) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == "https://school.example"
            assert "If-Match" in response.headers["Access-Control-Allow-Headers"]
            assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
        async with http.post(room.whip_url, headers={"Origin": "https://school.example"}) as response:
            assert response.status == 415
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
        async with http.post(room.whip_url, headers={"Origin": "https://evil.example"}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
            assert response.headers["Vary"] == "Origin"


# trickle ICE


async def test_candidates_that_come_later_connect(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    happenings = room.happenings()
    async with sender("video") as peer:
        offer = await offer_of(peer)
        bare = re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", offer)
        late = "\r\n".join(re.findall(r"a=candidate:.*|a=mid:.*|a=ice-\w+:.*|m=.*", offer)) + "\r\na=end-of-candidates\r\n"
        async with http.post(f"{room.whip_url}?consent=yes", data=bare, headers=OFFER) as response:
            session, etag = urljoin(room.whip_url, response.headers["Location"]), response.headers["ETag"]
            answer = await response.text()
        async with http.patch(session, data=late, headers={**FRAGMENT, "If-Match": etag}) as response:
            assert (response.status, await response.read(), "ETag" in response.headers) == (204, b"", False)
        await connect(peer, answer)
        assert await first_frames((await next_arrival(happenings)).track)


async def test_a_fragment_that_cannot_be_taken_is_refused(http: aiohttp.ClientSession, room: LocalRoom) -> None:
    async def patch(body: str, **headers: str) -> int:
        async with http.patch(published.session_url, data=body, headers={**FRAGMENT, **headers}) as response:
            return response.status

    async with publisher(http, room.whip_url) as published:
        etag = {"If-Match": published.response.headers["ETag"]}
        end = "a=mid:0\r\na=end-of-candidates\r\n"
        assert await patch(end) == 428
        assert await patch(end, **{"If-Match": '"other"'}) == 412
        assert await patch(end, **etag, **{"Content-Type": "application/sdp"}) == 415
        assert await patch("", **etag) == 400
        assert await patch("hello", **etag) == 400
        assert await patch("a=candidate:1 1 udp", **etag) == 400
        assert await patch("a=mid:7\r\na=end-of-candidates", **etag) == 400
        assert await patch(f"a=ice-ufrag:abcd\r\na=ice-pwd:{'x' * 22}", **{"If-Match": "*"}) == 422
        assert await patch(end, **etag) == 204
        assert await first_frames((await next_arrival(room.happenings())).track)


def test_only_candidates_over_udp_are_taken() -> None:
    lines = [
        "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host",
        "a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
        "a=candidate:3 2 udp 2122260223 192.0.2.1 61765 typ host",
    ]
    taken = CandidateGate(Reach(private=True)).take(read_fragment("\n".join(lines)).candidates)
    assert [candidate.foundation for candidate in taken] == ["1"]


async def test_an_offer_with_endless_candidates_is_cut_short() -> None:
    more = "".join(f"a=candidate:{i} 1 udp 1 1.1.{i}.1 5000 typ host\r\n" for i in range(250))
    assert read_offer(await camera_offer() + more).sdp.count("a=candidate:") == MAX_CANDIDATES


# whatever is posted


@pytest.fixture(scope="module")
def sample() -> Iterator[str]:
    """A good offer, for tests that have no event loop."""
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete(camera_offer("audio", "video"))
    loop.close()


CUTS = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 40), st.text(max_size=8)), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(cuts=CUTS)
def test_a_mutilated_offer_is_read_or_refused_and_nothing_else(sample: str, cuts: list[tuple[int, int, str]]) -> None:
    text = sample
    for start, length, inserted in cuts:
        text = text[:start] + inserted + text[start + length :]
    try:
        offer = read_offer(text)
    except (OfferMalformed, OfferUnacceptable) as refusal:
        assert "\n" not in str(refusal)
    else:
        assert offer.camera_mid in offer.mids


@pytest.mark.slow
async def test_offers_with_a_line_missing_get_an_answer_or_a_reason(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    lines = (await camera_offer("audio", "video")).splitlines(keepends=True)
    statuses = set()
    async with host("maths", chosen()) as room:
        for missing in range(len(lines)):
            offer = "".join(lines[:missing] + lines[missing + 1 :])
            async with http.post(room.whip_url, data=offer, headers=OFFER) as response:
                statuses.add(response.status)
    assert statuses == {201, 400, 406}
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# serving


async def test_a_port_in_use_is_refused_in_one_line(room: LocalRoom) -> None:
    port = int(room.url.rpartition(":")[2])
    with pytest.raises(RoomRefused, match=f"port {port}"):
        async with host("maths", read_settings(port=port)):
            pass


async def test_servers_that_are_none_are_refused_in_one_line() -> None:
    with pytest.raises(SettingsWrong, match=r"^CLASSMOOD_STUN_URLS"):
        async with host("maths", chosen(stun_urls="http://stun.example")):
            pass


async def test_a_room_can_be_served_over_tls(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)
    async with host("maths", chosen(host="127.0.0.1", tls_certificate=certificate, tls_key=key)) as room:
        assert room.url.startswith("https://127.0.0.1:")
        connector = aiohttp.TCPConnector(ssl=trusting)
        async with aiohttp.ClientSession(connector=connector) as http, publisher(http, room.whip_url):
            assert await first_frames((await next_arrival(room.happenings())).track)


async def test_a_certificate_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, password=b"secret")
    for path in (tmp_path / "missing.pem", certificate):
        with pytest.raises(SettingsWrong, match=rf"^CLASSMOOD_TLS_CERTIFICATE .*{path.name}"):
            async with host("maths", chosen(tls_certificate=path, tls_key=key)):
                pass


@pytest.mark.slow
async def test_simulated_students_come_to_a_room_on_this_machine_whose_certificate_is_for_another_name(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.create_child_ca().issue_cert("class.example")
    for pem in certificate.cert_chain_pems:  # the leaf and everything between it and the root, as certbot writes them
        pem.write_to_path(tmp_path / "chain.pem", append=True)
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    settings = chosen(host="127.0.0.1", tls_certificate=tmp_path / "chain.pem", tls_key=tmp_path / "key.pem")
    async with host("maths", settings) as room, students(room.whip_url, 1, [marked_clip(1)], settings):
        assert await first_frames((await next_arrival(room.happenings())).track)


async def test_a_certificate_that_a_simulation_cannot_read_is_one_line() -> None:
    settings = chosen(tls_certificate="gone.pem", tls_key="gone.pem")
    with pytest.raises(SettingsWrong, match=r"^CLASSMOOD_TLS_CERTIFICATE: gone\.pem cannot be used: No such file or directory$"):
        async with students("https://class.example/whip/maths", 1, [], settings):
            pass


async def test_a_room_on_every_address_listens_on_those_of_ipv4_too() -> None:
    async with host("maths", chosen(host="::", open_room=True)) as room, aiohttp.ClientSession() as http:
        port = room.url.rpartition(":")[2]
        for address in ("127.0.0.1", "[::1]"):
            async with http.get(f"http://{address}:{port}/") as page:
                assert page.status == 200


async def test_a_room_on_every_address_counts_those_of_ipv4_each_by_itself() -> None:
    settings = chosen(host="::", room_token="hush", offers_per_minute=1, max_participants=1)
    async with host("maths", settings) as room:
        statuses = []
        for address in ("127.0.0.2", "127.0.0.2", "127.0.0.3"):
            connector = aiohttp.TCPConnector(local_addr=(address, 0))
            async with aiohttp.ClientSession(connector=connector) as http:
                url = f"http://127.0.0.1:{room.url.rpartition(':')[2]}/whip/maths"
                while True:
                    async with http.post(url, data="v=0", headers={"Content-Type": "application/sdp"}) as answer:
                        statuses.append(answer.status)
                    if address == "127.0.0.3" or statuses[-1] == 429:
                        break
        assert set(statuses[:-1]) == {401, 429} and statuses[-1] == 401


def test_a_simulation_writes_addresses_of_ipv6_as_urls_have_them() -> None:
    assert whip_url("local://maths", read_settings(host="::1", port=8080)) == "http://[::1]:8080/whip/maths"


def write_certificate(folder: Path, password: bytes | None = None) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "classmood test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(LOOPBACK)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + HOUR)
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, locked))
    return folder / "certificate.pem", folder / "key.pem"
