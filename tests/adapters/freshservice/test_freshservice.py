"""In what Freshservice differs from Freshdesk: signing in, workspaces, numbers, sources, people, and no archive."""

from datetime import timedelta

import pytest

from adapters.freshservice import Freshservice, FreshserviceConfig
from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, TicketRef, Unavailability, Unavailable


async def read(adapter, ticket_id):
    """Return the replies of a ticket."""
    ticket = await adapter.resolve(TicketRef(number=str(ticket_id)))
    return [reply async for reply in adapter.replies(ticket, None)]


class TestSigningIn:
    """Who we are."""

    async def test_it_tells_the_agent(self, adapter, freshservice):
        """Where agents/me is known, it names the agent."""
        identity = await adapter.check()
        assert identity.account == f"a{freshservice.me}@acme.test"
        assert identity.warnings == ()

    async def test_agents_me_is_not_documented(self, adapter, freshservice):
        """Where agents/me is not known, the open list of tickets is enough."""
        freshservice.knows_me = False
        assert (await adapter.check()).account == "the agent of the API key"

    async def test_the_key_is_in_no_repr(self):
        """The key is hidden, bare and encoded."""
        options = FreshserviceConfig(base_url="https://acme.freshservice.com", api_key="key-1")
        shown = repr(options) + repr(Freshservice.connection(options))
        assert "key-1" not in shown
        assert "a2V5LTE6WA" not in shown

    async def test_the_pace_meets_no_limit_of_the_smallest_plan(self, sign_in, freshservice, clock):
        """At full pace none of Starter's limits is met: 100 credits, 40 lists and 50 single tickets a minute."""
        ids = [str(freshservice.open_ticket(clock.now())) for _ in range(120)]
        adapter = sign_in(own_pace=True)
        assert len(await adapter.tickets(ids)) == 120
        for _ in range(60):
            [page async for page in adapter.changes(clock.now())]
        assert freshservice.throttled == 0


class TestWorkspaces:
    """Which tickets the list has."""

    async def test_all_workspaces(self, adapter, freshservice, clock):
        """A ticket of another workspace than the primary one is named, because all are asked for."""
        ticket = freshservice.open_ticket(clock.now(), workspace_id=7)
        pages = [page async for page in adapter.changes(clock.now() - timedelta(hours=1))]
        assert pages[-1].ticket_ids == (str(ticket),)

    async def test_an_account_without_workspaces(self, adapter, sign_in, freshservice, clock):
        """Where workspaces are refused, the check names the option that leaves them out, and without them all works."""
        freshservice.has_workspaces = False
        with pytest.raises(PauseSystem, match="all_workspaces"):
            await adapter.check()
        adapter = sign_in(all_workspaces=False)
        await adapter.check()
        ticket = freshservice.open_ticket(clock.now())
        pages = [page async for page in adapter.changes(clock.now() - timedelta(hours=1))]
        assert pages[-1].ticket_ids == (str(ticket),)

    async def test_a_list_that_is_refused_otherwise(self, sign_in, freshservice):
        """A list that is refused although no workspaces are named pauses the system too."""
        adapter = sign_in(all_workspaces=False)
        freshservice.meanwhile["/api/v2/tickets"] = lambda: freshservice.next_answers.append(
            (400, {}, '{"code": "invalid_value"}', "application/json")
        )
        with pytest.raises(PauseSystem):
            await adapter.check()


