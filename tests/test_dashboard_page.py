"""The dashboard in a real Chromium: what a teacher sees of a class, and what no event or name can do to it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import combinations

import aiohttp
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, FloatRect, Page, Request, Route, async_playwright, expect
from pydantic import SecretStr
from redis.asyncio import Redis

from dashboard.options import DashboardOptions
from dashboard.server import serving
from dashboard.sessions import Secrets
from model.faces import EMOTIONS, Emotion
from pipeline.clock import now_ms
from pipeline.coverage import Coverage
from pipeline.events import AttentionCleared, AttentionRaised, BasisStated, Label
from pipeline.forget import forget
from pipeline.keys import Keys
from pipeline.markers import mark, markers
from tests.chromium import CHROMIUM, FLAGS, needs_chromium
from tests.dashboards import Lesson, dashboard, sample, status, summary
from tests.redis_servers import SERVER, RedisServer, free_port, needs_redis, running_redis, stopped_redis
from tests.test_publish import full

pytestmark = [needs_redis, needs_chromium, pytest.mark.timeout(180)]

WITHIN_MS = 2_000
SCRIPT_RAN = "window.itRan === true"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser that can reach only this machine, whatever a page asks for."""
    only_here = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    async with async_playwright() as playwright:
        yield (
            launched := await playwright.chromium.launch(
                executable_path=CHROMIUM, args=[*FLAGS, only_here], chromium_sandbox=False
            )
        )
        await launched.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """One of its pages, which may ask only this machine and must not raise an error."""
    page = await browser.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url) if "//127.0.0.1" not in request.url else None)
    yield page
    assert troubles == []


async def shows(page: Page, coverage: str, **emotions: int) -> None:
    """Wait, no longer than a teacher should have to, for the coverage in words and the number of people with each emotion."""
    await expect(page.locator("#coverage")).to_have_text(coverage, timeout=WITHIN_MS)
    for emotion, count in emotions.items():
        await expect(page.locator(f"#tally [data-emotion={emotion}] b")).to_have_text(str(count), timeout=WITHIN_MS)


@asynccontextmanager
async def held(page: Page, requests: str, method: str) -> AsyncIterator[list[Request]]:
    """Hold back such requests of the page while the block runs."""
    held_back: list[Request] = []
    go_on = asyncio.Event()

    async def hold(route: Route) -> None:
        if route.request.method == method:
            held_back.append(route.request)
            await go_on.wait()
        await route.continue_()

    await page.route(requests, hold)
    try:
        yield held_back
    finally:
        go_on.set()
        await page.unroute_all(behavior="wait")


async def is_live(page: Page) -> None:
    await expect(page.locator("#badge")).to_have_text("live", timeout=10_000)


@asynccontextmanager
async def watched(server: RedisServer, page: Page) -> AsyncIterator[str]:
    """The page shows the class live while the block runs; yields the dashboard's URL."""
    async with dashboard(server) as url:
        await page.goto(f"{url}/rooms/maths")
        await is_live(page)
        yield url


@pytest.mark.slow
async def test_a_scripted_class_is_on_the_page_within_two_seconds(server: RedisServer, redis: Redis, page: Page) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada", "Ben", "Cleo", "Dan")
    async with watched(server, page):
        await shows(page, "4 of 4 seen", neutral=4, happy=0)
        await lesson.show("Ada", Emotion.HAPPY)
        await lesson.cover("Ben", Coverage.CAMERA_OFF)
        await lesson.cover("Cleo", Coverage.CAMERA_OFF)
        await shows(page, "2 of 4 seen: 2 cameras off", neutral=1, happy=1)
        ada = page.locator(".person").filter(has_text="Ada")
        await expect(ada.locator(".what")).to_have_text("happy")
        await expect(ada.locator(".sure")).to_have_text("75 %")
        await expect(page.locator(".person").filter(has_text="Ben").locator(".what")).to_have_text("camera off")
        await lesson.show("Dan", "unknown")
        await shows(page, "2 of 4 seen: 2 cameras off", unknown=1, neutral=0)
        await lesson.leave("Ben")
        await shows(page, "2 of 3 seen: 1 camera off")
        await lesson.tell(summary(happy=0.25))
        await expect(page.locator(".bar").filter(has_text="happy").locator(".value")).to_have_text("25 %", timeout=WITHIN_MS)
        await expect(page.locator("#valence-value")).to_have_text("+0.25")
        await page.keyboard.press("2")
        await expect(page.locator("#mark-said")).to_have_text("Marked “exercise”.")
        assert [mark.label for mark in await markers(redis, lesson.keys)] == ["exercise"]


