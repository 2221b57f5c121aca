"""From what people write to a conversation or ticket, and what their states mean."""

from datetime import timedelta

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Unavailable
from tests.adapters.intercom.stand_in import WORKSPACE, state_of

INBOX = f"https://app.intercom.com/a/inbox/{WORKSPACE}/inbox"


@pytest.fixture
def opened(intercom, clock):
    """A conversation."""
    return intercom.open_conversation(clock.now() - timedelta(seconds=900))


@pytest.fixture
def ticket(intercom, clock):
    """A ticket."""
    return intercom.open_ticket(clock.now() - timedelta(seconds=900))


async def state(adapter, ticket_id):
    """Return the state of one."""
    (found,) = await adapter.tickets([ticket_id])
    return found


class TestNames:
    """How people name what they mean."""

    @pytest.mark.parametrize(
        "link",
        [
            "/a/inbox/x/inbox/conversation/{}",
            "/a/inbox/x/inbox/admin/814860/conversation/{}",
            "/a/inbox/x/inbox/shared/all/conversation/{}?view=List",
            "/a/inbox/x/inbox/conversation/{}#part_id=comment-1-2",
            "/a/apps/x/conversations/{}",
            "/a/apps/x/conversations/{}/",
        ],
    )
    async def test_links(self, adapter, intercom, opened, link):
        """A link in any of Intercom's shapes names the conversation whose id it holds, with one request for it."""
        await adapter.tickets([opened])
        intercom.forget()
        found = await adapter.resolve(TicketRef(link=f"https://app.intercom.com{link.format(opened)}"))
        assert (found.id, found.number, found.link) == (opened, opened, f"{INBOX}/conversation/{opened}")
        assert intercom.requests == [(f"/conversations/{opened}", {})]

    async def test_other_hosts(self, sign_in, opened):
        """Links are held against the address of the pages, which is not that of the API and can be set."""
        there = TicketRef(link=f"https://app.eu.intercom.com/a/inbox/x/inbox/conversation/{opened}")
        with pytest.raises(InvalidTicketRef, match="link_hosts"):
            await sign_in().resolve(there)
        found = await sign_in(web_url="https://app.eu.intercom.com/").resolve(there)
        assert found.link == f"https://app.eu.intercom.com/a/inbox/{WORKSPACE}/inbox/conversation/{opened}"

    async def test_link_of_a_ticket(self, adapter, ticket):
        """A ticket has its id in a link of the same shape; its number is another one."""
        found = await adapter.resolve(TicketRef(link=f"{INBOX}/conversation/{ticket}"))
        assert (found.id, found.number, found.link) == (f"ticket-{ticket}", "#21", f"{INBOX}/conversation/{ticket}")

    async def test_both(self, adapter, intercom, opened):
        """A conversation that was made a ticket is followed as the ticket, by whatever name it is given."""
        intercom.convert(opened)
        refs = [TicketRef(link=f"{INBOX}/conversation/{opened}"), TicketRef(number=opened), TicketRef(number="#21")]
        assert [(await adapter.resolve(ref)).id for ref in refs] == [f"ticket-{opened}"] * 3
        intercom.has_tickets = False
        assert (await adapter.resolve(refs[0])).id == opened

    @pytest.mark.parametrize(
        "number", ["21", "123456", "#", "#0", "##21", "ticket-215470000000001", "#215470000000001"]
    )
    async def test_short_numbers(self, adapter, intercom, ticket, number):
        """A short number without # is refused: taken for an id it would name something else."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(number=number))
        assert intercom.requests == []

    async def test_forbidden(self, adapter, intercom, opened):
        """A conversation that may not be read is forbidden, and is not looked for among the tickets."""
        intercom.forbidden.add(opened)
        with pytest.raises(TicketUnavailable) as caught:
            await adapter.resolve(TicketRef(number=opened))
        assert caught.value.unavailable == Unavailable(opened, Unavailability.FORBIDDEN)
        assert intercom.count("/tickets") == 0


class TestTicketNumbers:
    """From the number of a ticket to its id, which no search and no path does."""

    async def test_known_from_the_feed(self, adapter, intercom, ticket, clock):
        """The number of a ticket that was in the feed is known: its ticket is asked for, and nothing else."""
        async for _ in adapter.changes(clock.now() - timedelta(seconds=1000)):
            pass
        await adapter.tickets([f"ticket-{ticket}"])
        intercom.forget()
        assert (await adapter.resolve(TicketRef(number="#21"))).id == f"ticket-{ticket}"
        assert intercom.requests == [(f"/tickets/{ticket}", {})]

    async def test_walked(self, adapter, intercom, clock):
        """An unknown number is looked for among the tickets that changed last, page by page."""
        intercom.page_size = 3
        keys = [intercom.open_ticket(clock.now() - timedelta(seconds=900 - number)) for number in range(10)]
        assert (await adapter.resolve(TicketRef(number="#22"))).id == f"ticket-{keys[1]}"
        assert intercom.count("/tickets/search") == 3

    async def test_not_among_the_last(self, adapter, intercom, clock):
        """A number that is not among the tickets walked may be older: the person is asked for the link."""
        intercom.page_size = 1
        for number in range(25):
            intercom.open_ticket(clock.now() - timedelta(seconds=900 - number))
        with pytest.raises(InvalidTicketRef, match="link"):
            await adapter.resolve(TicketRef(number="#21"))
        assert intercom.count("/tickets/search") == 20
        assert (await adapter.resolve(TicketRef(number="#26"))).number == "#26"

    async def test_verified(self, adapter, intercom, ticket):
        """A ticket that has another number by itself than in the search is not taken."""
        await adapter.resolve(TicketRef(number="#21"))
        intercom.tickets[ticket]["ticket_id"] = "22"
        with pytest.raises(UnexpectedAnswer):
            await adapter.resolve(TicketRef(number="#21"))

    async def test_not_allowed(self, adapter, intercom, ticket):
        """Where tickets may not be read, a number of one is forbidden."""
        intercom.has_tickets = False
        with pytest.raises(TicketUnavailable) as caught:
            await adapter.resolve(TicketRef(number="#21"))
        assert caught.value.unavailable.reason is Unavailability.FORBIDDEN


class TestBulk:
    """Many at once."""

    async def test_fifty_a_request(self, adapter, intercom, clock):
        """120 conversations and 3 tickets are read with four searches, and nothing else."""
        keys = [intercom.open_conversation(clock.now()) for _ in range(120)]
        keys += [f"ticket-{intercom.open_ticket(clock.now())}" for _ in range(3)]
        await adapter.tickets(keys[:1])
        intercom.forget()
        assert [found.id for found in await adapter.tickets(keys)] == keys
        assert [path for path, _ in intercom.requests] == ["/conversations/search"] * 3 + ["/tickets/search"]

    async def test_not_indexed_yet(self, adapter, intercom, opened):
        """What the search does not show is asked for by itself, and so not taken for deleted."""
        intercom.conversations[opened]["indexed_at"] = float("inf")
        assert (await state(adapter, opened)).id == opened

    async def test_refused(self, adapter, intercom, opened, ticket):
        """Where a search by ids is refused, all are asked for one by one."""
        intercom.takes_in = False
        found = await adapter.tickets([opened, f"ticket-{ticket}"])
        assert [one.id for one in found] == [opened, f"ticket-{ticket}"]

    async def test_condition_ignored(self, adapter, intercom, opened):
        """A search that answers others than asked for has ignored its condition."""
        intercom.open_conversation(intercom.clock.now())
        intercom.filters = False
        with pytest.raises(UnexpectedAnswer, match="ignored the condition"):
            await adapter.tickets([opened])

    async def test_one_forbidden(self, adapter, intercom, opened, ticket):
        """One that is forbidden, gone, or no id of ours does not stop the others."""
        secret = intercom.open_conversation(intercom.clock.now())
        intercom.conversations[secret]["indexed_at"] = float("inf")
        intercom.forbidden.add(secret)
        wanted = [secret, "215470000999999", "nonsense", opened, f"ticket-{ticket}"]
        assert (await adapter.tickets(wanted))[:3] == [
            Unavailable(secret, Unavailability.FORBIDDEN),
            Unavailable("215470000999999", Unavailability.GONE),
            Unavailable("nonsense", Unavailability.GONE),
        ]

    async def test_all_forbidden(self, adapter, intercom, opened):
        """Where no conversation may be read any more, that is about the token: no ticket is given up for it."""
        intercom.has_conversations = False
        with pytest.raises(PauseSystem, match="Read conversations"):
            await adapter.tickets([opened])

    async def test_a_proxy(self, adapter, intercom, opened):
        """A 404 that is not in Intercom's words is a failure, and no deleted conversation."""
        intercom.next_answers.append((404, {}, "<html>Not found</html>", "text/html"))
        with pytest.raises(UnexpectedAnswer, match="check base_url"):
            await adapter.resolve(TicketRef(number=opened))

    async def test_another_id(self, adapter, intercom, opened):
        """An answer about another conversation than the one asked for is a failure."""
        intercom.conversations["215470000888888"] = intercom.conversations[opened]
        with pytest.raises(UnexpectedAnswer, match="another id"):
            await adapter.resolve(TicketRef(number="215470000888888"))