class TestNames:
    """Numbers and links."""

    @pytest.mark.parametrize(
        "shape", ["{}", "#{}", "INC-{}", "#SR-{}", "inc-{}", "CASE-{}", "Query-{}", "ISSUE-{}", "REQ-{}"]
    )
    async def test_number(self, adapter, freshservice, clock, shape):
        """The number is found with the letters that people write before it, and without."""
        number = freshservice.open_ticket(clock.now())
        assert (await adapter.resolve(TicketRef(number=shape.format(number)))).id == str(number)

    @pytest.mark.parametrize("number", ["INC-", "INC-0", "INC 12", "INCIDENT-12", "INC-1-2"])
    async def test_no_number(self, adapter, freshservice, number):
        """What cannot be a number is refused without asking."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(number=number))
        assert freshservice.requests == []

    @pytest.mark.parametrize("prefix", ["PRB", "CHN", "REL", "chn", "ASSET"])
    async def test_no_ticket(self, adapter, freshservice, clock, prefix):
        """Problems, changes and releases have numbers of their own: CHN-1 is not the ticket 1 of somebody else."""
        number = freshservice.open_ticket(clock.now())
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(number=f"{prefix}-{number}"))
        assert freshservice.requests == []

    @pytest.mark.parametrize(
        "path", ["/helpdesk/tickets/{}", "/a/tickets/{}?current_tab=details", "/support/tickets/{}"]
    )
    async def test_link(self, adapter, freshservice, clock, path):
        """Links of agents and of requesters lead to the ticket."""
        number = freshservice.open_ticket(clock.now())
        assert (await adapter.resolve(TicketRef(link=freshservice.base_url + path.format(number)))).id == str(number)

    async def test_there_is_no_archive(self, adapter, freshservice):
        """A ticket that is not found is gone, without a look into an archive that does not exist."""
        assert await adapter.tickets(["987654"]) == [Unavailable("987654", Unavailability.GONE)]
        assert freshservice.count("/archived/") == 0


class TestFeed:
    """A list in no order of change."""

    async def test_no_order_of_change_is_asked_for(self, adapter, freshservice, clock):
        """The list is not documented to sort by change: it is asked for oldest first, and from an instant on."""
        freshservice.open_ticket(clock.now() - timedelta(days=90), updated_at="2026-01-01T00:00:00Z")
        [page async for page in adapter.changes(clock.now() - timedelta(hours=1))]
        (query,) = [query for path, query in freshservice.requests if path == "/api/v2/tickets"]
        assert query.keys() == {"updated_since", "order_type", "workspace_id", "per_page", "page"}

    async def test_the_cursor_stays_until_the_last_page(self, adapter, freshservice, clock):
        """Whoever stops in the middle begins again, because a later page may hold an older change."""
        freshservice.page_size = 2
        begin = clock.now() - timedelta(days=1)
        made = [freshservice.open_ticket(begin, updated_at=stamp(begin, 600 - turn)) for turn in range(5)]
        pages = [page async for page in adapter.changes(begin)]
        assert [page.ticket_ids for page in pages] == [tuple(map(str, made[at : at + 2])) for at in (0, 2, 4)]
        assert pages[0].cursor == pages[1].cursor != pages[2].cursor

    async def test_a_change_behind_the_page_that_is_read(self, adapter, freshservice, clock):
        """An old ticket that changes while later pages are turned is named at the next reading."""
        freshservice.page_size = 2
        begin = clock.now() - timedelta(hours=1)
        made = [freshservice.open_ticket(begin + timedelta(seconds=turn)) for turn in range(4)]
        await clock.sleep(600)
        pages = adapter.changes(begin)
        await anext(pages)
        await clock.sleep(300)
        freshservice.touch(made[0])
        await clock.sleep(300)
        freshservice.touch(made[3])
        cursor = [page async for page in pages][-1].cursor
        named = [ticket_id async for page in adapter.changes(cursor) for ticket_id in page.ticket_ids]
        assert str(made[0]) in named

    async def test_many_old_tickets_at_once_do_not_come_again_and_again(self, adapter, freshservice, clock):
        """After a bulk change of several pages the next reading is a single page."""
        freshservice.page_size = 2
        begin = clock.now() - timedelta(hours=1)
        for _ in range(7):
            freshservice.open_ticket(begin)
        cursor = [page async for page in adapter.changes(begin)][-1].cursor
        freshservice.forget()
        assert [page.ticket_ids async for page in adapter.changes(cursor)] == [()]
        assert len(freshservice.requests) == 1

    async def test_a_page_that_repeats_is_an_error(self, adapter, freshservice, clock):
        """Pages that hold the same tickets whatever their number are no endless read."""
        freshservice.open_ticket(clock.now())
        link = {"link": '<https://x/api/v2/tickets?page={}>;rel="next"'}
        body = '{"tickets": [{"id": 1, "updated_at": "2026-01-01T00:00:00Z"}]}'
        for number in (2, 3):
            headers = {name: text.format(number) for name, text in link.items()}
            freshservice.next_answers.append((200, headers, body, "application/json"))
        with pytest.raises(UnexpectedAnswer):
            [page async for page in adapter.changes(clock.now())]


class TestSources:
    """The numbers that mean something else here."""

    @pytest.mark.parametrize(
        ("source", "word", "channel"),
        [
            *((1, "email", Channel.EMAIL), (3, "phone", Channel.PHONE), (4, "chat", Channel.CHAT)),
            *((7, "aws cloudwatch", Channel.OTHER), (9, "walk-up", Channel.CONVERSATION)),
            *((10, "slack", Channel.CHAT), (15, "ms teams", Channel.CHAT), (14, "alerts", Channel.OTHER)),
            *((18, "employee offboarding", Channel.OTHER), (99, "source 99", Channel.OTHER)),
        ],
    )
    async def test_channel(self, adapter, freshservice, clock, source, word, channel):
        """7 is no chat, 10 is Slack and no outbound mail, 15 is Teams and no web chat."""
        first = (await read(adapter, freshservice.open_ticket(clock.now(), source=source)))[0]
        assert (first.vendor_channel, first.channel) == (word, channel)

    @pytest.mark.parametrize("source", [10, 14])
    async def test_no_source_is_written_by_agents(self, adapter, freshservice, clock, source):
        """A ticket from Slack (10) or an alert (14) was not written by an agent, as those numbers say in Freshdesk."""
        number = freshservice.open_ticket(clock.now(), source=source)
        assert (await read(adapter, number))[0].author.kind is AuthorKind.CUSTOMER
        assert (await adapter.tickets([str(number)]))[0].status is ThreadStatus.CREATED

    async def test_nothing_is_taken_for_a_repetition(self, adapter, freshservice, clock):
        """What repeats the description of a ticket from Teams (15) is a reply of its own."""
        number = freshservice.open_ticket(clock.now(), "Hi", source=15)
        freshservice.write(number, "Hi")
        assert len(await read(adapter, number)) == 2


class TestPeople:
    """Names of agents."""

    async def test_names_have_two_parts(self, adapter, freshservice, clock):
        """An agent's name is put together from first and last name."""
        number = freshservice.open_ticket(clock.now(), responder_id=freshservice.me)
        freshservice.write(number, "On our way.", by=freshservice.me)
        assert (await read(adapter, number))[-1].author.name == "Anna Agent"
        assert (await adapter.tickets([str(number)]))[0].assignee == "Anna Agent"

    async def test_without_the_right_to_see_agents(self, adapter, freshservice, clock):
        """Without it replies still are the agents', and have no name where it is not one's own."""
        freshservice.is_admin, freshservice.knows_me = False, False
        number = freshservice.open_ticket(clock.now())
        freshservice.write(number, "On our way.", by=freshservice.me)
        answer = (await read(adapter, number))[-1]
        assert (answer.author.kind, answer.author.name) == (AuthorKind.AGENT, None)


def stamp(begin, seconds):
    """Return an instant some seconds after another, as the vendor writes it."""
    return (begin + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
