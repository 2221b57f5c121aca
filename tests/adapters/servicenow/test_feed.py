"""Reading all changes of an instance: the journal of all tickets, and the tickets that changed."""

from datetime import timedelta

import pytest

from adapters._servicenow_feed import Bookmark, Mark
from syncd.model.communication import ThreadStatus
from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, Cursor, Visibility
from tests.adapters.servicenow.stand_in import BERLIN, CHICAGO


async def read(pages):
    """Return all of an asynchronous iterator."""
    return [page async for page in pages]


async def last_cursor(adapter, clock):
    """Return the cursor behind everything of the last day."""
    return (await read(adapter.changes(ago(clock, 86_400))))[-1].cursor


def replies_in(pages):
    """Return all replies of pages of the feed by their ids."""
    return {reply.id: reply for page in pages for replies in page.replies.values() for reply in replies}


def states_in(pages):
    """Return the last state of each ticket on pages of the feed."""
    return {ticket.id: ticket for page in pages for ticket in page.tickets}


def ago(clock, seconds):
    """Return the instant so many seconds before now; ServiceNow keeps whole seconds."""
    return (clock.now() - timedelta(seconds=seconds)).replace(microsecond=0)


class TestReading:
    """What the feed yields."""

    async def test_replies_of_many_tickets_in_few_requests(self, adapter, servicenow, clock):
        """New comments of a hundred tickets come with their states in three requests; two where nothing is new."""
        cursor = await self._at_rest(adapter, servicenow, clock)
        tickets = [servicenow.open_ticket() for _ in range(100)]
        rows = [servicenow.write(ticket, "Hello?", "carl.customer") for ticket in tickets]
        servicenow.forget()
        pages = await read(adapter.changes(cursor))
        assert set(rows) <= replies_in(pages).keys()
        assert set(tickets) <= states_in(pages).keys()
        assert len(servicenow.requests) == 3
        servicenow.forget()
        await read(adapter.changes(pages[-1].cursor))
        assert len(servicenow.requests) == 2

    async def _at_rest(self, adapter, servicenow, clock):
        servicenow.write(servicenow.open_ticket(ago(clock, 5000)), "x", at=ago(clock, 4000))
        return await last_cursor(adapter, clock)

    async def test_the_same_as_from_the_ticket(self, adapter, servicenow, clock):
        """A reply of the feed equals the one that is read from its ticket, the first message included."""
        ticket = servicenow.open_ticket(ago(clock, 900), assigned_to=servicenow.agent)
        servicenow.write(ticket, "[code]<p>Hi</p>[/code]", "anna.agent", ago(clock, 800))
        servicenow.write(ticket, "Thanks", "carl.customer", ago(clock, 700))
        servicenow.write(ticket, "He is angry.", "anna.agent", ago(clock, 600), element="work_notes")
        told = replies_in(await read(adapter.changes(ago(clock, 1000))))
        (state,) = await adapter.tickets([ticket])
        assert list(told.values()) != []
        assert {reply.id: reply for reply in await read(adapter.replies(state, None))} == told
        assert [reply.visibility for reply in told.values()].count(Visibility.INTERNAL) == 1

    async def test_start_long_before_the_newest(self, adapter, servicenow, clock):
        """A feed that starts at an instant tells of everything since then, however much newer the newest change is."""
        early = servicenow.open_ticket(ago(clock, 3000))
        servicenow.open_ticket(ago(clock, 10))
        assert early in states_in(await read(adapter.changes(ago(clock, 3000))))

    async def test_a_reply_comes_with_the_status_it_caused(self, adapter, servicenow, clock):
        """A comment that closes its ticket comes on one page with the closed ticket."""
        ticket = servicenow.open_ticket(ago(clock, 900))
        cursor = await last_cursor(adapter, clock)
        row = servicenow.write(ticket, "Solved.")
        servicenow.change(ticket, state="6")
        page = (await read(adapter.changes(cursor)))[0]
        assert [reply.id for reply in page.replies[ticket]] == [row]
        assert [one.status for one in page.tickets] == [ThreadStatus.CLOSED]

    async def test_changes_without_a_reply(self, adapter, servicenow, clock):
        """A change of state alone is told, and nothing need be asked about that ticket."""
        ticket = servicenow.open_ticket(ago(clock, 900))
        servicenow.write(ticket, "x", at=ago(clock, 800))
        cursor = await last_cursor(adapter, clock)
        servicenow.change(ticket, state="7", active="false")
        pages = await read(adapter.changes(cursor))
        assert states_in(pages)[ticket].status is ThreadStatus.CLOSED
        assert all(ticket in page.replies for page in pages if ticket in page.ticket_ids)

    async def test_comment_that_does_not_touch_its_ticket(self, adapter, servicenow, clock):
        """A row that was written past the ticket is found in the journal all the same."""
        ticket = servicenow.open_ticket(ago(clock, 90_000))
        servicenow.write(ticket, "x", at=ago(clock, 80_000))
        cursor = await last_cursor(adapter, clock)
        row = servicenow.write(ticket, "imported", touches=False)
        assert row in replies_in(await read(adapter.changes(cursor)))

    async def test_latecomer(self, adapter, servicenow, clock):
        """A row that becomes visible minutes after its time is still read: the overlap holds it."""
        ticket = servicenow.open_ticket(ago(clock, 900))
        servicenow.write(ticket, "in time", at=ago(clock, 10))
        cursor = await last_cursor(adapter, clock)
        late = servicenow.write(ticket, "late", at=ago(clock, 290))
        assert late in replies_in(await read(adapter.changes(cursor)))

    async def test_a_time_to_come(self, adapter, servicenow, clock):
        """Rows with a time that is still to come, as of an import in another zone, hide nothing that follows them."""
        other, ticket = servicenow.open_ticket(ago(clock, 5000)), servicenow.open_ticket(ago(clock, 5000))
        servicenow.write(other, "x", at=ago(clock, 4000))
        ahead = servicenow.write(other, "imported", at=ago(clock, -36_000))
        pages = await read(adapter.changes(ago(clock, 86_400)))
        assert ahead in replies_in(pages)
        await clock.sleep(60)
        row = servicenow.write(ticket, "now", "carl.customer")
        pages = await read(adapter.changes(pages[-1].cursor))
        assert row in replies_in(pages)
        assert ticket in states_in(pages)
        assert set(pages[-1].replies) >= {ticket}

    async def test_one_second_on_many_pages(self, adapter, servicenow, clock):
        """Rows of one second go over pages without a loss, and every cursor goes on without one."""
        servicenow.most_rows = 3
        tickets = [servicenow.open_ticket(ago(clock, 500)) for _ in range(10)]
        rows = [servicenow.write(ticket, "x", at=ago(clock, 400)) for ticket in tickets for _ in range(2)]
        pages = await read(adapter.changes(ago(clock, 600)))
        assert set(rows) <= replies_in(pages).keys()
        assert set(tickets) == states_in(pages).keys()
        for place, page in enumerate(pages, start=1):
            assert replies_in(pages[place:]).keys() <= replies_in(await read(adapter.changes(page.cursor))).keys()

    async def test_rows_that_move_meanwhile(self, adapter, servicenow, clock):
        """A ticket that changes while pages are read moves to the end, and hides no other behind a page's border."""
        servicenow.most_rows = 3
        servicenow.write(servicenow.open_ticket(ago(clock, 5000)), "x", at=ago(clock, 4000))
        tickets = [servicenow.open_ticket(ago(clock, 500 - turn)) for turn in range(10)]
        pages = []
        async for page in adapter.changes(ago(clock, 600)):
            pages.append(page)
            if tickets[0] in page.ticket_ids:
                servicenow.change(tickets[0], state="2")
        assert set(tickets) <= states_in(pages).keys()

    async def test_short_pages_are_not_the_last(self, adapter, servicenow, clock):
        """Hidden rows leave pages short or empty; the feed goes on to the rows behind them."""
        servicenow.most_rows = 2
        ticket = servicenow.open_ticket(ago(clock, 500))
        rows = [servicenow.write(ticket, "x", at=ago(clock, 400)) for turn in range(9)]
        servicenow.hidden.update(rows[:7])
        assert set(rows[7:]) <= replies_in(await read(adapter.changes(ago(clock, 600)))).keys()

    async def test_a_ticket_of_another_kind(self, adapter, servicenow, clock):
        """A ticket of a table that extends this one has rows under that name: its comments are read from itself."""
        ticket = servicenow.open_ticket(ago(clock, 500), sys_class_name="u_incident_it")
        servicenow.write(servicenow.open_ticket(ago(clock, 500)), "x", at=ago(clock, 400))
        servicenow.write(ticket, "x", at=ago(clock, 400), name="u_incident_it")
        pages = await read(adapter.changes(ago(clock, 600)))
        assert ticket in states_in(pages)
        assert all(ticket not in page.replies for page in pages)

    async def test_an_unknown_ticket(self, adapter, servicenow, clock):
        """Comments of a ticket that is gone, or of another kind of task, claim nothing."""
        ticket = servicenow.open_ticket(ago(clock, 500))
        servicenow.write(ticket, "x", at=ago(clock, 400), name="task")
        servicenow.open_ticket(ago(clock, 400))
        servicenow.delete(ticket)
        pages = await read(adapter.changes(ago(clock, 600)))
        assert ticket in pages[0].ticket_ids
        assert all(ticket not in page.replies for page in pages)

    async def test_roles_are_asked_again_each_day(self, adapter, servicenow, clock):
        """Who became an agent is one from the next day on."""
        cora = servicenow.add_user("cora", "Cora", roles=["snc_internal"])
        ticket = servicenow.open_ticket()
        servicenow.write(ticket, "x", "cora")
        cursor = await last_cursor(adapter, clock)
        servicenow._add("sys_user_has_role", user=cora, role=servicenow.roles["itil"])
        await clock.sleep(86_400)
        row = servicenow.write(ticket, "x", "cora")
        assert replies_in(await read(adapter.changes(cursor)))[row].author.kind is AuthorKind.AGENT


