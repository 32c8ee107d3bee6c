"""Real Chromium in a Janus room: a student of a page of the tests, which sends three sizes of one picture at once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Page, async_playwright

from tests.chromium import CHROMIUM, FLAGS
from tests.janus_servers import JanusServer

PAGES = Path(__file__).with_name("pages")


class BrowserStudent:
    """A student in a browser; `id` is the room's for them."""

    def __init__(self, page: Page, feed: int | str) -> None:
        self.id = str(feed)
        self._page = page

    async def publish(self, **wish: Any) -> list[str]:
        """Send video, by default three layers at 720p; the mids of the video lines.

        `simulcast`, `codec` (VP8, H264, VP9), `width`, `height`, `audio`, `screen` (a second video, described as a screen),
        `retransmission`, `turn` (how far the pictures are to be turned clockwise, in degrees, as a phone says of them).
        """
        mids: list[str] = await self._page.evaluate("wish => student.publish(wish)", wish)
        return mids

    async def unpublish(self) -> None:
        """Turn the camera off, and stay."""
        await self._page.evaluate("() => student.unpublish()")

    async def leave(self) -> None:
        """Leave as one should."""
        await self._page.evaluate("() => student.leave()")

    async def hang_up(self) -> None:
        """Be gone, without telling anybody."""
        await self._page.evaluate("() => student.hangUp()")

    async def layers(self) -> dict[str, dict[str, int]]:
        """Width, height and frames sent of each layer, by its rid."""
        sent: dict[str, dict[str, int]] = await self._page.evaluate("() => student.layers()")
        return sent


@asynccontextmanager
async def browser_student(server: JanusServer, display: str, camera: Path | None = None) -> AsyncIterator[BrowserStudent]:
    """A student in a Chromium of their own, who has joined and does not publish yet; `camera` is an MJPEG or Y4M file.

    The browser is gone with the block, and says nothing to the room.
    """
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_served())
        playwright = await stack.enter_async_context(async_playwright())
        flags = [*FLAGS, *([f"--use-file-for-fake-video-capture={camera}"] if camera else [])]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags, chromium_sandbox=False)
        stack.push_async_callback(browser.close)
        page = await browser.new_page()
        await page.goto(f"{url}/janus.html")
        where = {"url": server.url, "room": server.room, "display": display}
        secrets = {"pin": server.options.pin, "secret": server.options.api_secret}
        yield BrowserStudent(page, await page.evaluate("where => student.join(where)", {**where, **secrets}))


@asynccontextmanager
async def _served() -> AsyncIterator[str]:
    """The pages of the tests on a loopback port: only there, and under https, has a page a camera."""
    application = web.Application()
    application.router.add_static("/", PAGES)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
