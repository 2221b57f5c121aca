"""docs/control-api.md: what it shows is sent, and does what it says."""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from syncd.console.web.control import DOCUMENT, ROUTES
from syncd.console.web.control_route import PREFIX
from syncd.model.delivery import DeliveryState
from tests.console.web.conftest import TOKEN
from tests.console.web.stock import add_deliveries, add_link

PAGE = (Path(__file__).parents[3] / "docs" / "control-api.md").read_text(encoding="utf-8")


def fences(language):
    """Return the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def calls():
    """Return each call of curl: its method, its path and query, its headers and its body."""
    lines = [line for block in fences("sh") for line in block.replace("\\\n", " ").splitlines()]
    found = []
    for words in (shlex.split(line) for line in lines if line.startswith("curl ")):
        address = urlsplit(next(word for word in words if word.startswith("http://")))
        path = address.path + (f"?{address.query}" if address.query else "")
        method = words[words.index("-X") + 1] if "-X" in words else "GET"
        headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
        body = words[words.index("-d") + 1] if "-d" in words else None
        found.append((method, path, headers, body))
    return found


@pytest.fixture
async def shown(served):
    """Return the server as the page has it: a system `support`, a ticket 4711, and a delivery in doubt."""
    file = served.folder / "web.toml"
    file.write_text(file.read_text().replace("[systems.desk", "[systems.support"))
    served.settings = served.reload()
    link_id = await add_link(served.database, 500, "4711", system="support")
    await add_deliveries(served.database, link_id, 1, DeliveryState.IN_DOUBT)
    return served


async def test_the_calls_work(shown):
    """Each call that is shown is answered as one that is good, in the order of the page."""
    seen = calls()
    assert len(seen) == 7
    for method, path, headers, body in seen:
        sent = {name: value.replace("$TOKEN", TOKEN) for name, value in headers.items()}
        answer = await shown.ask(method, path, token=None, data=body and body.encode(), headers=sent)
        assert (method, path, answer.status < 300) == (method, path, True), answer.text


async def test_the_bodies_work(shown):
    """The JSON that is shown is taken, and given: the first registers a link, the last is what an error looks like."""
    link, failure = (json.loads(block) for block in fences("json"))
    answer = await shown.ask("PUT", f"{PREFIX}/links", body=link)
    assert (answer.status, answer.json["from"]) == (201, "2026-05-01T06:00:00+00:00")
    del link["thread_id"]
    assert (await shown.ask("PUT", f"{PREFIX}/links", body=link)).json == failure


def test_every_route_is_named():
    """The table has all of them."""
    named = set(re.findall(r"`(?:[A-Z]+ )?(/[^`?]*)`", PAGE))
    ends = {path for path in named if not path.startswith(PREFIX)}
    for route in ROUTES:
        path = PREFIX + route.path
        assert path in named or f"/{path.rpartition('/')[2]}" in ends, path
    assert DOCUMENT in named
