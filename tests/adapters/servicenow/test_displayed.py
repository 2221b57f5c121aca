"""Reading replies from the text that a ticket displays, for accounts that may not read the journal."""

from datetime import timedelta

import pytest

from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, Visibility
from tests.adapters.servicenow.stand_in import BERLIN


async def read_replies(adapter, ticket_id, since=None):
    """Return a ticket's replies as the core asks for them."""
    (ticket,) = await adapter.tickets([ticket_id])
    return [reply async for reply in adapter.replies(ticket, since)]


def ago(clock, seconds):
    """Return the instant so many seconds before now; ServiceNow keeps whole seconds."""
    return (clock.now() - timedelta(seconds=seconds)).replace(microsecond=0)


@pytest.fixture(autouse=True)
def journal_is_closed(servicenow):
    """The account may not read the journal."""
    servicenow.closed.add("sys_journal_field")


class TestReading:
    """What the text holds."""

    async def test_newest_first(self, displaying, servicenow, clock):
        """The text begins with the newest entry; replies come oldest first, with their lines."""
        ticket = servicenow.open_ticket(ago(clock, 900))
        servicenow.write(ticket, "One\n\ntwo", "anna.agent", ago(clock, 800))
        servicenow.write(ticket, "Three", "carl.customer", ago(clock, 700))
        servicenow.write(ticket, "Angry", "anna.agent", ago(clock, 750), element="work_notes")
        replies = await read_replies(displaying, ticket)
        assert [reply.body.text for reply in replies] == ["It does not work.", "One\n\ntwo", "Angry", "Three"]
        assert [reply.created_at for reply in replies[1:]] == [ago(clock, 800), ago(clock, 750), ago(clock, 700)]
        assert [reply.visibility is Visibility.INTERNAL for reply in replies] == [False, False, True, False]

    async def test_people_by_name(self, displaying, servicenow, clock):
        """There are full names alone: the customer's, agents' by their roles; a name that two have is nobody's."""
        for login in ("max.one", "max.two"):
            servicenow.add_user(login, "Max Same", roles=["itil"])
        ticket = servicenow.open_ticket(ago(clock, 900))
        for login in ("anna.agent", "carl.customer", "max.one", "guest"):
            servicenow.write(ticket, "x", login, ago(clock, 100))
        kinds = [reply.author.kind for reply in await read_replies(displaying, ticket)]
        agent, customer, unknown = AuthorKind.AGENT, AuthorKind.CUSTOMER, AuthorKind.UNKNOWN
        assert kinds == [customer, agent, customer, unknown, customer]

    async def test_ids_stay(self, displaying, servicenow, clock):
        """An entry keeps its id when others come, in the same second too, and when text or name are changed."""
        ticket = servicenow.open_ticket(ago(clock, 900))
        row = servicenow.write(ticket, "One", "anna.agent", ago(clock, 100))
        before = [reply.id for reply in await read_replies(displaying, ticket)]
        servicenow.write(ticket, "Two", "carl.customer", ago(clock, 100))
        servicenow.write(ticket, "Three", "carl.customer", ago(clock, 50))
        servicenow.tables["sys_journal_field"][row]["value"] = "Edited"
        servicenow.tables["sys_user"][servicenow.agent]["name"] = "Anna Married"
        after = await read_replies(displaying, ticket)
        assert [reply.id for reply in after][:2] == before
        assert len({reply.id for reply in after}) == 4
        assert after[1].body.text == "Edited"

    async def test_quotes_of_other_fields(self, displaying, servicenow, clock):
        """A line that looks like an entry of another field, or stands inside a paragraph, is text."""
        header = "2026-01-01 10:00:00 - Anna Agent"
        quoted = f"See\n\n{header} (Work notes)\nsecret\n{header} (Additional comments)"
        ticket = servicenow.open_ticket(ago(clock, 900))
        servicenow.write(ticket, quoted, at=ago(clock, 100))
        replies = await read_replies(displaying, ticket)
        assert [reply.body.text for reply in replies[1:]] == [quoted]

    async def test_names_with_brackets(self, displaying, servicenow, clock):
        """A full name may hold brackets and dashes of its own."""
        servicenow.add_user("dora", "Dora - Desk (EMEA)", roles=["itil"])
        ticket = servicenow.open_ticket(ago(clock, 900))
        servicenow.write(ticket, "x", "dora", ago(clock, 100))
        author = (await read_replies(displaying, ticket))[1].author
        assert (author.kind, author.name) == (AuthorKind.AGENT, "Dora - Desk (EMEA)")

    @pytest.mark.parametrize("name", ["Anna Agent", "Anna (EMEA)"])
    async def test_labels_with_brackets(self, displaying, servicenow, clock, name):
        """The field may be called "Additional comments (Customer visible)", as new instances do."""
        servicenow.labels["comments"] = "Additional comments (Customer visible)"
        servicenow.tables["sys_user"][servicenow.agent]["name"] = name
        ticket = servicenow.open_ticket(ago(clock, 900))
        for turn in range(2):
            servicenow.write(ticket, f"{turn}", at=ago(clock, 100 - turn))
        replies = (await read_replies(displaying, ticket))[1:]
        assert [(reply.body.text, reply.author.name) for reply in replies] == [("0", name), ("1", name)]