class TestStates:
    """What the words mean."""

    @pytest.mark.parametrize(
        ("fields", "answered", "word", "status"),
        [
            ({}, False, "open", ThreadStatus.CREATED),
            ({}, True, "open", ThreadStatus.ONGOING),
            ({"state": "snoozed", "open": True}, True, "snoozed", ThreadStatus.ONGOING),
            ({"state": "closed", "open": False}, False, "closed", ThreadStatus.CLOSED),
            ({"statistics": None}, False, "open", ThreadStatus.ONGOING),
            ({"state": None, "open": False}, False, "closed", ThreadStatus.CLOSED),
            ({"state": "resting"}, True, "resting", None),
        ],
    )
    async def test_conversations(self, adapter, intercom, opened, fields, answered, word, status):
        """A conversation is new until an agent answered; `state` counts more than `open`; statistics may be null."""
        if answered:
            intercom.add(opened, "comment", "<p>x</p>")
        intercom.touch(opened, **fields)
        found = await state(adapter, opened)
        assert (found.vendor_status, found.status) == (word, status)

    @pytest.mark.parametrize(
        ("ticket_state", "word", "status"),
        [
            (state_of("submitted"), "submitted", ThreadStatus.CREATED),
            (state_of("in_progress", "In der Werkstatt"), "in_progress", ThreadStatus.ONGOING),
            (state_of("waiting_on_customer"), "waiting_on_customer", ThreadStatus.ONGOING),
            (state_of("resolved", "Submitted"), "resolved", ThreadStatus.CLOSED),
            ("resolved", "resolved", ThreadStatus.CLOSED),
            (state_of("parked"), "parked", None),
        ],
    )
    async def test_tickets(self, adapter, intercom, ticket, ticket_state, word, status):
        """The category of a ticket's state counts, and not its labels, which are the workspace's own."""
        intercom.touch(ticket, ticket_state=ticket_state)
        found = await state(adapter, f"ticket-{ticket}")
        assert (found.vendor_status, found.status) == (word, status)

    async def test_subjects(self, adapter, intercom, opened, ticket):
        """The subject is a title, or the subject of the first mail without its tags, or missing."""
        assert (await state(adapter, opened)).subject is None
        intercom.conversations[opened]["source"]["subject"] = "<p>Q&amp;A</p>"
        assert (await state(adapter, opened)).subject == "Q&A"
        intercom.touch(opened, title="Locker 7")
        assert (await state(adapter, opened)).subject == "Locker 7"
        intercom.touch(opened, title=None, source=None)
        assert (await state(adapter, opened)).subject is None
        assert (await state(adapter, f"ticket-{ticket}")).subject == "Locker"

    async def test_assignees(self, adapter, intercom, opened, ticket):
        """The assigned agent's name comes from the list of all, which is read once."""
        assert [found.assignee for found in await adapter.tickets([opened, f"ticket-{ticket}"])] == ["Änne Agent"] * 2
        intercom.touch(opened, admin_assignee_id=None)
        intercom.touch(ticket, admin_assignee_id="0")
        assert [found.assignee for found in await adapter.tickets([opened, f"ticket-{ticket}"])] == [None, None]
        intercom.touch(opened, admin_assignee_id=99)
        assert [(await state(adapter, opened)).assignee for _ in range(3)] == [None] * 3
        assert intercom.count("/admins") == 2

    async def test_assignees_are_secret(self, adapter, intercom, opened):
        """Where the list of agents may not be read, nobody's name is told, and nothing fails."""
        intercom.has_admins = False
        assert (await state(adapter, opened)).assignee is None

    async def test_names_of_the_day(self, adapter, intercom, opened, clock):
        """Names of agents are read anew when the feed reaches another day, because they change."""
        await state(adapter, opened)
        intercom.agent["name"] = "Änne Neu"
        async for _ in adapter.changes(clock.now() - timedelta(days=1)):
            pass
        assert (await state(adapter, opened)).assignee == "Änne Neu"
