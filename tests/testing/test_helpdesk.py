"""The helpdesk in memory: a strict little API, whose records change as told and which fails as told."""

from datetime import timedelta

import pytest
from aiohttp import ClientSession, ClientTimeout

from syncd.testing.helpdesk import Helpdesk


@pytest.fixture
async def helpdesk(clock):
    """Start a helpdesk."""
    async with Helpdesk(clock) as helpdesk:
        yield helpdesk


@pytest.fixture
async def ask(helpdesk):
    """Return a function that asks the helpdesk with its token; it returns the status and the JSON."""
    async with ClientSession() as session:

        async def get(path, token=None, **params):
            headers = {"Authorization": f"Bearer {token or helpdesk.token}"}
            async with session.get(helpdesk.base_url + path, headers=headers, params=params) as response:
                return response.status, await response.json()

        yield get


async def test_only_its_token_opens_it(helpdesk, ask):
    """Another token is 401, and the helpdesk has written down that it was asked."""
    status, value = await ask("/api/me", token="other")
    assert (status, value["error"]["code"]) == (401, "unauthorized")
    assert helpdesk.requests == ["GET /api/me"]
    assert (await ask("/api/me"))[0] == 200


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/api/nothing", {}, 404),
        ("/api/tickets/1", {}, 404),
        ("/api/tickets", {"id": "1"}, 400),
        ("/api/me", {"page": "1"}, 400),
        ("/api/changes", {"since": "yesterday"}, 400),
        ("/api/changes", {"since": "2026-03-02T09:00:00"}, 400),
        ("/api/changes", {"after": "-1"}, 400),
    ],
)
async def test_it_is_strict(ask, path, params, status):
    """What its API does not know is refused in JSON, so that an adapter's mistakes show."""
    found, value = await ask(path, **params)
    assert found == status
    assert value["error"]["code"] == "refused"


async def test_replies_come_in_pages(helpdesk, ask, clock):
    """Replies are listed oldest first, a page at a time, from an instant on."""
    ticket = helpdesk.create_ticket("Locker", "Stuck.")
    for _ in range(4):
        await clock.sleep(10)
        helpdesk.agent_reply(ticket.id, "Really?")
    path = f"/api/tickets/{ticket.id}/replies"
    _, first = await ask(path)
    _, second = await ask(path, page=first["next_page"])
    assert [reply["id"] for reply in first["replies"]] == ["1", "2", "3"]
    assert [reply["id"] for reply in second["replies"]] == ["4", "5"]
    assert second["next_page"] is None
    _, late = await ask(path, since=ticket.replies[3].created_at.isoformat())
    assert [reply["id"] for reply in late["replies"]] == ["4", "5"]


async def test_every_action_is_one_numbered_change(helpdesk, ask):
    """The list of changes has a line for each action, in order, with the reply where there is one."""
    ticket = helpdesk.create_ticket("Locker", "Stuck.")
    other = helpdesk.create_ticket("Key", "Lost.")
    helpdesk.customer_reply(ticket.id, "Hello?")
    note = helpdesk.internal_note(ticket.id, "Again.")
    automatic = helpdesk.automatic_reply(ticket.id, "We got your message.")
    helpdesk.edit(note.id, "Again!")
    helpdesk.publish(note.id)
    helpdesk.redact(note.id)
    helpdesk.delete_reply(automatic.id)
    helpdesk.assign(ticket.id, "Aziz Agent")
    helpdesk.set_status(ticket.id, "closed")
    helpdesk.merge(other.id, into=ticket.id)
    helpdesk.forbid(other.id)
    helpdesk.delete(other.id)
    helpdesk.page_size = 100
    _, value = await ask("/api/changes")
    here, there = ticket.id, other.id
    assert [(one["seq"], one["ticket_id"], one["reply_id"]) for one in value["changes"]] == [
        (1, here, "1"), (2, there, "2"), (3, here, "3"), (4, here, "4"), (5, here, "5"), (6, here, "4"), (7, here, "4"),
        (8, here, "4"), (9, here, "5"), (10, here, None), (11, here, None), (12, there, None), (13, there, None),
        (14, there, None),
    ]  # fmt: skip
    assert (value["more"], value["last"]) == (False, 14)
    assert value["missing"] == [there]


async def test_a_ticket_is_as_it_was_left(helpdesk, ask):
    """Status, assignee and the ticket it was merged into are told, and the customer's reply opens it again."""
    ticket = helpdesk.create_ticket("Locker", "Stuck.")
    other = helpdesk.create_ticket("Locker too", "Stuck too.")
    helpdesk.agent_reply(ticket.id, "On my way.")
    helpdesk.assign(ticket.id, "Aziz Agent")
    helpdesk.merge(other.id, into=ticket.id)
    _, value = await ask(f"/api/tickets/{ticket.id}")
    assert (value["status"], value["assignee"], value["link"]) == ("open", "Aziz Agent", helpdesk.link(ticket))
    assert (await ask(f"/api/tickets/{other.id}"))[1]["merged_into"] == ticket.id
    helpdesk.set_status(ticket.id, "closed")
    helpdesk.customer_reply(ticket.id, "Not yet.")
    assert (await ask(f"/api/tickets/{ticket.id}"))[1]["status"] == "open"