@pytest.mark.slow
async def test_a_hundred_changes_end_in_what_is_true(server: RedisServer, redis: Redis, page: Page) -> None:
    names, lesson = [f"Student {n}" for n in range(30)], Lesson(redis, "maths")
    await lesson.begin(*names)
    async with watched(server, page):
        for turn in range(10):
            emotion = EMOTIONS[turn % len(EMOTIONS)]
            await lesson.tell(*(sample(name, emotion, now_ms()) for name in names[: 3 * turn]))
            await shows(
                page,
                "30 of 30 seen",
                **{emotion: 3 * turn + (30 - 27 if emotion == "neutral" and turn else 0)} if turn == 9 else {},
            )
        await shows(page, "30 of 30 seen", fear=27, neutral=3)


@pytest.mark.slow
async def test_a_redis_that_restarts_is_shown_as_not_live_and_comes_back(page: Page) -> None:
    with running_redis(SERVER) as server:
        async with server.client() as redis, dashboard(server) as url:
            await Lesson(redis, "maths").begin("Ada", "Ben")
            await page.goto(f"{url}/rooms/maths")
            await is_live(page)
            server.kill()
            await expect(page.locator("#badge")).to_have_text("not live", timeout=8_000)
            await expect(page.locator("#banner")).to_contain_text("Redis is away")
            await expect(page.locator(".person")).to_have_count(2)
            server.start()
            lesson = Lesson(redis, "maths", epoch="2")
            await lesson.begin("Cleo")
            await is_live(page)
            await expect(page.locator(".person")).to_have_count(1, timeout=8_000)
            await shows(page, "1 of 1 seen")
            await lesson.show("Cleo", Emotion.SAD)
            await shows(page, "1 of 1 seen", sad=1)


@pytest.mark.slow
async def test_a_redis_that_is_full_is_named_on_an_open_page_and_on_one_opened_meanwhile(
    server: RedisServer, redis: Redis, browser: Browser, page: Page
) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada")
    async with dashboard(server) as url, dashboard(server) as another:
        tabs = [page, await browser.new_page()]
        await page.goto(f"{url}/rooms/maths")
        await is_live(page)
        async with full(redis):
            await redis.delete(lesson.keys.bot)  # as its time to live does once no heartbeat arrives
            await tabs[1].goto(f"{another}/rooms/maths")
            for tab in tabs:
                await expect(tab.locator("#badge")).to_have_text("not live", timeout=8_000)
                await expect(tab.locator("#banner")).to_contain_text("Redis is full or refuses writes")
            await expect(page.locator("#banner-for")).to_have_text(re.compile(r"^\(\d+ s\)$"))
        await lesson.tell(status())
        for tab in tabs:
            await is_live(tab)
            await shows(tab, "1 of 1 seen")


@pytest.mark.slow
async def test_a_bot_that_ends_and_starts_again_is_seen_to(server: RedisServer, redis: Redis, page: Page) -> None:
    killed = Lesson(redis, "maths")
    await killed.begin("Ada")
    async with watched(server, page):
        await redis.delete(killed.keys.bot)  # as its time to live does
        await expect(page.locator("#badge")).to_have_text("no bot", timeout=8_000)
        await expect(page.locator("#banner")).to_contain_text("There is no longer a bot in this room")
        again = Lesson(redis, "maths", epoch="2")
        await again.leave("Ada")
        await again.begin("Ben")
        await is_live(page)
        await shows(page, "1 of 1 seen")
        await again.tell(status("stopping"))
        await expect(page.locator("#badge")).to_have_text("no bot", timeout=8_000)


