"""`POST /hooks/SYSTEM`: a genuine webhook makes its tickets due and rings; whatever else comes costs nothing."""

import json
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest_asyncio
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from loguru import logger

from syncd.console.web import guards, server
from syncd.console.web.context import WebContext
from syncd.model.communication import Thread, ThreadStatus
from syncd.model.link import NewLink
from syncd.model.ticket import Ticket, TicketRef
from syncd.service.settings import load_settings
from syncd.store import hooks, link_changes, links
from syncd.store.database import Database, open_database
from syncd.store.schema import ensure_schema

SECRET = "desk-webhooks-secret"
HEADERS = {"X-Syncd-Secret": SECRET}


class Site:
    """The server over a database with one linked ticket, and what the lanes were told."""

    def __init__(self, client: Any, database: Database, clock: Any, link_id: int) -> None:
        self.client, self.database, self.clock, self.link_id = client, database, clock, link_id
        self.rung: list[str] = []

    async def send(self, body: object, system: str = "desk", **more: Any) -> ClientResponse:
        """Send a webhook; the secret goes along unless other headers are given."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(f"/hooks/{system}", **{"headers": HEADERS, "data": data} | more)

    async def due(self) -> list[int]:
        """Take the links that were asked for."""
        return await self.database.write(lambda c: hooks.take(c, "desk"))


@pytest_asyncio.fixture
async def site(sqlite_url: str, clock: Any, tmp_path: Any) -> AsyncIterator[Site]:
    """Return the server, listening at a port of its own; `quiet` has no secret for webhooks."""
    system = 'adapter = "in_memory"\n{}\n[systems.{}.options]\nbase_url = "http://127.0.0.1:1"\ntoken = "desk-token"\n'
    file, secret = tmp_path / "config.toml", f'webhook_secret = "{SECRET}"'
    file.write_text(
        f'state_directory = "{tmp_path}"\n[console]\nlisten = "127.0.0.1:0"\nhosts = ["syncd.example.org"]\n'
        f"[systems.desk]\n{system.format(secret, 'desk')}[systems.quiet]\n{system.format('', 'quiet')}"
    )
    file.chmod(0o600)
    settings = load_settings(file, {})
    now = clock.now()

    def link(connection: Any) -> int:
        new = NewLink(Thread("berlin", 7, 500), "desk", TicketRef(number="HD-1"), now)
        link_id = links.add(connection, new, now).link_id
        link_changes.resolve(connection, link_id, Ticket(id="1", number="HD-1"), ThreadStatus.ONGOING, now)
        return link_id

    database = open_database(sqlite_url)
    await ensure_schema(database, migrate=True)
    link_id = await database.write(link)
    made = Site(None, database, clock, link_id)
    context = WebContext(lambda: settings, database, clock, poke=made.rung.append, stuck=list, hooked=made.rung.append)
    made.client = TestClient(TestServer(server.make_app(context)))
    await made.client.start_server()
    yield made
    await made.client.close()
    await database.close()


async def test_a_genuine_webhook_makes_its_ticket_due_and_rings(site: Site) -> None:
    """By id or by number; the same again, while nobody has looked, changes nothing and rings nobody."""
    answer = await site.send({"ticket_id": 1})
    assert (answer.status, await answer.json()) == (202, {})
    assert site.rung == ["desk"]
    assert (await site.send({"ticket_id": 1})).status == 202
    assert site.rung == ["desk"]
    assert await site.due() == [site.link_id]
    assert (await site.send({"ticket_number": "HD-1"})).status == 202
    assert await site.due() == [site.link_id]
    assert site.rung == ["desk", "desk"]


async def test_a_ticket_that_nobody_linked_is_nothing(site: Site) -> None:
    """It is taken, as the vendor has done nothing wrong, and nothing is done."""
    for body in ({"ticket_id": 2}, {"ticket_number": "HD-2"}, b""):
        assert (await site.send(body)).status == 202
    assert site.rung == []
    assert await site.due() == []


async def test_a_forged_webhook_changes_nothing(site: Site) -> None:
    """It is refused with a sentence about the proof, as JSON."""
    for headers in ({}, {"X-Syncd-Secret": SECRET + "x"}, {"Authorization": "Bearer desk-token"}):
        answer = await site.send({"ticket_id": 1}, headers=headers)
        assert answer.status == 401
        assert "secret" in (await answer.json())["error"]
    assert site.rung == []
    assert await site.due() == []


async def test_an_unreadable_webhook_changes_nothing(site: Site) -> None:
    """It is refused with what is missing, so that the vendor's log shows it to whoever set it up."""
    for body in (b"{", b"[]", b'{"ticket_id": {}}', b'{"other": 1}', b'{"ticket_id": "a b"}'):
        answer = await site.send(body)
        assert answer.status == 400
        assert (await answer.json())["error"]
    assert await site.due() == []


async def test_a_system_without_a_secret_takes_none(site: Site) -> None:
    """Neither does one that is not there; both are told in the same words."""
    answers = [await site.send({"ticket_id": 1}, system=system) for system in ("quiet", "nobody", "..%2fdesk")]
    assert {answer.status for answer in answers} == {404}
    assert len({(await answer.json())["error"] for answer in answers[:2]}) == 1


async def test_a_body_of_over_a_megabyte_is_refused(site: Site) -> None:
    """What is larger than the server takes is not looked at."""
    body = BytesIO(b" " * (server.LARGEST_BODY_BYTES + 1))
    assert (await site.client.post("/hooks/desk", headers=HEADERS, data=body)).status == 413
    assert await site.due() == []


async def test_the_address_answers_whoever_looks_whether_it_is_there(site: Site) -> None:
    """Vendors look with HEAD or GET before they accept an address; other methods are refused."""
    for ask in (site.client.head, site.client.get):
        assert (await ask("/hooks/desk")).status == 200
    assert (await site.client.put("/hooks/desk", headers=HEADERS)).status == 405


async def test_a_flood_is_bounded_and_keeps_nobody_from_the_other_pages(site: Site) -> None:
    """Beyond a burst webhooks are refused until there is room again; pages have a number of their own."""
    statuses = [(await site.send({"ticket_id": 2})).status for _ in range(int(guards.BURST) + 20)]
    assert statuses.count(202) < len(statuses)
    assert set(statuses) == {202, 429}
    assert (await site.client.get("/login")).status == 200
    await site.clock.sleep(60)
    assert (await site.send({"ticket_id": 1})).status == 202


async def test_refused_webhooks_are_logged_once_a_minute_without_anything_of_them(site: Site) -> None:
    """An operator reads that the secret does not fit; a flood of forged ones writes no more than that."""
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="WARNING", format="{message} {extra}")
    for _ in range(20):
        await site.send({"ticket_id": "a reply of somebody"}, headers={"X-Syncd-Secret": "not-the-secret"})
    logger.remove(sink)
    assert len(lines) == 1
    assert "webhook_secret" in lines[0]
    assert "desk" in lines[0]
    assert not any(word in lines[0] for word in ("somebody", "not-the-secret"))
