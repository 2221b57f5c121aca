"""Reading the replies of one ticket from the journal of ServiceNow."""

from datetime import timedelta

import pytest

from adapters._servicenow_records import find_value, parse_entry
from syncd.model.communication import Channel
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, BodyFormat, Visibility
from syncd.sources.records import Record
from tests.adapters.servicenow.stand_in import CHICAGO, ServiceNowStandIn

CUSTOMER, AGENT, SYSTEM, UNKNOWN = AuthorKind.CUSTOMER, AuthorKind.AGENT, AuthorKind.SYSTEM, AuthorKind.UNKNOWN


async def read_replies(adapter, ticket_id, since=None):
    """Return a ticket's replies as the core asks for them."""
    (ticket,) = await adapter.tickets([ticket_id])
    return [reply async for reply in adapter.replies(ticket, since)]


def ago(clock, seconds):
    """Return the instant so many seconds before now; ServiceNow keeps whole seconds."""
    return (clock.now() - timedelta(seconds=seconds)).replace(microsecond=0)


class TestReading:
    """Which replies there are."""

    async def test_first_message(self, adapter, servicenow, clock):
        """The description is no row of the journal: it is the first message, by the customer, when the ticket began."""
        ticket = servicenow.open_ticket(ago(clock, 900), text="It does not print.")
        entry = servicenow.write(ticket, "On our way.", at=ago(clock, 900))
        first, second = await read_replies(adapter, ticket)
        assert (first.id, first.body.text) == (f"description:{ticket}", "It does not print.")
        assert first.author.kind is CUSTOMER
        assert (first.created_at, first.first_message) == (ago(clock, 900), True)
        assert (second.id, second.first_message) == (entry, False)

    async def test_no_description(self, adapter, servicenow):
        """A ticket without a description begins with its subject, which is all that was said."""
        (first,) = await read_replies(adapter, servicenow.open_ticket(text=""))
        assert first.body.text == "Printer"

    async def test_without_customer(self, adapter, servicenow):
        """A ticket without a customer was opened by somebody unknown, or by an automaton."""
        (first,) = await read_replies(adapter, servicenow.open_ticket(caller=None))
        assert first.author.kind is UNKNOWN
        (first,) = await read_replies(adapter, servicenow.open_ticket(caller=None, sys_created_by="system"))
        assert first.author.kind is SYSTEM

    async def test_short_pages_are_not_the_last(self, adapter, servicenow, clock):
        """Rows are cut to the limit before hidden ones are left out: an empty page is followed by others."""
        servicenow.most_rows = 2
        ticket = servicenow.open_ticket(ago(clock, 900))
        rows = [servicenow.write(ticket, f"{turn}", at=ago(clock, 800 - turn)) for turn in range(9)]
        servicenow.hidden.update(rows[2:7])
        assert [reply.id for reply in await read_replies(adapter, ticket)][1:] == [*rows[:2], *rows[7:]]

    @pytest.mark.parametrize("totals", [True, False])
    async def test_without_link_header(self, adapter, servicenow, clock, totals):
        """Where a proxy drops the header with the next page, the total tells, or a page that is full."""
        servicenow.has_links, servicenow.has_totals = False, totals
        ticket = servicenow.open_ticket(ago(clock, 900))
        rows = [servicenow.write(ticket, "x", at=ago(clock, 800 - turn)) for turn in range(401)]
        if totals:
            servicenow.hidden.update(rows[150:250])  # a page that is not full says nothing
        seen = [reply.id for reply in await read_replies(adapter, ticket)]
        assert seen[1:] == [row for row in rows if row not in servicenow.hidden]

    async def test_bare_links(self, adapter, servicenow, clock):
        """The address of a next page is read for its offset, also if the `>` of the query stands bare in it."""
        servicenow.most_rows, servicenow.bare_links = 2, True
        ticket = servicenow.open_ticket(ago(clock, 900))
        rows = [servicenow.write(ticket, "x", at=ago(clock, 800 - turn)) for turn in range(5)]
        assert [reply.id for reply in await read_replies(adapter, ticket)][1:] == rows

    async def test_offset_not_heeded(self, adapter, servicenow, clock):
        """A server that gives the same full page for every offset is an error, not an endless read."""
        servicenow.has_links = servicenow.heeds_offset = False
        ticket = servicenow.open_ticket(ago(clock, 900))
        for turn in range(200):
            servicenow.write(ticket, "x", at=ago(clock, 800 - turn))
        with pytest.raises(UnexpectedAnswer, match="same page"):
            await read_replies(adapter, ticket)

    async def test_zone_of_queries(self, adapter, servicenow, clock):
        """Times are compared in answers, in UTC: another zone of the account loses no reply of a ticket."""
        servicenow.query_zone = CHICAGO
        ticket = servicenow.open_ticket(ago(clock, 900))
        rows = [servicenow.write(ticket, "x", at=ago(clock, 800 - turn)) for turn in range(3)]
        assert [reply.id for reply in await read_replies(adapter, ticket, ago(clock, 799))] == rows[1:]

    async def test_resolution(self, adapter, servicenow, clock):
        """ServiceNow keeps whole seconds, so a comment of the second in which `since` lies is never missed."""
        since = ago(clock, 100) + timedelta(microseconds=900_000)
        ticket = servicenow.open_ticket(since)
        row = servicenow.write(ticket, "x", at=since)
        assert [reply.id for reply in await read_replies(adapter, ticket, since)] == [f"description:{ticket}", row]

    async def test_since_reads_back(self, adapter, servicenow, clock):
        """The journal of a long ticket is read from its newest row back to those that are known."""
        ticket = servicenow.open_ticket(ago(clock, 90_000))
        for turn in range(700):
            servicenow.write(ticket, "x", at=ago(clock, 80_000 - turn))
        last = servicenow.write(ticket, "new", at=ago(clock, 10))
        assert [reply.id for reply in await read_replies(adapter, ticket, ago(clock, 60))] == [last]
        assert servicenow.count("sys_journal_field") == 1

    async def test_other_tables_in_rows(self, adapter, servicenow, clock):
        """Rows that name the table that all tickets extend belong to the ticket as well; child tasks do not."""
        ticket, child = servicenow.open_ticket(ago(clock, 900)), servicenow.open_ticket(ago(clock, 900))
        row = servicenow.write(ticket, "moved", name="task", at=ago(clock, 10))
        servicenow.write(child, "of the child")
        assert [reply.id for reply in await read_replies(adapter, ticket)][1:] == [row]

    async def test_query_part_ignored(self, adapter, servicenow):
        """Rows of other tickets are a failure: the part of the query with the ticket was ignored."""
        ticket, other = servicenow.open_ticket(), servicenow.open_ticket()
        servicenow.write(ticket, "ours")
        servicenow.write(other, "of somebody else")
        servicenow.ignored.add("element_id")
        with pytest.raises(UnexpectedAnswer, match="part of the query"):
            await read_replies(adapter, ticket)

    async def test_silent_empty_journal(self, adapter, servicenow):
        """A journal without a row is believed only if the ticket displays no comment: else it may not be read."""
        ticket = servicenow.open_ticket()
        servicenow.closed.add("sys_journal_field")
        assert len(await read_replies(adapter, ticket)) == 1
        servicenow.write(ticket, "On our way.")
        with pytest.raises(PauseSystem, match="replies_from = display"):
            await read_replies(adapter, ticket)

    async def test_deleted(self, adapter, servicenow):
        """The journal of a deleted ticket still has rows: the ticket itself is asked for, and is gone."""
        ticket = servicenow.open_ticket()
        servicenow.write(ticket, "On our way.")
        (state,) = await adapter.tickets([ticket])
        servicenow.delete(ticket)
        with pytest.raises(TicketUnavailable):
            await anext(adapter.replies(state, None))