@pytest.mark.slow
async def test_two_rooms_at_once_do_not_mix_and_are_followed_once_each(
    server: RedisServer, redis: Redis, browser: Browser
) -> None:
    maths, art = Lesson(redis, "maths"), Lesson(redis, "art {1}/2")
    await maths.begin("Ada", "Ben")
    await art.begin("Cleo")
    async with dashboard(server) as url:
        index = await browser.new_page()
        await index.goto(url)
        await expect(index.locator("#rooms li")).to_have_count(2)
        await index.get_by_role("link", name="art {1}/2").click()
        pages = [index, *[await browser.new_page() for _ in range(2)]]
        for each in pages[1:]:
            await each.goto(f"{url}/rooms/maths")
        for each in pages:
            await is_live(each)
        await art.show("Cleo", Emotion.HAPPY)
        await maths.show("Ada", Emotion.SAD)
        await shows(pages[0], "1 of 1 seen", happy=1, sad=0)
        for each in pages[1:]:
            await shows(each, "2 of 2 seen", happy=0, sad=1)
        # one follower of each room: a blocked XREAD
        clients = await redis.client_list()
        assert sum(client["cmd"] == "xread" for client in clients) == 2


@pytest.mark.slow
async def test_a_reload_in_the_middle_finds_the_past(server: RedisServer, redis: Redis, page: Page) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada")
    await lesson.tell(
        *(summary(happy=n / 10) for n in range(5)), AttentionRaised(participant="Ada", reason="not_visible", for_seconds=180)
    )
    async with dashboard(server) as url:
        for _ in range(2):
            await page.goto(f"{url}/rooms/maths")
            await is_live(page)
            await expect(page.locator("#chart .js-fill").first).to_be_attached(timeout=30_000)
            await expect(page.locator("#needing")).to_contain_text("not visible for 3 min")
            await page.get_by_text("The last ten minutes as a table").click()
            await expect(page.locator("#table-body tr")).not_to_have_count(0)
            await page.reload()
        await lesson.tell(AttentionCleared(participant="Ada", reason="not_visible", for_seconds=200))
        await expect(page.locator("#needing li")).to_have_count(0, timeout=WITHIN_MS)


@pytest.mark.slow
async def test_who_is_erased_from_redis_is_erased_from_the_page(server: RedisServer, redis: Redis, page: Page) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada", "Ben")
    await lesson.tell(status("stopping"))
    async with dashboard(server) as url:
        await page.goto(f"{url}/rooms/maths")
        await shows(page, "2 of 2 seen")
        await forget(redis, lesson.keys, "Ada")
        await shows(page, "1 of 1 seen")
        assert "Ada" not in await page.content()


@pytest.mark.slow
async def test_a_link_that_is_no_longer_valid_says_so_and_goes_on_saying_it(
    server: RedisServer, redis: Redis, page: Page
) -> None:
    await Lesson(redis, "maths").begin("Ada")
    port = free_port()

    @asynccontextmanager
    async def there(secret: str) -> AsyncIterator[DashboardOptions]:
        options = DashboardOptions(port=port, link_secret=SecretStr(secret))
        async with server.client() as client, serving(client, "classmood", options):
            yield options

    async with there("of the first class") as options:
        await page.goto(f"http://127.0.0.1:{port}/look/maths/{Secrets(options).link_token('maths')}")
        await is_live(page)
    async with there("of the second class"):
        await expect(page.locator("#banner")).to_have_text(re.compile("no longer valid"), timeout=10_000)
        await page.wait_for_timeout(2_500)
        await expect(page.locator("#banner")).to_have_text(re.compile("no longer valid"))
        await expect(page.locator("#badge")).to_have_text("not live")


