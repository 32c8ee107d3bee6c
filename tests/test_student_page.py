"""The student's page: what it is served with, the mood shown to the student, and a real Chromium that joins through it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from playwright.async_api import Page, Route, async_playwright, expect

from bot.consent import NO_VISITORS, consent_policy
from bot.rooms import Departure, Happening
from bot.rooms.billboard import Billboard
from bot.rooms.local import LocalRoom, host
from bot.rooms.student_page import OVER
from bot.settings import read_settings
from model.faces import Emotion
from pipeline.coverage import Coverage
from pipeline.mood import Mood
from tests.chromium import CHROMIUM, FLAGS, needs_chromium
from tests.webrtc import first_frames, next_arrival, next_consent, next_departure, next_unseen, publisher


@pytest.fixture
async def room() -> AsyncIterator[LocalRoom]:
    async with host("maths", read_settings(port=0)) as hosted:
        yield hosted


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page of a real browser that has a camera, and counts the requests for it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False)
        page = await browser.new_page()
        await page.add_init_script(
            "const ask = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices); window.asked = 0;"
            "if (ask) navigator.mediaDevices.getUserMedia = (wish) => { window.asked += 1; return ask(wish); };"
        )
        yield page
        await browser.close()


def mood(participant_id: str, emotion: Emotion | None = Emotion.HAPPY, coverage: Coverage = Coverage.OK) -> Mood:
    return Mood(participant_id, 1, coverage, emotion, 0.8125)


# the page as it is served


async def test_the_page_may_talk_to_nobody_but_the_room(room: LocalRoom) -> None:
    async with aiohttp.ClientSession() as http:
        for path in ("/", "/page.js", "/page.css", "/icon.svg"):
            async with http.get(room.url + path) as response:
                assert response.status == 200
                assert "default-src 'self'; connect-src 'self'" in response.headers["Content-Security-Policy"]
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "no-referrer"
                assert "//cdn" not in await response.text()


async def test_the_page_is_told_the_room_and_what_to_send(room: LocalRoom) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{room.url}/configuration.json") as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert await response.json() == {
            "room": "maths",
            "whip": "/whip/maths",
            "width": 480,
            "height": 270,
            "frames_per_second": 10.0,
            "ice_servers": [],
            "unread_because": "",
            "published": {
                "level": "individual",
                "names": False,
                "retention_hours": 24.0,
                "withdrawal_erases": True,
                "record_days": 90.0,
                "attention": False,
            },
        }


# the mood shown back


async def test_a_student_is_shown_their_own_mood_until_they_leave(room: LocalRoom) -> None:
    async with aiohttp.ClientSession() as http, publisher(http, room.whip_url) as published:
        participant = (await next_arrival(room.happenings())).participant
        room.show(mood(participant.id))
        async with http.get(f"{published.session_url}/mood") as stream:
            assert stream.content_type == "text/event-stream"
            lines = await _data_lines(stream, 1)
            room.drop(participant.id, "stalled")
            rest = await stream.content.read()
        assert json.loads(lines[0]) == {"coverage": "ok", "emotion": "happy", "confidence": 0.812}
        assert rest.endswith(OVER) and b"data:" not in rest.removesuffix(OVER)
        async with http.get(f"{published.session_url}/mood") as response:
            assert response.status == 404


async def test_a_student_is_told_that_the_room_closes() -> None:
    async with aiohttp.ClientSession() as http, AsyncExitStack() as opened:
        room = await opened.enter_async_context(host("maths", read_settings(port=0)))
        async with publisher(http, room.whip_url) as published, http.get(f"{published.session_url}/mood") as stream:
            await opened.aclose()
            assert (await stream.content.read()).endswith(OVER)


async def test_who_asks_for_the_headers_of_a_stream_alone_is_refused_at_once(room: LocalRoom) -> None:
    async with aiohttp.ClientSession() as http, publisher(http, room.whip_url) as published:
        async with asyncio.timeout(5), http.head(f"{published.session_url}/mood") as response:
            assert response.status == 405
        async with http.get(f"{published.session_url}/mood") as stream:
            assert stream.status == 200


async def _data_lines(stream: aiohttp.ClientResponse, count: int) -> list[str]:
    lines: list[str] = []
    async with asyncio.timeout(5):
        while len(lines) < count:
            line = (await stream.content.readline()).decode()
            if line.startswith("data: "):
                lines.append(line.removeprefix("data: "))
    return lines


async def test_who_looks_seldom_sees_only_the_newest_mood() -> None:
    billboard = Billboard()
    for emotion in (Emotion.SAD, Emotion.FEAR, Emotion.HAPPY):
        billboard.put(mood("ada", emotion))
    shown = billboard.follow(silence_seconds=0.01)
    newest = await anext(shown)
    assert newest is not None and newest.emotion is Emotion.HAPPY
    assert await anext(shown) is None
    billboard.put(mood("ada", None, Coverage.NO_FACE))
    billboard.close()
    assert [each async for each in shown] == []


# a real browser


@needs_chromium
async def test_a_student_joins_by_the_page_sees_their_mood_and_leaves(room: LocalRoom, page: Page) -> None:
    happenings = room.happenings()
    await page.goto(room.url)
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_label("I agree").check()
    await page.get_by_role("button", name="Join").click()
    arrival = await next_arrival(happenings)
    assert arrival.participant.name == "Ada"
    frame = (await first_frames(arrival.track))[-1]
    assert frame.width / frame.height == pytest.approx(16 / 9, rel=0.02)
    assert frame.width <= 480
    await expect(page.get_by_role("status")).to_contain_text("being read")
    room.show(mood(arrival.participant.id))
    await expect(page.locator("#mood")).to_have_text("You look happy · 81 %")
    await expect(page.locator("#mood-words")).to_have_text("You look happy")  # the part that is read aloud
    room.show(mood(arrival.participant.id, None, Coverage.NO_FACE))
    await expect(page.locator("#mood")).to_have_text("No face in the picture")
    await stop_and_begin_again(room, page, happenings)
    await page.get_by_role("button", name="Leave").click()
    assert await next_departure(happenings) == Departure(arrival.participant.id, "left")
    await expect(page.get_by_role("status")).to_contain_text("You have left")


async def stop_and_begin_again(room: LocalRoom, page: Page, happenings: AsyncIterator[Happening]) -> None:
    """Stop being read using only the keyboard, and start again, over the same connection."""
    assert (await next_consent(happenings)).granted
    sign, button = page.locator("#sign"), page.locator("#reading")
    await expect(sign).to_have_text("You are being read")
    await expect(button).to_be_focused()
    await expect(button).to_have_accessible_name("Stop reading me")
    await page.keyboard.press("Enter")
    withdrawn = await next_consent(happenings)
    assert not withdrawn.granted
    await expect(sign).to_have_text("You are not being read")
    await expect(page.get_by_role("status")).to_have_text("You are in the room, and you are not being read.")
    room.show(mood(withdrawn.participant_id))
    await expect(page.get_by_role("button", name="Leave")).to_be_visible()
    await page.keyboard.press("Enter")
    arrival = await next_arrival(happenings)
    assert arrival.participant.id == withdrawn.participant_id
    assert await first_frames(arrival.track)
    assert (await next_consent(happenings)).granted
    await expect(sign).to_have_text("You are being read")
    await expect(page.locator("#mood")).to_be_hidden()


@needs_chromium
@pytest.mark.slow
async def test_a_visitor_of_a_room_for_simulated_students_is_told_why_they_are_not_read(page: Page) -> None:
    policy = consent_policy(read_settings(), reads_visitors=False)
    async with host("demo", read_settings(port=0), policy) as room:
        happenings = room.happenings()
        await page.goto(room.url)
        await expect(page.locator("#unread")).to_contain_text(f"You will not be read: {NO_VISITORS}.")
        await expect(page.locator("#consent")).to_be_hidden()
        await page.get_by_role("button", name="Join without being read").click()
        assert (await next_unseen(happenings)).coverage is Coverage.NOT_CONSENTED
        await expect(page.get_by_role("status")).to_contain_text("because its operator has stated no legal basis")
        await expect(page.locator("#sign")).to_have_text("You are not being read")
        await expect(page.locator("#reading")).to_be_hidden()
        await page.get_by_role("button", name="Leave").click()
        await next_departure(happenings)


@needs_chromium
@pytest.mark.slow
async def test_a_no_that_the_room_cannot_hear_is_a_departure(room: LocalRoom, page: Page) -> None:
    happenings = room.happenings()
    # before the page is loaded: a page already loaded hears of a route only after a while, and may send requests past it
    await page.route("**/consent", lambda route: route.abort())
    await page.goto(room.url)
    await page.get_by_label("I agree").check()
    await page.get_by_role("button", name="Join").click()
    await next_arrival(happenings)
    await page.get_by_role("button", name="Stop reading me").click()
    await next_departure(happenings)
    await expect(page.get_by_role("status")).to_contain_text("You have left instead, and are not being read.")


@needs_chromium
async def test_nothing_is_asked_of_the_camera_before_the_tick(room: LocalRoom, page: Page) -> None:
    await page.goto(room.url)
    await expect(page.get_by_role("heading")).to_have_text("Join maths")
    await expect(page.locator("#published")).to_have_text(
        "Your teacher receives the estimate under a pseudonym, not under your name, and learns when you come, go or cannot be "
        "seen. It is kept for 24 hours, and at most for twice as long. If you stop it, what was published about you since you "
        "last joined is erased. That you agreed, and until when, is kept for 90 days."
    )
    await expect(page.get_by_role("button", name="Join")).to_be_disabled()
    await page.get_by_label("Your name").press("Enter")
    await page.evaluate("document.getElementById('form').requestSubmit()")
    assert await page.evaluate("window.asked") == 0
    await page.get_by_label("I agree").check()
    await expect(page.get_by_role("button", name="Join")).to_be_enabled()
    assert await page.evaluate("window.asked") == 0


@needs_chromium
@pytest.mark.slow
async def test_whoever_agreed_to_something_else_than_the_room_publishes_now_is_asked_again(room: LocalRoom, page: Page) -> None:
    opened_otherwise = asyncio.Event()

    async def changed(route: Route) -> None:
        told = await (await route.fetch()).json()
        if opened_otherwise.is_set():
            told["published"] |= {"names": True, "attention": True}
        await route.fulfill(json=told)

    happenings = room.happenings()
    # before the page is loaded: a page already loaded hears of a route only after a while, and may send requests past it
    await page.route("**/configuration.json", changed)
    await page.goto(room.url)
    await expect(page.locator("#published")).to_contain_text("under a pseudonym")
    await page.get_by_label("I agree").check()
    opened_otherwise.set()  # as if the room had been restarted meanwhile
    await page.get_by_role("button", name="Join").click()
    await expect(page.get_by_role("status")).to_have_text("What is published has changed. Read it above, then join again.")
    await expect(page.locator("#published")).to_contain_text("under the name that you give")
    await expect(page.locator("#published")).to_contain_text("They also receive a list of people who may need help")
    await expect(page.get_by_label("I agree")).not_to_be_checked()
    await expect(page.get_by_role("button", name="Join")).to_be_disabled()
    assert await page.evaluate("window.asked") == 0
    await page.get_by_label("I agree").check()
    await page.get_by_role("button", name="Join").click()
    await next_arrival(happenings)


@needs_chromium
async def test_a_student_whose_page_goes_away_has_left(room: LocalRoom, page: Page) -> None:
    happenings = room.happenings()
    await page.goto(room.url)
    await page.get_by_label("I agree").check()
    await page.get_by_role("button", name="Join").click()
    arrival = await next_arrival(happenings)
    await expect(page.get_by_role("button", name="Leave")).to_be_visible()
    await page.goto("about:blank")
    assert await next_departure(happenings) == Departure(arrival.participant.id, "left")


@needs_chromium
@pytest.mark.slow
async def test_while_a_no_is_under_way_sign_and_status_agree_on_it(room: LocalRoom, page: Page) -> None:
    may_go = asyncio.Event()

    async def held(route: Route) -> None:
        await may_go.wait()
        await route.continue_()

    happenings = room.happenings()
    await page.route("**/consent", held)
    await page.goto(room.url)
    await page.get_by_label("I agree").check()
    await page.get_by_role("button", name="Join").click()
    await next_arrival(happenings)
    assert (await next_consent(happenings)).granted
    await expect(page.get_by_role("status")).to_have_text("You are in the room, and you are being read.")
    await page.get_by_role("button", name="Stop reading me").click()
    await expect(page.locator("#sign")).to_have_text("You are not being read")
    await expect(page.get_by_role("status")).to_have_text("You are in the room, and you are not being read.")
    may_go.set()
    assert not (await next_consent(happenings)).granted
    await expect(page.get_by_role("button", name="Let me be read again")).to_be_visible()


@needs_chromium
@pytest.mark.slow
async def test_the_page_tells_at_once_that_the_room_has_closed(page: Page) -> None:
    async with host("maths", read_settings(port=0)) as room:
        await page.goto(room.url)
        await page.get_by_label("I agree").check()
        await page.get_by_role("button", name="Join").click()
        await expect(page.get_by_role("status")).to_have_text("You are in the room, and you are being read.")
    # before Chromium gives the connection up, which takes 15 s and more
    await expect(page.get_by_role("status")).to_contain_text("connection to the room was lost", timeout=5000)
    await expect(page.locator("#sign")).to_be_hidden()


@needs_chromium
@pytest.mark.slow  # a camera below one frame a second makes Chromium send nothing
async def test_a_page_at_the_lowest_frame_rate_that_can_be_set_sends_pictures(page: Page) -> None:
    async with host("maths", read_settings(port=0, page_frames_per_second=1)) as room:
        await page.goto(room.url)
        await page.get_by_label("I agree").check()
        await page.get_by_role("button", name="Join").click()
        assert await first_frames((await next_arrival(room.happenings())).track)


@needs_chromium
@pytest.mark.slow
async def test_the_page_says_in_plain_words_why_it_did_not_go_on(page: Page) -> None:
    settings = read_settings(port=0, max_participants=1, room_token="se+same/=")
    invited = {"Authorization": "Bearer se+same/="}
    async with host("maths", settings) as room, aiohttp.ClientSession(headers=invited) as http:
        happenings = room.happenings()
        await page.goto(room.url)
        await expect(page.get_by_role("status")).to_have_text("This room needs the link from your invitation.")
        await page.goto("about:blank")
        await page.goto(f"{room.url}/#token=se+same/=")
        await page.get_by_label("I agree").check()
        async with publisher(http, room.whip_url) as published:
            await page.get_by_role("button", name="Join").click()
            await expect(page.get_by_role("status")).to_have_text("The room refused: the room is full")
            await http.delete(published.session_url)
        await next_arrival(happenings)
        await next_departure(happenings)
        await page.get_by_role("button", name="Join").click()
        arrival = await next_arrival(happenings)
        await expect(page.get_by_role("button", name="Leave")).to_be_visible()
        room.drop(arrival.participant.id, "stalled")
        await expect(page.get_by_role("status")).to_contain_text("connection to the room was lost")