class TestVisibility:
    """Who may see what."""

    async def test_work_notes(self, adapter, servicenow):
        """Work notes are internal, comments are public."""
        ticket = servicenow.open_ticket()
        note = servicenow.write(ticket, "He is angry.", element="work_notes")
        replies = await read_replies(adapter, ticket)
        assert {reply.id for reply in replies if reply.visibility is Visibility.INTERNAL} == {note}

    async def test_other_journals(self, adapter, servicenow):
        """Journals of other fields, such as approval history, are not asked for; if they come, that is a failure."""
        ticket = servicenow.open_ticket()
        servicenow.write(ticket, "approved", element="approval_history")
        assert len(await read_replies(adapter, ticket)) == 1
        servicenow.ignored.add("element")
        with pytest.raises(UnexpectedAnswer):
            await read_replies(adapter, ticket)


class TestBodies:
    """Texts and markup."""

    @pytest.mark.parametrize(
        ("text", "shown", "kind"),
        [
            ("plain <b>", "plain <b>", BodyFormat.TEXT),
            ("[code]<p>Hi</p>[/code]", "<p>Hi</p>", BodyFormat.HTML),
            ("a < b\nc [code]<b>d</b>[/code] & [CODE]e[/CODE]", "a &lt; b<br>c <b>d</b> &amp; e", BodyFormat.HTML),
            ("[code]<p>never closed", "[code]<p>never closed", BodyFormat.TEXT),
            ("", "", BodyFormat.TEXT),
        ],
    )
    async def test_code(self, adapter, servicenow, text, shown, kind):
        """What stands between [code] and [/code] is HTML, and what stands beside it is not."""
        ticket = servicenow.open_ticket()
        servicenow.write(ticket, text)
        body = (await read_replies(adapter, ticket))[1].body
        assert (body.text, body.format) == (shown, kind)

    @pytest.mark.parametrize(
        ("word", "first", "later"),
        [
            ("email", Channel.EMAIL, Channel.EMAIL),
            ("chat", Channel.CHAT, Channel.CHAT),
            ("phone", Channel.PHONE, Channel.OTHER),
            ("walk-in", Channel.CONVERSATION, Channel.OTHER),
            ("self-service", Channel.OTHER, Channel.OTHER),
            ("", Channel.OTHER, Channel.OTHER),
        ],
    )
    async def test_channels(self, adapter, servicenow, word, first, later):
        """There is only the ticket's contact type; after a talk, comments are written."""
        ticket = servicenow.open_ticket(contact_type=word)
        servicenow.write(ticket, "x")
        replies = await read_replies(adapter, ticket)
        assert [reply.channel for reply in replies] == [first, later]
        assert {reply.vendor_channel for reply in replies} == {word or None}