@pytest.mark.slow
async def test_a_past_without_a_bot_is_not_told_as_the_present(server: RedisServer, redis: Redis, page: Page) -> None:
    await told_in_the_past(redis, 135, 50)
    async with watched(server, page):
        await page.get_by_text("The last ten minutes as a table").click()
        earlier = page.locator("#table-body tr").last.locator("th")
        await expect(earlier).to_have_text("2 min ago")
        await expect(page.locator("#chart-words")).to_contain_text("now mostly happy, 75 %")
        await expect(earlier).to_have_text("3 min ago", timeout=40_000)
        await expect(page.locator("#chart-words")).to_contain_text("last mostly happy, 75 %", timeout=20_000)


async def told_in_the_past(redis: Redis, *seconds_ago: int) -> None:
    """A class with a summary at each of these ages in seconds, and somebody who is there now."""
    for seconds in seconds_ago:
        lesson = Lesson(redis, "maths", str(seconds), clock=lambda seconds=seconds: now_ms() - seconds * 1000)  # type: ignore[misc]
        await lesson.tell(status(), summary(happy=0.75))
    await Lesson(redis, "maths", "0").begin("Ada")


@pytest.mark.slow
async def test_nothing_waits_for_the_chart_which_is_drawn_of_what_came_before_it(
    server: RedisServer, redis: Redis, page: Page
) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada")
    await lesson.tell(summary(), summary(0.75))
    async with dashboard(server) as url:
        async with held(page, "**/plotly.min.js", "GET"):
            await page.goto(f"{url}/rooms/maths", wait_until="commit")
            await is_live(page)
            await shows(page, "1 of 1 seen", neutral=1)
            await expect(page.locator(".bar").filter(has_text="happy").locator(".value")).to_have_text("75 %")
            await expect(page.locator("#chart")).to_have_text(re.compile("^The chart has not loaded yet"))
            await page.keyboard.press("2")
            await expect(page.locator("#mark-said")).to_have_text("Marked “exercise”.")
        await expect(page.locator("#chart .js-fill").first).to_be_attached(timeout=30_000)
        await expect(page.locator("#chart .annotation-text").filter(has_text="exercise")).to_be_attached()
        await expect(page.locator("#chart .note")).to_have_count(0)


@pytest.mark.slow
async def test_a_chart_that_never_comes_is_told_of_in_its_place(server: RedisServer, redis: Redis, page: Page) -> None:
    await Lesson(redis, "maths").begin("Ada")
    async with dashboard(server) as url:
        await page.route("**/plotly.min.js", refuse)
        await page.goto(f"{url}/rooms/maths")
        await is_live(page)
        await expect(page.locator("#chart")).to_have_text(re.compile("^The chart did not load"))
        await judge(page)


async def refuse(route: Route) -> None:
    await route.fulfill(status=503)


@pytest.mark.slow
async def test_a_stream_that_is_refused_is_tried_again_though_nobody_says_why(
    server: RedisServer, redis: Redis, page: Page
) -> None:
    await Lesson(redis, "maths").begin("Ada")
    async with dashboard(server) as url:
        async with held(page, "**/rooms/maths", "HEAD") as asked:
            await page.route("**/live", refuse, times=1)
            await page.goto(f"{url}/rooms/maths")
            await expect(page.locator("#badge")).to_have_text("not live")
            await expect(page.locator("#badge")).to_have_text("live", timeout=20_000)
        assert len(asked) == 1


