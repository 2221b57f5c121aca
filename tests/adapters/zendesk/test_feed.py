"""Reading all changes of an account of Zendesk from its two exports."""

from datetime import timedelta

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, Cursor


async def read(pages):
    """Return all of an asynchronous iterator."""
    return [page async for page in pages]


def replies_in(pages):
    """Return all replies of pages of the feed by their ids."""
    return {reply.id: reply for page in pages for replies in page.replies.values() for reply in replies}


def ago(clock, seconds):
    """Return the instant so many seconds before now."""
    return clock.now() - timedelta(seconds=seconds)


class TestFeed:
    """The two exports as one change feed."""

    async def test_newest_minute(self, adapter, zendesk, clock):
        """Starting now is allowed though start_time must be 60 s old; the newest minute comes with a later read."""
        ticket_id, comment = zendesk.open_ticket(clock.now())
        pages = await read(adapter.changes(clock.now()))
        assert replies_in(pages) == {}
        await clock.sleep(120)
        pages = await read(adapter.changes(pages[-1].cursor))
        assert list(replies_in(pages)) == [str(comment)]
        assert pages[0].ticket_ids == (str(ticket_id),)

    async def test_latecomer(self, adapter, zendesk, clock):
        """A record that the export shows late, with an older time, is still read: the overlap holds it."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 600))
        zendesk.comment(ticket_id, zendesk.agent, "in time", ago(clock, 100))
        cursor = (await read(adapter.changes(ago(clock, 3600))))[-1].cursor
        late = zendesk.comment(ticket_id, zendesk.agent, "late", ago(clock, 300))
        assert str(late) in replies_in(await read(adapter.changes(cursor)))

    async def test_empty(self, adapter, zendesk, clock):
        """An empty page has neither end_time nor next_page: the cursor stays where it was, however often."""
        start = ago(clock, 3600)
        cursor = (await read(adapter.changes(start)))[-1].cursor
        for _ in range(5):
            cursor = (await read(adapter.changes(cursor)))[-1].cursor
        first = [query["start_time"] for path, query in zendesk.requests if "events" in path]
        assert len(set(first)) == 1
        assert int(first[0]) <= start.timestamp()

    async def test_borders(self, adapter, zendesk, clock):
        """Pages repeat their last second and exceed their size for it; every cursor goes on without a loss."""
        zendesk.export_page = 5
        seconds = [900, 900, 900, 850, 850, 800, 700, 700, 700, 700, 650]
        tickets = [zendesk.open_ticket(ago(clock, 950 + number))[0] for number in range(3)]
        for number, second in enumerate(seconds):
            zendesk.comment(tickets[number % 3], zendesk.agent, "x", ago(clock, second))
        everything = {str(raw["id"]) for comments in zendesk.comments.values() for raw in comments}
        pages = await read(adapter.changes(ago(clock, 1000)))
        assert set(replies_in(pages)) == everything
        for number, page in enumerate(pages):
            rest = await read(adapter.changes(page.cursor))
            assert set(replies_in([*pages[: number + 1], *rest])) == everything
            assert {ticket.id for page in [*pages[: number + 1], *rest] for ticket in page.tickets} >= {
                str(ticket) for ticket in tickets
            }

    async def test_long_catch_up(self, adapter, zendesk, clock):
        """When more tickets changed than are read ahead, states still come with their events and none is lost."""
        zendesk.export_page, zendesk.export_requests_per_minute = 2, 10_000
        tickets = [zendesk.open_ticket(ago(clock, 9000 - 100 * number))[0] for number in range(30)]
        pages = await read(adapter.changes(ago(clock, 10_000)))
        assert [int(ticket.id) for page in pages for ticket in page.tickets] == tickets
        for page in pages[:-1]:
            assert {ticket.id for ticket in page.tickets} <= {key for key, replies in page.replies.items() if replies}
        assert zendesk.count("show_many") == 0

    async def test_stands_still(self, adapter, zendesk, clock):
        """An end_time or an after_cursor that does not advance though more is to come is an error, not a loop."""
        zendesk.open_ticket(ago(clock, 300))
        zendesk.stuck = True
        with pytest.raises(UnexpectedAnswer, match="after_cursor"):
            await read(adapter.changes(ago(clock, 3600)))
        body = '{"tickets": [], "after_cursor": null, "end_of_stream": true}'
        zendesk.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer, match="stands still"):
            await read(adapter.changes(ago(clock, 3600)))

    @pytest.mark.parametrize("body", ['{"tickets": []}', '{"error": "oops"}', '{"tickets": [], "error": "oops"}', "[]"])
    async def test_error_inside(self, adapter, zendesk, clock, body):
        """A 200 with an error inside, or without end_of_stream, is a failure and not an empty feed."""
        zendesk.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer):
            await read(adapter.changes(ago(clock, 3600)))

    async def test_foreign_cursor(self, adapter):
        """A cursor that this adapter did not make is refused."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter.changes(Cursor("abc")))

    async def test_budget(self, adapter, zendesk, clock):
        """The exports' ten requests a minute are kept, whatever the pace of the rest: no 429 in a long read."""
        zendesk.export_page = 2
        for number in range(25):
            zendesk.open_ticket(ago(clock, 2000 - 10 * number))
        assert len(replies_in(await read(adapter.changes(ago(clock, 3600))))) == 25
        assert zendesk.count("/incremental") > 30
        assert zendesk.throttled == 0

    async def test_few_requests(self, adapter, zendesk, clock):
        """2,000 changed tickets of as many customers with five comments each cost at most 16 requests."""
        begin, opened = ago(clock, 30_000), []
        for number in range(2000):
            customer = zendesk.add_user(f"Customer {number}", "end-user")
            opened.append((zendesk.open_ticket(begin + timedelta(seconds=number), requester=customer)[0], customer))
        for turn in range(1, 5):
            for number, (ticket_id, customer) in enumerate(opened):
                at = begin + timedelta(seconds=5000 * turn + number)
                zendesk.comment(ticket_id, zendesk.agent if turn % 2 else customer, "x", at)
        pages = await read(adapter.changes(begin))
        replies = replies_in(pages)
        assert len(replies) == 10_000
        assert AuthorKind.UNKNOWN not in {reply.author.kind for reply in replies.values()}
        assert len({ticket.id for page in pages for ticket in page.tickets}) == 2000
        assert len(zendesk.requests) <= 16

    async def test_same_reply(self, adapter, zendesk, clock):
        """A comment reads the same from the feed and from its ticket."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))
        zendesk.comment(ticket_id, zendesk.agent, "answer", ago(clock, 800), via="web")
        fed = replies_in(await read(adapter.changes(ago(clock, 3600))))
        (ticket,) = await adapter.tickets([str(ticket_id)])
        assert list(fed.values()) == await read(adapter.replies(ticket, None))

    async def test_status_beside_its_reply(self, adapter, zendesk, clock):
        """The reply that solves a ticket comes with the new status, even if it was made between the two exports."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))

        def solve():
            solved = [zendesk.changed("status", "solved")]
            zendesk.tickets[ticket_id]["status"] = "solved"
            zendesk.comment(ticket_id, zendesk.agent, "done", ago(clock, 70), beside=solved)

        zendesk.meanwhile["/api/v2/incremental/ticket_events"] = solve
        pages = await read(adapter.changes(ago(clock, 3600)))
        assert len(replies_in(pages)) == 2
        assert [ticket.status for page in pages for ticket in page.tickets] == [ThreadStatus.CLOSED]

    async def test_no_comment(self, adapter, zendesk, clock):
        """A change without a comment names its ticket and state, and claims that there is no reply to ask for."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 90_000))
        zendesk.change(ticket_id, ago(clock, 600), status="solved", assignee_id=zendesk.agent)
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert page.replies == {str(ticket_id): ()}
        assert [(ticket.status, ticket.assignee) for ticket in page.tickets] == [(ThreadStatus.CLOSED, "Anna Agent")]

    async def test_no_sideload(self, adapter, zendesk, clock):
        """Where flags stand in the place of comments, the ticket is named for asking and nothing is claimed."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))
        zendesk.sideload = False
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert (page.ticket_ids, page.replies) == ((str(ticket_id),), {})

    async def test_made_private(self, adapter, zendesk, clock):
        """A comment made private in place brings no comment: its ticket is named for asking."""
        ticket_id, comment = zendesk.open_ticket(ago(clock, 90_000))
        zendesk.make_private(ticket_id, comment)
        await clock.sleep(120)
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert (page.ticket_ids, page.replies) == ((str(ticket_id),), {})

    async def test_author_beside_requester(self, adapter, zendesk, clock):
        """The requester is a customer even if it is an agent, in the feed too; who is not found is unknown."""
        ticket_id, first = zendesk.open_ticket(ago(clock, 900), requester=zendesk.agent)
        copied = zendesk.comment(ticket_id, zendesk.customer, "x", ago(clock, 800))
        deleted = zendesk.comment(ticket_id, 424_242, "x", ago(clock, 700))
        replies = replies_in(await read(adapter.changes(ago(clock, 3600))))
        kinds = [replies[str(reply_id)].author.kind for reply_id in (first, copied, deleted)]
        assert kinds == [AuthorKind.CUSTOMER, AuthorKind.CUSTOMER, AuthorKind.UNKNOWN]

    async def test_roles_change(self, adapter, zendesk, clock):
        """Roles are the present ones: on another day of the feed they are asked for again."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))
        zendesk.comment(ticket_id, zendesk.agent, "x", ago(clock, 800))
        cursor = (await read(adapter.changes(ago(clock, 3600))))[-1].cursor
        zendesk.users[zendesk.agent]["role"] = "end-user"
        await clock.sleep(86_400)
        comment = zendesk.comment(ticket_id, zendesk.agent, "x", ago(clock, 100))
        replies = replies_in(await read(adapter.changes(cursor)))
        assert replies[str(comment)].author.kind is AuthorKind.CUSTOMER

    async def test_deleted(self, adapter, zendesk, clock):
        """Deleted tickets stay in the exports: they are closed, and the subject of a wiped one is nobody's."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 90_000))
        zendesk.change(ticket_id, ago(clock, 600), status="deleted", subject="SCRUBBED", description="X")
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert [(ticket.status, ticket.subject) for ticket in page.tickets] == [(ThreadStatus.CLOSED, None)]

    async def test_deleted_before_asking(self, adapter, zendesk, clock):
        """Events of a ticket that cannot be asked any more do not stop the feed."""
        ticket_id, comment = zendesk.open_ticket(ago(clock, 900))
        del zendesk.tickets[ticket_id]
        replies = replies_in(await read(adapter.changes(ago(clock, 3600))))
        assert replies[str(comment)].author.kind is AuthorKind.CUSTOMER  # by its role

    async def test_large_pages_time_out(self, adapter, zendesk, clock):
        """A 504 for a large page halves the pages, and one for small pages too is a passing failure."""
        _, comment = zendesk.open_ticket(ago(clock, 900))
        zendesk.slow_above = 250
        assert list(replies_in(await read(adapter.changes(ago(clock, 3600))))) == [str(comment)]
        zendesk.slow_above = 0
        with pytest.raises(RetryLater, match="62"):
            await read(adapter.changes(ago(clock, 3600)))

    @pytest.mark.parametrize("status", [409, 520])
    async def test_again_later(self, adapter, zendesk, clock, status):
        """A 409 and the gateway's own statuses pass."""
        zendesk.next_answers.append((status, {}, "<html></html>", "text/html"))
        with pytest.raises(RetryLater):
            await read(adapter.changes(ago(clock, 3600)))

    async def test_no_admin_any_more(self, adapter, zendesk, clock):
        """Who is no administrator any more cannot read the exports: a person must know."""
        zendesk.role = "agent"
        with pytest.raises(PauseSystem, match="admin"):
            await read(adapter.changes(ago(clock, 3600)))