class TestForm:
    """Times and entries that cannot be read."""

    async def test_another_zone(self, displaying, servicenow, clock):
        """Displayed times in the account's own zone pause the system: they repeat an hour each autumn."""
        ticket = servicenow.open_ticket(ago(clock, 900))
        servicenow.write(ticket, "x", at=ago(clock, 100))
        servicenow.display_zone = BERLIN
        with pytest.raises(PauseSystem, match="time zone to GMT"):
            await read_replies(displaying, ticket)

    async def test_another_form(self, displaying, servicenow, clock):
        """So do times in another form."""
        ticket = servicenow.open_ticket(ago(clock, 900))
        servicenow.write(ticket, "x", at=ago(clock, 100))
        servicenow.display_form = "%d/%m/%Y %H:%M:%S"
        with pytest.raises(PauseSystem, match="date format"):
            await read_replies(displaying, ticket)

    @pytest.mark.parametrize(
        "header",
        ["{at} {name}: {label}", "by {name}, {at} - {name} ({label})", "{name}:\nx\n\n{at} - {name} ({label})"],
    )
    async def test_another_header(self, displaying, servicenow, clock, header):
        """A text that does not begin with an entry is a failure, and not a ticket without replies."""
        ticket = servicenow.open_ticket(ago(clock, 900))
        servicenow.write(ticket, "x", at=ago(clock, 100))
        servicenow.header_form = header
        with pytest.raises(UnexpectedAnswer, match="does not begin with an entry"):
            await read_replies(displaying, ticket)


async def test_roles_are_asked_again_each_day(displaying, servicenow, clock):
    """Who became an agent is one from the next day of the feed on, also without a journal to read."""
    cora = servicenow.add_user("cora", "Cora", roles=["snc_internal"])
    ticket = servicenow.open_ticket()
    servicenow.write(ticket, "x", "cora")
    cursor = [page async for page in displaying.changes(ago(clock, 1000))][-1].cursor
    assert (await read_replies(displaying, ticket))[1].author.kind is AuthorKind.CUSTOMER
    servicenow._add("sys_user_has_role", user=cora, role=servicenow.roles["itil"])
    await clock.sleep(86_400)
    servicenow.write(ticket, "y", "cora")
    assert len([page async for page in displaying.changes(cursor)]) == 1
    assert (await read_replies(displaying, ticket))[1].author.kind is AuthorKind.AGENT


async def test_the_feed_names_tickets(displaying, servicenow, clock):
    """The feed names changed tickets with their states, and claims no replies: those are read from each ticket."""
    ticket = servicenow.open_ticket(ago(clock, 900))
    servicenow.write(ticket, "x", at=ago(clock, 100))
    pages = [page async for page in displaying.changes(ago(clock, 1000))]
    assert [(page.ticket_ids, page.replies) for page in pages] == [((ticket,), {})]
    assert servicenow.count("sys_journal_field") == 0