@pytest.mark.slow
async def test_summaries_that_are_minutes_apart_are_drawn(server: RedisServer, redis: Redis, page: Page) -> None:
    await told_in_the_past(redis, 480, 360, 240, 120, 90)
    async with watched(server, page):
        await expect(page.locator("#chart .js-fill").first).to_be_attached(timeout=30_000)
        assert await page.evaluate("document.getElementById('chart').layout.shapes.length") == 0, "nothing is covered"
        texts = await page.evaluate("document.getElementById('chart').layout.annotations.map(({ text }) => text.trim())")
        assert "happy" in texts


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1366])
async def test_marks_half_a_minute_apart_are_named_without_one_name_over_another(
    server: RedisServer, redis: Redis, page: Page, width: int
) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada")
    await lesson.tell(summary(), summary(0.75))
    words = ("exercise", "explanation of it", "discussion", "questions")
    for number, label in enumerate(words):
        await mark(redis, lesson.keys, label, now_ms() - 30_000 * (len(words) - number))
    await page.set_viewport_size({"width": width, "height": 800})
    async with watched(server, page):
        names = page.locator("#chart .annotation-text").filter(has_text=re.compile("|".join(words)))
        await expect(names.filter(has_text="questions")).to_be_attached(timeout=30_000)
        chart = await page.locator("#chart").bounding_box()
        boxes = [box for each in await names.all() if (box := await each.bounding_box())]
    assert chart is not None and len(boxes) >= 2
    assert all(chart["y"] <= box["y"] and box["x"] + box["width"] <= chart["x"] + chart["width"] for box in boxes)
    assert not any(cover(one, other) for one, other in combinations(boxes, 2))


def cover(one: FloatRect, other: FloatRect) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]  # type: ignore[literal-required]
        for start, size in (("x", "width"), ("y", "height"))
    )


@pytest.mark.slow
async def test_shares_add_up_to_a_hundred_percent_now_and_in_the_table(server: RedisServer, redis: Redis, page: Page) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada")
    thirds = {**dict.fromkeys(EMOTIONS, 0.0), Emotion.HAPPY: 1 / 3, Emotion.SAD: 1 / 3, Emotion.FEAR: 1 / 3}
    await lesson.tell(summary().model_copy(update={"shares": thirds}))
    async with watched(server, page):
        await expect(page.locator("#bars .value").first).to_have_text("34 %")
        assert await page.locator("#bars .value").all_text_contents() == ["34 %", "0 %", "0 %", "33 %", "33 %", "0 %", "0 %"]
        row = await page.locator("#table-body tr").first.locator("td").all_text_contents()
        assert row[: len(EMOTIONS)] == ["34 %", "0 %", "0 %", "33 %", "33 %", "0 %", "0 %"]
        await expect(page.locator("#chart-words")).to_contain_text("now mostly happy, 34 %")


@pytest.mark.slow
async def test_the_table_and_the_words_of_the_chart_have_the_marks_where_they_were_made(
    server: RedisServer, redis: Redis, page: Page
) -> None:
    await told_in_the_past(redis, 300, 120, 5)
    keys = Keys("classmood", "maths")
    for label, seconds_ago in (("long ago", 700), ("<b>exercise", 200), ("break", 1)):
        await mark(redis, keys, label, now_ms() - seconds_ago * 1000)
    async with watched(server, page):
        await page.get_by_text("The last ten minutes as a table").click()
        marked = page.locator("#table-body td.mark")
        await expect(marked).to_have_text(["marked: break", "marked: <b>exercise"])
        await page.keyboard.press("2")
        await expect(marked).to_have_text(["marked: exercise", "marked: break", "marked: <b>exercise"])
        rows = await page.locator("#table-body tr").evaluate_all("rows => rows.map(row => row.cells.length)")
        assert rows == [2, 2, 10, 10, 2, 10]
        words = page.locator("#chart-words")
        await expect(words).to_contain_text("Marked: “<b>exercise” 3 min ago, “break” now, “exercise” now.")


HOSTILE = [
    "<img src=x onerror=window.itRan=true>",
    "<script>window.itRan=true</script>",
    '"><svg onload=window.itRan=true>',
    "javascript:window.itRan=true",
    "\u202eevil\u2066\u2067",
    "{{constructor.constructor('window.itRan=true')()}}",
    "\x00\x1b[2J\u0007",
    "x" * 5000,
    "é̵̢̛" * 200,
]


