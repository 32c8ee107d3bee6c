"""The report's page in a real browser: accessible by the rules, on paper and on small screens, without a network."""

from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright

from bot.cli import main
from bot.recorded_marks import marks_file
from pipeline.markers import LONGEST_LABEL, new_marker
from tests.chromium import CHROMIUM, FLAGS, needs_chromium
from tests.lessons import STARTS_MS

EXAMPLE = Path(__file__).parent / "fixtures" / "example-class.jsonl.gz"
A4_WIDTH = 718
"""Width in CSS pixels between the margins that Chromium leaves on A4 paper."""

OVERFULL = """() => [...document.querySelectorAll("table")]
  .map((table) => [table.caption.textContent, table.scrollWidth, table.parentElement.clientWidth])
  .filter(([, width, room]) => width > room)"""

WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def pages(tmp_path: Path) -> tuple[Path, Path]:
    """The report of the example class with two marks, and two such reports side by side."""
    folder, recording = tmp_path, tmp_path / "class.jsonl.gz"
    recording.write_bytes(EXAMPLE.read_bytes())
    marks = [new_marker("exercise", STARTS_MS + 300_000), new_marker("W" * LONGEST_LABEL, STARTS_MS + 420_000)]
    marks_file(recording).write_text("".join(f"{each.model_dump_json()}\n" for each in marks))
    told, data, compared = folder / "report.html", folder / "report.json", folder / "compared.html"
    for out in (told, data):
        assert main(["report", "--recording", str(recording), "--out", str(out)]) == 0
    assert main(["report", "--compare", str(data), str(data), "--out", str(compared)]) == 0
    return told, compared


async def look_at(page: Page, path: Path) -> None:
    """Open the page, and check it against the rules."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith("file:") else None)
    await page.goto(path.as_uri())
    for summary in await page.locator("summary").all():
        await summary.click()
    results = await Axe().run(page, options=WCAG)
    assert results.violations_count == 0, results.generate_report()
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert await page.locator("svg").first.is_visible()
    assert complaints == []


async def test_the_pages_are_accessible_in_light_and_dark_and_fit_a_phone(pages: tuple[Path, Path]) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for path, scheme, width in ((pages[0], "light", 1366), (pages[0], "dark", 390), (pages[1], "dark", 390)):
            page = await browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
            await look_at(page, path)
            await page.close()
        page = await browser.new_page()
        await page.goto(pages[0].as_uri())
        assert (await page.pdf(format="A4")).startswith(b"%PDF")
        await browser.close()


async def test_no_table_is_cut_off_on_paper_and_none_stays_closed(pages: tuple[Path, Path]) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport={"width": A4_WIDTH, "height": 1000})
        await page.emulate_media(media="print")
        for path in pages:
            await page.goto(path.as_uri())
            assert await page.evaluate(OVERFULL) == []
            assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            shown = (
                "[...document.querySelectorAll('table')].every((table) => table.checkVisibility({ contentVisibilityAuto: true }))"
            )
            assert await page.evaluate(shown)
        await browser.close()