class TestSuspicion:
    """Silence and success are not believed as they come."""

    async def test_silent_empty_journal(self, adapter, servicenow, clock):
        """While the journal was never seen open, no ticket is said to have no new replies: each is read by itself."""
        ticket = servicenow.open_ticket(ago(clock, 500))
        servicenow.write(ticket, "x", at=ago(clock, 400))
        servicenow.closed.add("sys_journal_field")
        pages = await read(adapter.changes(ago(clock, 600)))
        assert ticket in states_in(pages)
        assert replies_in(pages) == {}
        assert all(page.replies == {} for page in pages)

    async def test_journal_that_closes_before_its_first_row(self, adapter, servicenow, clock):
        """That the journal was open once proves nothing: while no row of it is known, each sweep looks for one."""
        ticket = servicenow.open_ticket(ago(clock, 900))
        row = servicenow.write(ticket, "x", at=ago(clock, 800))
        (page,) = [page for page in await read(adapter.changes(ago(clock, 60))) if page.tickets]
        assert page.replies.keys() == {ticket}
        servicenow.closed.add("sys_journal_field")
        servicenow.change(ticket, state="2")
        assert [one.replies for one in await read(adapter.changes(page.cursor)) if one.tickets] == [{}]
        assert row not in replies_in([page])

    async def test_journal_that_falls_silent(self, adapter, servicenow, clock):
        """An account that loses its read access is answered with nothing: the newest known row does not come again."""
        ticket = servicenow.open_ticket(ago(clock, 500))
        servicenow.write(ticket, "x", at=ago(clock, 400))
        cursor = await last_cursor(adapter, clock)
        servicenow.write(ticket, "new")
        servicenow.closed.add("sys_journal_field")
        with pytest.raises(PauseSystem, match="sys_journal_field any more"):
            await read(adapter.changes(cursor))

    async def test_tickets_that_fall_silent(self, adapter, servicenow, clock):
        """The same for the table of the tickets."""
        servicenow.open_ticket(ago(clock, 500))
        cursor = await last_cursor(adapter, clock)
        servicenow.closed.add("incident")
        with pytest.raises(PauseSystem, match="incident any more"):
            await read(adapter.changes(cursor))

    async def test_deleted_anchor(self, adapter, servicenow, clock):
        """Posts can be deleted: the newest known row that is gone is no failure while others are seen."""
        ticket = servicenow.open_ticket(ago(clock, 900))
        servicenow.write(ticket, "old", at=ago(clock, 900))
        newest = servicenow.write(ticket, "deleted later", at=ago(clock, 100))
        cursor = await last_cursor(adapter, clock)
        del servicenow.tables["sys_journal_field"][newest]
        cursor = (await read(adapter.changes(cursor)))[-1].cursor
        servicenow.forget()
        row = servicenow.write(ticket, "new")
        assert row in replies_in(await read(adapter.changes(cursor)))

    async def test_zone_west_of_utc_at_the_start(self, adapter, servicenow, clock):
        """Times read in a zone west of UTC would hide hours of changes: the feed does not begin with it."""
        servicenow.open_ticket(ago(clock, 100))
        servicenow.query_zone = CHICAGO
        with pytest.raises(PauseSystem, match="time zone of the account to GMT"):
            await read(adapter.changes(ago(clock, 3600)))

    async def test_zone_west_of_utc_later(self, adapter, servicenow, clock):
        """An account whose zone is changed later is noticed before anything is stored past the gap."""
        ticket = servicenow.open_ticket(ago(clock, 30_000))
        servicenow.write(ticket, "x", at=ago(clock, 30_000))
        cursor = await last_cursor(adapter, clock)
        servicenow.query_zone = CHICAGO
        servicenow.write(ticket, "in the gap", at=ago(clock, 20_000))
        servicenow.write(ticket, "after it")
        with pytest.raises(PauseSystem, match="time zone of the account to GMT"):
            await anext(adapter.changes(cursor))

    async def test_zone_east_of_utc(self, adapter, servicenow, clock):
        """Times read in a zone east of UTC give rows that were not asked for, and that is told."""
        ticket = servicenow.open_ticket(ago(clock, 5000))
        for turn in range(4):
            servicenow.write(ticket, "x", at=ago(clock, 4000 - 1000 * turn))
        cursor = await last_cursor(adapter, clock)
        servicenow.query_zone = BERLIN
        with pytest.raises(UnexpectedAnswer, match="time zone of the account to GMT"):
            await read(adapter.changes(cursor))

    @pytest.mark.parametrize("field", ["sys_created_on", "name", "element"])
    async def test_query_parts_ignored(self, adapter, servicenow, clock, field):
        """A part of a query that is ignored gives the whole journal: not one row of it is handed on."""
        ticket = servicenow.open_ticket(ago(clock, 5000))
        servicenow.write(ticket, "long ago", at=ago(clock, 4000))
        servicenow.write(ticket, "approved", at=ago(clock, 100), element="approval_history")
        servicenow.write(ticket, "of a problem", at=ago(clock, 100), name="problem")
        servicenow.write(ticket, "new", at=ago(clock, 10))
        servicenow.ignored.add(field)
        with pytest.raises(UnexpectedAnswer, match="part of the query was ignored"):
            await anext(adapter.changes(ago(clock, 60)))

    async def test_no_ticket_yet(self, adapter, servicenow, clock):
        """Where no ticket is seen the feed does not begin, so that it begins at the same instant later."""
        assert await read(adapter.changes(ago(clock, 60))) == []

    async def test_anchor_far_ahead(self, adapter, servicenow, clock):
        """The newest known ticket that changed again comes pages later, and is not taken for missing."""
        servicenow.most_rows = 2
        anchor = servicenow.open_ticket(ago(clock, 900))
        cursor = await last_cursor(adapter, clock)
        tickets = [servicenow.open_ticket(ago(clock, 800 - turn)) for turn in range(6)]
        servicenow.change(anchor, state="2")
        assert set(tickets) | {anchor} <= states_in(await read(adapter.changes(cursor))).keys()