@pytest.mark.slow
async def test_hostile_names_are_text_and_nothing_else(server: RedisServer, redis: Redis, page: Page) -> None:
    lesson = Lesson(redis, "<img src=x onerror=window.itRan=true>")
    await lesson.begin(*HOSTILE, "Plain")
    await lesson.tell(*(AttentionRaised(participant=name, reason=name, for_seconds=90) for name in HOSTILE[:4]))
    await lesson.tell(summary(), summary(0.25))
    async with dashboard(server, marks=("<b onmouseover=window.itRan=true>",)) as url:
        await page.goto(url)
        await page.get_by_role("link", name="<img").click()
        await is_live(page)
        await expect(page.locator(".person")).to_have_count(len(HOSTILE) + 1)
        await page.keyboard.press("1")
        await expect(page.locator("#mark-said")).to_contain_text("Marked")
        await expect(page.locator("#chart .annotation-text").filter(has_text="<b onmouse")).to_be_attached(timeout=30_000)
        assert not await page.evaluate(SCRIPT_RAN)
        assert await page.locator("img, iframe, .person script, .name *, #needing svg").count() == 0
        plain = page.locator(".person").filter(has_text="Plain")
        assert "Plain" in await plain.inner_text()
        widest = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert widest <= 0, "a name pushes the page wide"
        directions = await page.eval_on_selector_all(".person .name", "names => names.map(name => [name.tagName, name.dir])")
        assert set(map(tuple, directions)) == {("BDI", "auto")}


@pytest.mark.slow
async def test_an_unknown_room_says_so_until_a_bot_is_there(server: RedisServer, redis: Redis, page: Page) -> None:
    async with dashboard(server) as url:
        await page.goto(f"{url}/rooms/nowhere")
        await expect(page.locator("#banner")).to_contain_text("no room of this name")
        await page.keyboard.press("2")
        await expect(page.locator("#mark-said")).to_have_text("Marked “exercise”. This room has no events yet.")
        await Lesson(redis, "nowhere").begin()
        await is_live(page)
        await page.keyboard.press("2")
        await expect(page.locator("#mark-said")).to_have_text("Marked “exercise”.")
        await expect(page.locator("#people-note")).to_have_text("Nobody is in the room.")
        await expect(page.locator("#coverage")).to_have_text("nobody is here")


@pytest.mark.slow
async def test_without_redis_the_page_waits_for_it(page: Page) -> None:
    with stopped_redis(SERVER) as server:
        async with server.client() as redis, dashboard(server) as url:
            await page.goto(f"{url}/rooms/maths")
            await expect(page.locator("#badge")).to_have_text("not live", timeout=8_000)
            server.start()
            await Lesson(redis, "maths").begin("Ada")
            await is_live(page)
            await shows(page, "1 of 1 seen")


@pytest.mark.slow
@pytest.mark.parametrize("off_seconds", [-600, 600])
async def test_ages_are_right_under_a_bots_clock_that_is_minutes_off(
    server: RedisServer, redis: Redis, page: Page, off_seconds: int
) -> None:
    lesson = Lesson(redis, "maths", clock=lambda: now_ms() + off_seconds * 1000)
    await lesson.begin("Ada")
    async with dashboard(server) as url:
        await page.add_init_script("Date.now = () => 0")
        await page.goto(f"{url}/rooms/maths")
        await is_live(page)
        await lesson.show("Ada", Emotion.HAPPY)
        await lesson.tell(summary())
        ada = page.locator(".person").filter(has_text="Ada")
        await expect(ada.locator(".what")).to_have_text("happy")
        await expect(ada.locator(".age")).to_have_text("now")
        await expect(ada.locator(".age")).to_have_text(re.compile(r"^([4-9]|1\d) s ago$"), timeout=15_000)


@pytest.mark.slow
async def test_two_hundred_participants_are_shown(server: RedisServer, redis: Redis, page: Page) -> None:
    await Lesson(redis, "maths").begin(*(f"Student {n}" for n in range(200)))
    async with dashboard(server) as url:
        await page.goto(f"{url}/rooms/maths")
        await expect(page.locator(".person")).to_have_count(200, timeout=10_000)
        await shows(page, "200 of 200 seen", neutral=200)
        names = await page.eval_on_selector_all(".person .name", "names => names.map(name => name.textContent)")
        assert names == [f"Student {n}" for n in range(200)]


