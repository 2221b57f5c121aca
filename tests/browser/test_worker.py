"""The status page of a real worker: what a person decides there is what the worker does."""

import asyncio
import json
import re
from datetime import timedelta

import pytest
from playwright.async_api import expect

from syncd.testing.sandbox_faults import Break
from tests.browser.scene import TOKEN
from tests.end_to_end.conftest import Worker, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="session"),
]


def _address(worker: Worker) -> str:
    """Return where the worker's log says that the page is."""
    for line in worker.log.read_text().splitlines():
        if '"the status page listens"' in line:
            listening = re.search(r"http://[^\"]+", json.dumps(json.loads(line)))
            assert listening is not None
            return listening.group()
    return ""


async def test_a_doubt_is_sent_again_by_the_worker_once_a_person_says_so(stage, visit) -> None:
    """From the doubt that a cut connection left, over the confirmation, to its communication's id in the timeline."""
    stage.config.write_text(f'{stage.config.read_text()}\n[console]\nlisten = "127.0.0.1:0"\ntoken = "{TOKEN}"\n')
    ticket = stage.helpdesk.create_ticket("Locker", "It does not open.", at=stage.clock.now() - timedelta(hours=1))
    await stage.link(ticket)
    stage.sandbox.plan(Break.CLOSE_AFTER_READING)
    worker = await stage.start()
    await worker.until_ready()
    await until(lambda: stage.sweeps >= 2, "the ticket is known")
    stage.helpdesk.customer_reply(ticket.id, "Still not.")
    await until(lambda: not stage.sandbox.planned, "the connection was cut")
    await until(lambda: bool(_address(worker)), "it listens")
    ann = await visit(_address(worker))
    await ann.go("/")
    await ann.log_in()
    await ann.page.get_by_role("link", name="Needs a person").click()
    await ann.page.get_by_role("link", name="1", exact=True).click()
    await ann.page.get_by_role("button", name="It is not there: send again").click()
    await ann.confirm("Send again", "looked, it is not there")
    await until(lambda: len(stage.sandbox.communications) == 1, "it was sent again")
    await ann.go("/links/1")
    await expect(ann.page.locator("#d1")).to_contain_text(str(stage.sandbox.communications[0].communication_id))
    await expect(ann.page.locator("#d1")).to_contain_text("looked, it is not there")
    await ann.page.get_by_role("button", name="Read its ticket now").click()
    async with asyncio.timeout(60):
        while "done" not in await ann.page.locator(".asked").inner_text():
            await ann.page.reload()
    await ann.keep("worker-link")
    assert await worker.stop() == 0
    assert len(stage.sandbox.communications) == 1