async def test_what_may_not_be_seen_is_not_told(helpdesk, ask):
    """A forbidden ticket is 403, and the list of changes names it without its replies."""
    ticket = helpdesk.create_ticket("Locker", "Stuck.")
    helpdesk.forbid(ticket.id)
    assert (await ask(f"/api/tickets/{ticket.id}/replies"))[0] == 403
    _, page = await ask("/api/changes")
    assert (page["tickets"], page["replies"], page["forbidden"]) == ([], [], [ticket.id])
    helpdesk.forbid(ticket.id, forbidden=False)
    assert (await ask(f"/api/tickets/{ticket.id}"))[0] == 200


async def test_its_abilities_can_be_taken_away(helpdesk, ask):
    """Without them there is no list of changes, no ticket in bulk, and no reply among the changes."""
    ticket = helpdesk.create_ticket("Locker", "Stuck.")
    assert (await ask("/api/tickets", ids=ticket.id))[0] == 200
    helpdesk.bulk_replies = helpdesk.bulk_tickets = False
    assert "replies" not in (await ask("/api/changes"))[1]
    assert (await ask("/api/tickets", ids=ticket.id))[0] == 400
    helpdesk.feed = False
    assert (await ask("/api/changes"))[0] == 404


async def test_faults_come_once_and_in_order(helpdesk, clock):
    """Each fault is used up by a request, in the order of the calls; then the helpdesk is well again."""
    helpdesk.faults.throttle(30)
    helpdesk.faults.fail(502, times=2)
    helpdesk.faults.answer_html()
    helpdesk.faults.answer_error()
    headers = {"Authorization": f"Bearer {helpdesk.token}"}
    seen = []
    async with ClientSession(headers=headers) as session:
        for _ in range(6):
            async with session.get(helpdesk.base_url + "/api/me") as response:
                seen.append((response.status, response.content_type, "error" in await response.text()))
                waits = response.headers.get("Retry-After") if response.status == 429 else None
                assert waits == ("30" if response.status == 429 else None)
    json = "application/json"
    assert seen == [
        (429, json, True), (502, json, True), (502, json, True), (200, "text/html", False), (200, json, True),
        (200, json, False),
    ]  # fmt: skip


async def test_a_hanging_request_hangs_until_the_other_side_gives_up(helpdesk, clock):
    """A hang ends with the caller's patience, and the next request is answered."""
    helpdesk.faults.hang()
    headers = {"Authorization": f"Bearer {helpdesk.token}"}
    async with ClientSession(headers=headers, timeout=ClientTimeout(total=100)) as session:
        with pytest.raises(TimeoutError):
            await session.get(helpdesk.base_url + "/api/me")
        assert clock.monotonic() >= 100
        async with session.get(helpdesk.base_url + "/api/me") as response:
            assert response.status == 200


async def test_an_empty_page_and_a_repeated_token(helpdesk, ask):
    """The list of changes can come back empty once, and can name the page that was asked for as the next one."""
    for _ in range(5):
        helpdesk.create_ticket("Locker", "Stuck.")
    helpdesk.faults.empty_page()
    assert (await ask("/api/changes"))[1]["changes"] == []
    assert (await ask("/api/changes"))[1]["last"] == 3
    helpdesk.faults.repeats_token = True
    _, page = await ask("/api/changes", after=2)
    assert (page["more"], page["last"]) == (True, 2)


async def test_a_story_happens_in_its_time(helpdesk, clock):
    """A story is played by the clock: each step so long after the beginning, whatever the steps take."""
    ticket = helpdesk.create_ticket("Locker", "Stuck.")
    began = clock.now()
    await helpdesk.play(
        [
            (0, lambda desk: desk.customer_reply(ticket.id, "Hello?")),
            (30, lambda desk: desk.agent_reply(ticket.id, "On my way.")),
            (30, lambda desk: desk.internal_note(ticket.id, "The third this week.")),
            (90, lambda desk: desk.set_status(ticket.id, "closed")),
        ]
    )
    passed = [one.at - began for one in helpdesk.changes[1:]]
    assert passed == [timedelta(0), timedelta(seconds=30), timedelta(seconds=30), timedelta(seconds=90)]
    assert ticket.status == "closed"


async def test_an_unknown_reply_is_a_mistake_of_the_test(helpdesk):
    """Editing what is not there is told."""
    with pytest.raises(KeyError, match="no reply 77"):
        helpdesk.edit("77", "x")
