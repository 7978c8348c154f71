"""The site in a real browser, from the file system, as a reader opens it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the browser tests need the dependency group 'browser'"
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the PATH: install Debian's 'chromium' to run these"
)

ARGUMENTS = [
    "--headless",
    "--no-sandbox",  # CI containers run as root, where Chromium's sandbox cannot start
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The installed Chromium; nothing is downloaded."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def seen() -> dict[str, list[str]]:
    """What pages asked for and complained about."""
    return {"requests": [], "complaints": []}


@pytest.fixture
def page(browser: Browser, seen: dict[str, list[str]]) -> Iterator[Page]:
    """A fresh page that keeps its requests, console messages and errors in ``seen``."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("request", lambda request: seen["requests"].append(request.url))
    page.on("console", lambda message: seen["complaints"].append(message.text))
    page.on("pageerror", lambda error: seen["complaints"].append(str(error)))
    yield page
    context.close()


def test_no_page_complains_or_asks_for_anything_but_itself(
    page: Page, seen: dict[str, list[str]], site: Path
) -> None:
    """The console stays empty, and one file is read for each page."""
    pages = sorted(site.rglob("*.html"))
    for path in pages:
        page.goto(path.as_uri())
    assert seen["complaints"] == []
    # The empty icon is a data: address, which some versions report as a request.
    loaded = [url for url in seen["requests"] if not url.startswith("data:")]
    assert loaded == [path.as_uri() for path in pages]


def test_a_cell_of_the_matrix_leads_to_its_details(page: Page, site: Path) -> None:
    """From the diverging cell to the subject's part of the clause's page, and on to the case."""
    page.goto((site / "index.html").as_uri())
    page.locator(".matrix td.s-diverges a").first.click()
    assert page.url.startswith((site / "clauses" / "BN-Y-1.html").as_uri())
    assert page.locator("section:target h2").inner_text().startswith("bad.three@gpu")
    page.locator("section:target").get_by_role("link", name="d-bad").click()
    assert page.url == (site / "divergences" / "d-bad.html").as_uri()


def test_markup_in_a_message_is_not_obeyed(page: Page, site: Path, hostile: str) -> None:
    """The reader sees the text as the framework wrote it; no element came of it."""
    page.goto((site / "divergences" / "d-bad.html").as_uri())
    assert hostile in page.locator(".lead").inner_text()
    assert page.locator("main script, main b").count() == 0


def test_the_heads_of_the_matrix_stay_in_view(page: Page, site: Path) -> None:
    """Subjects stay at the top and clauses at the left while the matrix moves below them."""
    page.set_viewport_size({"width": 360, "height": 500})
    page.goto((site / "index.html").as_uri())
    matrix = page.locator(".matrix")
    matrix.evaluate("box => { box.scrollTop = 80; box.scrollLeft = 120; }")
    frame, corner = matrix.bounding_box(), page.locator(".matrix .corner").bounding_box()
    assert frame is not None
    assert corner is not None
    assert abs(corner["x"] - frame["x"]) <= 2
    assert abs(corner["y"] - frame["y"]) <= 2


@pytest.mark.parametrize(
    "width",
    [
        pytest.param(1280, id="a small desktop window"),
        pytest.param(390, id="a telephone"),
    ],
)
def test_no_page_is_wider_than_the_window(page: Page, site: Path, width: int) -> None:
    """Wide tables scroll by themselves; the page does not."""
    page.set_viewport_size({"width": width, "height": 900})
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param("light", id="dark ink on white"),
        pytest.param("dark", id="light ink on black"),
    ],
)
def test_every_status_can_be_read(browser: Browser, site: Path, scheme: Any) -> None:
    """Text and ground of each kind of cell have a contrast of at least 4.5 (WCAG 2 AA)."""
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    contrasts = page.evaluate(CONTRASTS)
    context.close()
    assert len(contrasts) >= 11
    assert {name: value for name, value in contrasts.items() if value < 4.5} == {}


CONTRASTS = """() => {
  const light = text => {
    const [r, g, b] = text.match(/[0-9.]+/g).slice(0, 3).map(Number).map(c => c / 255)
      .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    const own = getComputedStyle(element).backgroundColor;
    return own.endsWith(', 0)') && element.parentElement ? ground(element.parentElement) : own;
  };
  const found = {};
  for (const mark of document.querySelectorAll('.mark')) {
    const [a, b] = [light(getComputedStyle(mark).color), light(ground(mark))];
    found[mark.innerText] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }
  return found;
}"""