@pytest.mark.slow
async def test_an_aggregate_class_shows_the_class_and_nobody(server: RedisServer, redis: Redis, page: Page) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada", "Ben")
    basis = BasisStated(
        jurisdiction="US", basis="consent", purpose=None, level="aggregate", consent="asked", names=False,
        retention_hours=1, model="test", version="1",
    )  # fmt: skip
    await lesson.tell(basis, summary(participants=20, scored=15))
    async with watched(server, page):
        await expect(page.locator("#people-note")).to_contain_text("publishes only its summary")
        await shows(page, "about 15 of 20 seen: 5 cameras off")
        await expect(page.locator(".person")).to_have_count(0)
        assert "Ada" not in await page.content()
        await lesson.tell(summary(None, participants=0, scored=0))
        await expect(page.locator("#withheld")).to_contain_text("Shares are withheld", timeout=WITHIN_MS)


@pytest.mark.slow
async def test_the_password_is_asked_for_and_leads_back(server: RedisServer, redis: Redis, page: Page) -> None:
    await Lesson(redis, "maths").begin("Ada")
    async with dashboard(server, password=SecretStr("open sesame")) as url:
        await page.goto(f"{url}/rooms/maths")
        await page.get_by_label("Password").fill("guess guess")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("alert")).to_have_text("Wrong password.")
        await page.get_by_label("Password").fill("open sesame")
        await page.get_by_role("button", name="Log in").click()
        await is_live(page)
        await page.get_by_role("button", name="Read-only link").click()
        link = await page.get_by_role("textbox", name="Read-only link").input_value()
        await page.get_by_role("button", name="Close").click()
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        await page.goto(link)
        await is_live(page)
        await expect(page.locator("#marks")).to_be_hidden()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1366, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_stands_in_the_way_of_anybody(
    server: RedisServer, redis: Redis, browser: Browser, width: int, scheme: str
) -> None:
    """By axe-core, with the rules of WCAG 2.2 A and AA."""
    lesson = Lesson(redis, "maths")
    labels: list[Label] = [*EMOTIONS, "unknown"]
    people = [(f"Student {n}", label) for n, label in enumerate(labels)]
    await lesson.tell(status(), *(event for who, label in people for event in lesson.seen(who, label)))
    await lesson.cover("Student 3", Coverage.NO_FACE)
    await lesson.tell(summary(), summary(0.75), AttentionRaised(participant="Student 1", reason="changed", for_seconds=90))
    context = await browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page = await context.new_page()
    async with dashboard(server, password=SecretStr("open sesame")) as url:
        await page.goto(f"{url}/rooms/maths")
        await judge(page)
        await page.get_by_label("Password").fill("open sesame")
        await page.get_by_role("button", name="Log in").click()
        await is_live(page)
        await expect(page.locator("#chart .js-fill").first).to_be_attached(timeout=30_000)
        await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        await judge(page)
        await page.get_by_role("button", name="Read-only link").click()
        await judge(page)
        await page.goto(url)
        await expect(page.locator("#rooms li")).to_have_count(1)
        await judge(page)
    await context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_bars_and_scale_are_seen_where_the_reader_forces_their_own_colours(
    server: RedisServer, redis: Redis, browser: Browser, scheme: str
) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada")
    await lesson.tell(summary(0.75))
    context = await browser.new_context(forced_colors="active", color_scheme=scheme)  # type: ignore[arg-type]
    page = await context.new_page()
    async with watched(server, page):
        for shown, ground in ((".fill[data-emotion=happy]", ".track"), ("#needle", "body")):
            colours = [await computed(page, selector, "background-color") for selector in (shown, ground)]
            assert colours[0] != colours[1] and "rgba(0, 0, 0, 0)" not in colours, shown
        assert (await computed(page, ".scale", "background-image")).startswith("linear-gradient(")
        for bordered in (".track", ".scale"):
            assert await computed(page, bordered, "border-top-color") != await computed(page, ".card", "background-color")
    await context.close()