class TestAuthors:
    """Who wrote."""

    @pytest.mark.parametrize(
        ("login", "kind"),
        [
            ("carl.customer", CUSTOMER),
            ("Carl.Customer", CUSTOMER),
            ("anna.agent", AGENT),
            ("cora.colleague", CUSTOMER),
            ("guest", CUSTOMER),
            ("system", SYSTEM),
            ("bridge", SYSTEM),
            ("renamed.user", UNKNOWN),
            ("odd^name", UNKNOWN),
            ("javascript:gs.getUserName()", UNKNOWN),
        ],
    )
    async def test_kinds(self, sign_in, servicenow, login, kind):
        """Customers, agents by their roles, colleagues without one, unknown senders, automata, and the renamed."""
        servicenow.add_user("cora.colleague", "Cora Colleague", roles=["snc_internal"])
        ticket = servicenow.open_ticket()
        servicenow.write(ticket, "x", login)
        adapter = sign_in(servicenow, automatic_users=["system", "Bridge"])
        assert (await read_replies(adapter, ticket))[1].author.kind is kind

    async def test_agent_as_customer(self, adapter, servicenow):
        """An agent who is the customer of a ticket writes there as one, and elsewhere as an agent with a name."""
        own, other = servicenow.open_ticket(caller="agent"), servicenow.open_ticket()
        for ticket in (own, other):
            servicenow.write(ticket, "x", "anna.agent")
        assert (await read_replies(adapter, own))[1].author.kind is CUSTOMER
        author = (await read_replies(adapter, other))[1].author
        assert (author.kind, author.name) == (AGENT, "Anna Agent")

    @pytest.mark.parametrize("closed", ["closed", "forbidden"])
    async def test_roles_unseen(self, adapter, servicenow, closed):
        """Without a view of roles nobody is taken for a customer by having none; the assignee is an agent."""
        getattr(servicenow, closed).add("sys_user_has_role")
        servicenow.add_user("ben.agent", "Ben Agent", roles=["itil"])
        ticket = servicenow.open_ticket(assigned_to=servicenow.agent)
        for login in ("anna.agent", "ben.agent", "carl.customer"):
            servicenow.write(ticket, "x", login)
        authors = {reply.author.name: reply.author.kind for reply in await read_replies(adapter, ticket)}
        assert authors == {None: CUSTOMER, "Anna Agent": AGENT, "Ben Agent": UNKNOWN}

    async def test_users_unseen(self, adapter, servicenow):
        """Without a view of users, whoever wrote is unknown, by login."""
        servicenow.closed.add("sys_user")
        ticket = servicenow.open_ticket()
        servicenow.write(ticket, "x", "anna.agent")
        author = (await read_replies(adapter, ticket))[1].author
        assert (author.kind, author.name) == (UNKNOWN, "anna.agent")

    async def test_query_part_ignored_for_users(self, adapter, servicenow):
        """Where the part with the names is ignored, the users of the whole instance are not read through."""
        servicenow.most_rows = 1
        for number in range(20):
            servicenow.add_user(f"user{number}", f"User {number}")
        servicenow.ignored.add("user_name")
        ticket = servicenow.open_ticket()
        servicenow.write(ticket, "x", "renamed.user")
        assert (await read_replies(adapter, ticket))[1].author.kind is UNKNOWN
        assert servicenow.count("/sys_user") == 1

    async def test_people_are_asked_once(self, adapter, servicenow):
        """Users and their roles are asked for once, however often they write; the customer is never asked for."""
        ticket = servicenow.open_ticket()
        servicenow.write(ticket, "x", "carl.customer")
        await read_replies(adapter, ticket)
        assert servicenow.count("/sys_user") == 0
        servicenow.write(ticket, "x", "anna.agent")
        for _ in range(3):
            await read_replies(adapter, ticket)
        assert (servicenow.count("/sys_user"), servicenow.count("/sys_user_has_role")) == (2, 1)

    @pytest.mark.parametrize(
        ("login", "kind"), [("contact", CUSTOMER), ("consumer", CUSTOMER), ("other", CUSTOMER), ("anna.agent", AGENT)]
    )
    async def test_cases(self, sign_in, cases, login, kind):
        """The customer of a case is its contact, or its consumer's user; other customers are known by their kind."""
        contact = cases.add_user("contact", "Carla Contact", kind="customer_contact")
        user = cases.add_user("consumer", "Conny Consumer", kind="csm_consumer_user")
        cases.add_user("other", "Otto Other", kind="customer_contact", roles=["itil"])
        consumer = cases._add("csm_consumer", name="Conny Consumer", user=user)
        fields = {"contact": "", "consumer": consumer} if login == "consumer" else {"contact": contact}
        ticket = cases.open_ticket(**fields)
        cases.write(ticket, "x", login)
        replies = await read_replies(sign_in(cases), ticket)
        assert [reply.author.kind for reply in replies] == [CUSTOMER, kind]

    async def test_other_tables(self, sign_in, clock):
        """On other tables the customer is who opened the ticket, unless another field is named."""
        async with ServiceNowStandIn(clock, "problem") as problems:
            ticket = problems.open_ticket(assigned_to=problems.agent)
            problems.write(ticket, "x", "carl.customer")
            problems.write(ticket, "x", "anna.agent")
            replies = await read_replies(sign_in(problems), ticket)
            assert [reply.author.kind for reply in replies] == [CUSTOMER, CUSTOMER, AGENT]
            replies = await read_replies(sign_in(problems, customer_fields=["assigned_to"]), ticket)
            assert [reply.author.kind for reply in replies] == [CUSTOMER, CUSTOMER, CUSTOMER]

    def test_edited(self):
        """Where a row tells a time of change it was edited then; most releases tell none."""
        row = {"sys_id": "a", "name": "incident", "element": "comments", "element_id": "b", "value": "x"}
        row["sys_created_on"] = "2026-01-01 10:00:00"
        assert parse_entry(Record(row, "x")).edited_at is None
        assert parse_entry(Record({**row, "sys_updated_on": row["sys_created_on"]}, "x")).edited_at is None
        later = parse_entry(Record({**row, "sys_updated_on": "2026-01-01 10:00:01"}, "x"))
        assert later.edited_at == later.at + timedelta(seconds=1)

    @pytest.mark.parametrize("value", ["abc", {"value": "abc"}, {"display_value": "A", "value": "abc", "link": "x"}])
    def test_reference_shapes(self, value):
        """A field is read the same as a text and as either object that ServiceNow makes of it."""
        assert find_value(Record({"caller_id": value}, "x"), "caller_id") == "abc"
