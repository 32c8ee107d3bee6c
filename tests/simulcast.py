"""Real Chromium in a Janus room: a student on one of the tests' pages, who sends three sizes of one picture at once."""

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
    """A student in a browser; `id` is their id in the room."""

    def __init__(self, page: Page, feed: int | str) -> None:
        self.id = str(feed)
        self._page = page

    async def publish(self, **wish: Any) -> list[str]:
        """Send video, by default in three layers from 720p down; returns the mids of the video lines.

        `simulcast`, `codec` (VP8, H264, VP9), `width`, `height`, `audio`, `screen` (a second video, described as a screen),
        `retransmission`, `turn` (by how many degrees clockwise the pictures need to be turned, as a phone declares it).
        """
        mids: list[str] = await self._page.evaluate("wish => student.publish(wish)", wish)
        return mids

    async def unpublish(self) -> None:
        """Turn the camera off, and stay in the room."""
        await self._page.evaluate("() => student.unpublish()")

    async def leave(self) -> None:
        """Leave properly."""
        await self._page.evaluate("() => student.leave()")

    async def hang_up(self) -> None:
        """Vanish without telling anybody."""
        await self._page.evaluate("() => student.hangUp()")

    async def layers(self) -> dict[str, dict[str, int]]:
        """Each layer's width, height and number of frames sent, by rid."""
        sent: dict[str, dict[str, int]] = await self._page.evaluate("() => student.layers()")
        return sent


@asynccontextmanager
async def browser_student(server: JanusServer, display: str, camera: Path | None = None) -> AsyncIterator[BrowserStudent]:
    """A student in their own Chromium, who has joined but does not publish yet; `camera` is an MJPEG or Y4M file.

    At the end of the block the browser is gone, without telling the room.
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
    """Serve the tests' pages on a loopback port: browsers give a page the camera only there, or over https."""
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