async def computed(page: Page, selector: str, style: str) -> str:
    """A style of the first matching element, as it is drawn."""
    script = "(node, style) => getComputedStyle(node).getPropertyValue(style)"
    return str(await page.locator(selector).first.evaluate(script, style))


@pytest.mark.slow
async def test_without_javascript_each_page_says_what_it_needs(server: RedisServer, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    async with dashboard(server) as url:
        for path in ("/", "/rooms/maths"):
            await page.goto(url + path)
            said = page.locator("noscript p")
            await expect(said).to_be_visible()
            await expect(said).to_contain_text("cannot be shown without JavaScript")
    await context.close()


async def judge(page: Page) -> None:
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    results = await Axe().run(page, options=rules)
    assert results.response["passes"], "nothing was judged"
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.slow
async def test_everything_can_be_done_with_the_keyboard(server: RedisServer, redis: Redis, page: Page) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada")
    async with watched(server, page):
        await page.keyboard.press("m")
        await page.keyboard.type("2 groups")
        await page.keyboard.press("Enter")
        await expect(page.locator("#mark-said")).to_have_text("Marked “2 groups”.")
        await page.get_by_label("Mark by single keys").uncheck()
        await page.locator("body").press("1")
        await page.get_by_text("How these figures are made").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("The mean over the same participants")).to_be_visible()
        assert [mark.label for mark in await markers(redis, Keys("classmood", "maths"))] == ["2 groups"]


@pytest.mark.slow
async def test_a_mark_on_a_bad_network_is_told_of_at_once_and_stands_once_where_it_was_pressed(
    server: RedisServer, redis: Redis, page: Page
) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada")
    said = page.locator("#mark-said")
    async with dashboard(server) as url:
        # before the page is loaded: a page already loaded hears of a route only after a while, and may send requests past it
        async with held(page, "**/markers", "POST") as sent:
            await page.goto(f"{url}/rooms/maths")
            await is_live(page)
            pressed_ms = now_ms()
            await page.keyboard.press("2")
            await expect(said).to_have_text("Marking “exercise” …", timeout=500)
            await page.keyboard.press("2")
            await page.keyboard.press("1")
            await expect(said).to_have_text("Marking “explanation” …")
            await expect(said).to_have_text(re.compile("^No answer .* “explanation” may not be marked"), timeout=10_000)
        bodies = [each.post_data_json for each in sent]
        assert [body["label"] for body in bodies] == ["exercise", "explanation"]
        await page.keyboard.press("2")
        await expect(said).to_have_text("Marked “exercise”.")
        async with aiohttp.ClientSession() as late:
            for body in bodies:
                await late.post(f"{url}/rooms/maths/markers", json=body, headers={"Origin": url})
        await expect(said).to_have_text("Marked “explanation”.")
    made = await markers(redis, lesson.keys)
    assert [mark.label for mark in made] == ["exercise", "explanation"]
    assert all(abs(mark.at_ms - pressed_ms) < 2_000 for mark in made)


@pytest.mark.slow
async def test_the_same_mark_again_is_another_one(server: RedisServer, redis: Redis, page: Page) -> None:
    lesson = Lesson(redis, "maths")
    await lesson.begin("Ada")
    async with watched(server, page):
        for _ in range(2):
            await page.keyboard.press("4")
            await expect(page.locator("#mark-said")).to_have_text("Marked “break”.")
        assert [mark.label for mark in await markers(redis, lesson.keys)] == ["break", "break"]


@pytest.mark.slow
async def test_a_dashboard_that_restarts_is_noticed_and_found_again(server: RedisServer, redis: Redis, page: Page) -> None:
    await Lesson(redis, "maths").begin("Ada")
    port = free_port()

    @asynccontextmanager
    async def there() -> AsyncIterator[None]:
        async with server.client() as client, serving(client, "classmood", DashboardOptions(port=port)):
            yield

    async with there():
        await page.goto(f"http://127.0.0.1:{port}/rooms/maths")
        await is_live(page)
    await expect(page.locator("#badge")).to_have_text("not live", timeout=8_000)
    async with there():
        await is_live(page)
        await shows(page, "1 of 1 seen")