class TestCursor:
    """Where the feed goes on."""

    def test_round(self, clock):
        """A cursor says what its bookmark says."""
        mark = Bookmark(Mark(clock.now(), "a"), Mark(ago(clock, 5)), "journal")
        assert Bookmark.parse(mark.cursor()) == mark

    @pytest.mark.parametrize(
        "text",
        [
            *("", "17", "[]", "{}", "null"),
            '{"from":"journal","journal":["soon",""],"tickets":["2026-01-01T00:00:00+00:00",""]}',
            '{"from":"journal","journal":["2026-01-01T00:00:00",""],"tickets":["2026-01-01T00:00:00+00:00",""]}',
            '{"from":"journal","journal":["2026-01-01T00:00:00+00:00",7],"tickets":["2026-01-01T00:00:00+00:00",""]}',
            '{"from":"journal","journal":["2026-01-01T00:00:00+00:00"],"tickets":["2026-01-01T00:00:00+00:00",""]}',
        ],
    )
    async def test_foreign(self, adapter, text):
        """A cursor of another adapter is told, not guessed at."""
        with pytest.raises(UnexpectedAnswer, match="none of ServiceNow's"):
            await anext(adapter.changes(Cursor(text)))

    async def test_other_source(self, adapter, displaying, servicenow, clock):
        """With the other source replies have other ids: going on would send each one twice, so the system pauses."""
        servicenow.open_ticket(ago(clock, 100))
        cursor = await last_cursor(displaying, clock)
        with pytest.raises(PauseSystem, match="sent again"):
            await anext(adapter.changes(cursor))
