"""What people decide, done as they do it: by typing and clicking, by the keyboard alone, with and without scripts."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from syncd.model.link import LinkState
from syncd.store import links, requests
from syncd.store.requests import RequestState
from tests.browser.scene import TOKEN

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="session"),
]

TABS_AT_MOST = 80


async def test_all_is_decided_without_a_script(scene, visit) -> None:
    """With scripts off a person logs in, resolves, edits, retries, skips, resumes, stops a backfill, and logs out."""
    ann = await visit(scene.address, java_script_enabled=False)
    page = ann.page
    await ann.go("/needs-person")
    await ann.log_in()
    await _resolve(ann, scene)
    await _edit_retry_and_skip(ann, scene)
    await page.get_by_role("link", name="Resume link 4").click()
    await ann.confirm("Resume it", "the ticket is back")
    await expect(page.locator("#note")).to_contain_text("The link is active")
    link = await scene.database.read(lambda c: links.find(c, 4))
    assert link is not None
    assert link.state is LinkState.ACTIVE
    await page.get_by_role("link", name="Backfills").click()
    await page.get_by_role("link", name=f"Stop backfill {scene.backfill}").click()
    await ann.confirm("Stop it", "too much at once")
    await expect(page.get_by_text("too much at once")).to_be_visible()
    stopped = await scene.database.read(lambda c: requests.find(c, scene.backfill))
    assert stopped is not None
    assert stopped.state is RequestState.STOPPED
    assert scene.poked == ["desk", "desk"]
    await page.get_by_role("button", name="Log out").click()
    await page.get_by_role("link", name="Log in", exact=True).wait_for()
    await ann.go(f"/backfills/{scene.backfill}")
    assert await page.get_by_role("button").count() == 0


async def _resolve(ann, scene) -> None:
    """Choose one in doubt in the list, say that it is there, give a reason, and see it delivered."""
    delivery_id = scene.ids["doubtful"]
    row = ann.page.get_by_role("row").filter(has=ann.page.get_by_role("link", name=str(delivery_id), exact=True))
    await row.get_by_role("checkbox").check()
    await ann.page.get_by_role("button", name="It is there").first.click()
    await ann.confirm("Count as delivered")
    assert await scene.state_of("doubtful") == "delivered"
    await ann.go(f"/deliveries/{delivery_id}")
    await expect(ann.page.locator("main dl").first).to_contain_text("delivered")
    await ann.sees("seen in the CRM")


async def _edit_retry_and_skip(ann, scene) -> None:
    page = ann.page
    await ann.go(f"/deliveries/{scene.ids['too long']}")
    await page.get_by_role("link", name="Edit and send").click()
    await page.get_by_label("Text").fill("a shorter text")
    await page.get_by_label("Why?").fill("it was too long")
    await page.get_by_role("button", name="Look at what will be sent").click()
    await page.get_by_role("button", name="Send with this text").click()
    await page.locator("#note").wait_for()
    for reply, button in (("refused", "Send as it is"), ("not wanted", "Skip for good")):
        await ann.go(f"/deliveries/{scene.ids[reply]}")
        await page.get_by_role("button", name=button).click()
        await ann.confirm(button, "mended in the CRM")
    replies = ("too long", "refused", "not wanted")
    assert [await scene.state_of(reply) for reply in replies] == ["pending", "pending", "skipped"]
    await page.get_by_role("link", name="Needs a person").click()


async def test_a_doubt_is_resolved_by_the_keyboard_alone(scene, visit) -> None:
    """Tab and Enter lead from the first page through the login to a delivery in doubt and its decision."""
    ann = await visit(scene.address)
    await ann.go("/")
    await _enter(ann.page, "Log in")
    await _tab_to(ann.page, "Your name")
    await ann.page.keyboard.type("ann")
    await _tab_to(ann.page, "Token")
    await ann.page.keyboard.type(TOKEN)
    await ann.page.keyboard.press("Enter")
    await ann.page.get_by_role("button", name="Log out").wait_for()
    await _enter(ann.page, "Needs a person")
    await _enter(ann.page, str(scene.ids["doubtful"]))
    await _enter(ann.page, "It is there: count as delivered")
    await _tab_to(ann.page, "Why?")
    await ann.page.keyboard.type("seen in the CRM")
    await ann.page.keyboard.press("Enter")
    await ann.page.locator("#note").wait_for()
    assert await scene.state_of("doubtful") == "delivered"


FOCUSED = """() => {
  const at = document.activeElement;
  const label = at.labels && at.labels.length ? at.labels[0].innerText : "";
  const shown = getComputedStyle(at).outlineStyle !== "none";
  return [(label || at.getAttribute("aria-label") || at.innerText || "").trim(), shown];
}"""


async def _tab_to(page: Page, name: str) -> None:
    """Go on by Tab until the focus is on something of that name, which has to be seen."""
    passed = []
    for _ in range(TABS_AT_MOST):
        await page.keyboard.press("Tab")
        text, is_shown = await page.evaluate(FOCUSED)
        passed.append(text)
        if text.startswith(name):
            assert is_shown, f"nobody sees that the focus is on {text}"
            return
    pytest.fail(f"Tab does not lead to {name}, but to {passed}")


async def _enter(page: Page, name: str) -> None:
    """Go to something by Tab and press Enter; the page that comes of it is awaited."""
    await _tab_to(page, name)
    async with page.expect_navigation():
        await page.keyboard.press("Enter")


async def test_what_happens_is_shown_without_a_reload(scene, visit) -> None:
    """A page that is open shows a new doubt after some seconds, in its list, its title, and at its top."""
    ann = await visit(scene.address)
    await ann.page.clock.install()
    await ann.go("/needs-person")
    await ann.page.evaluate("window.isTheSame = true")
    before = int((await ann.page.title()).partition(")")[0].strip("("))
    delivery_id = await scene.doubt(501, "a new doubt")
    row = ann.page.get_by_role("link", name=str(delivery_id), exact=True)
    assert await row.count() == 0
    await ann.page.clock.run_for(6000)
    await row.wait_for()
    # How much needs a person in all is read less often than the list.
    async with asyncio.timeout(60):
        while not (await ann.page.title()).startswith(f"({before + 1}) "):
            await ann.page.clock.run_for(6000)
            await asyncio.sleep(0.25)  # the window's clock runs as fast as it can; the server's limit does not
    await expect(ann.page.locator("#attention")).to_have_text(f"{before + 1} need a person")
    assert await ann.page.evaluate("window.isTheSame")


async def test_who_has_not_logged_in_changes_nothing(scene, visit) -> None:
    """Without a login pages are shown on this machine, none has a button that decides; a wrong token opens nothing."""
    eve = await visit(scene.address)
    for path in (f"/deliveries/{scene.ids['doubtful']}", "/links/3/resume", f"/backfills/{scene.backfill}/stop"):
        await eve.go(path)
        assert await eve.page.locator("form[method=post]").count() == 0
        await eve.page.get_by_role("link", name="Log in to decide").wait_for()
    await eve.page.get_by_role("link", name="Log in to decide").click()
    await eve.page.get_by_label("Your name").fill("eve")
    await eve.page.get_by_label("Token").fill("a guess of somebody")
    eve.expected.append("401")
    await eve.page.get_by_role("button", name="Log in").click()
    await expect(eve.page.get_by_role("alert")).to_contain_text("token is wrong")
