"""Debian's Chromium, headless, before the status page as it is served; whatever it complains about fails the test.

Without Chromium the tests are skipped with the way to install it; `SYNCD_TEST_SERVERS=required` makes that a failure.
"""

import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from tests.browser.scene import TOKEN, Scene
from tests.end_to_end.conftest import Stage
from tests.planted import notes

CHROMIUM = "chromium"
LOOK_SECONDS = 30_000
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Return the browser, started once."""
    path = shutil.which(CHROMIUM)
    if path is None:
        if os.environ.get("SYNCD_TEST_SERVERS") == "required":
            pytest.fail("there is no chromium, and it is required here: apt-get install chromium")
        pytest.skip("no Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield started
        await started.close()


@dataclass
class Visitor:
    """A person before the status page: one window, and what went wrong in it."""

    page: Page
    address: str
    shots: Path
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note whatever the browser complains about, and whoever else is asked."""
        self.page.set_default_timeout(LOOK_SECONDS)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"a script failed: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type} at {message.location.get('url')}: {message.text}")

    def _failed(self, request: Request) -> None:
        # What is still loaded when somebody goes on to the next page ends with this one.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"not loaded: {request.url}: {request.failure}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.address}/", "data:")):
            self.complaints.append(f"asked elsewhere: {request.url}")

    async def go(self, path: str) -> None:
        """Open a page."""
        answer = await self.page.goto(self.address + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        notes.look_at(f"page {path}", await answer.text())

    async def log_in(self, name: str = "ann") -> None:
        """Log in as people do: the link at the top, name, token, Enter."""
        await self.page.get_by_role("link", name="Log in", exact=True).click()
        await self.page.get_by_label("Your name").fill(name)
        await self.page.get_by_label("Token").fill(TOKEN)
        await self.page.keyboard.press("Enter")
        await self.page.get_by_role("button", name="Log out").wait_for()

    async def confirm(self, button: str, reason: str = "seen in the CRM") -> None:
        """Give a reason on the page that asks for one, and press its button."""
        await self.page.get_by_label("Why?").fill(reason)
        await self.page.get_by_role("button", name=re.compile(button)).click()
        await self.page.locator("#note").wait_for()

    async def sees(self, text: str) -> None:
        """Wait until a text is on the page."""
        await self.page.get_by_text(text).first.wait_for()

    async def keep(self, name: str) -> None:
        """Keep a picture of the whole page."""
        await self.page.screenshot(path=self.shots / f"{name}.png", full_page=True)


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Return the folder for pictures of the pages: that of SYNCD_SCREENSHOTS, if somebody wants to look at them."""
    folder = Path(os.environ.get("SYNCD_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


Visit = Callable[..., Awaitable[Visitor]]


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, shots: Path) -> AsyncIterator[Visit]:
    """Return what opens a window before a server; at the end nothing may have been complained about in any."""
    visitors: list[Visitor] = []
    async with AsyncExitStack() as stack:

        async def open_window(address: str, **options: Any) -> Visitor:
            context = await stack.enter_async_context(_window(browser, **options))
            visitors.append(Visitor(await context.new_page(), address, shots))
            visitors[-1].watch()
            return visitors[-1]

        yield open_window
    for one in visitors:
        assert [what for what in one.complaints if not any(word in what for word in one.expected)] == []


@asynccontextmanager
async def _window(browser: Browser, **options: Any) -> AsyncIterator[Any]:
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    yield context
    await context.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def filled_scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Return a scene whose database is filled, once for all tests."""
    made = Scene(tmp_path_factory.mktemp("scene"))
    await made.fill()
    return made


@pytest_asyncio.fixture(loop_scope="session")
async def scene(tmp_path: Path, filled_scene: Scene) -> AsyncIterator[Scene]:
    """Return a status page over a database in which there is one of everything."""
    made = Scene(tmp_path)
    await made.open(filled_scene)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Return a helpdesk and a sandbox, with settings for a real worker between them."""
    made = Stage(tmp_path)
    await made.open()
    yield made
    await made.close()
