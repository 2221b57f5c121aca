"""Answers of a running OTOBO, played through the adapter: what is made of what a real system says."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.znuny import Znuny
from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import PauseSystem, RetryLater, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, Cursor, Ticket, TicketRef, Unavailability, Unavailable, Visibility
from tests.adapters.znuny.replay import PASSWORD, USER, Replay

BEGINNING = datetime(2026, 11, 22, 0, 5, tzinfo=UTC)  # five minutes before it is what was recorded
OVERNIGHT = datetime(2026, 11, 23, 1, 46, 36, tzinfo=UTC)
ARTICLES = ("ticket_allarticles", "ticket3_after", "ticket4_after")


@pytest.fixture
async def play(clock, connect):
    """Returns a function that plays recordings and gives an adapter signed in to them, and what plays them."""
    running = []

    async def play_recordings(*names, **options):
        replay = await Replay(clock, *names).__aenter__()
        running.append(replay)
        signed = {"sign_in": "session", "user": USER, "password": PASSWORD, "base_url": replay.base_url}
        return connect(Znuny, **(signed | options)), replay

    yield play_recordings
    for replay in running:
        await replay.__aexit__()


async def read(adapter, ticket_id):
    """Return the replies of a ticket by their ids."""
    ticket = Ticket(id=ticket_id, number=ticket_id)
    return {reply.id: reply async for reply in adapter.replies(ticket, None)}


class TestTickets:
    """Tickets as a real system tells them."""

    async def test_mixed_types(self, play):
        """Ids that are numbers in one answer and texts in another name the same ticket, and "" is no owner."""
        adapter, _ = await play("ticket_by_number_ids", "ticket")
        ticket = await adapter.resolve(TicketRef(number="2026112310000011"))
        assert (ticket.id, ticket.number) == ("2", "2026112310000011")
        assert (ticket.subject, ticket.updated_at) == ("Drucker druckt nicht \N{EN DASH} Fall 1", OVERNIGHT)
        assert (ticket.vendor_status, ticket.status) == ("closed successful", ThreadStatus.CLOSED)
        assert ticket.assignee is None  # the owner root@localhost is nobody

    async def test_several(self, play):
        """Several tickets come in one answer, by their ids with commas between."""
        adapter, replay = await play("ticket_list_comma")
        found = {ticket.id: ticket.status for ticket in await adapter.tickets(["2", "3"])}
        assert found == {"2": ThreadStatus.CLOSED, "3": ThreadStatus.ONGOING}
        assert replay.count("/Ticket/") == 1

    async def test_one_missing(self, play):
        """One id that does not exist fails the whole list; then it alone is unavailable."""
        adapter, _ = await play("ticket_list_one_missing", "ticket", "ticket_404")
        kept, lost = await adapter.tickets(["2", "99999"])
        assert isinstance(kept, Ticket)
        assert lost == Unavailable("99999", Unavailability.FORBIDDEN)

    async def test_number_for_id(self, play):
        """A number in the place of an id is refused like a ticket that does not exist."""
        adapter, _ = await play("ticket_by_number_route")
        with pytest.raises(TicketUnavailable):
            await read(adapter, "2026112310000011")


class TestReplies:
    """Articles as a real system tells them."""

    async def test_order(self, play):
        """Articles come in the order of their ids, at the instant that is a number, though all say the same second."""
        adapter, _ = await play("ticket_allarticles")
        replies = await read(adapter, "2")
        assert list(replies) == ["2", "3", "4", "5"]
        assert {reply.created_at for reply in replies.values()} == {OVERNIGHT}
        assert [reply.id for reply in replies.values() if reply.first_message] == ["2"]

    async def test_article_number(self, play):
        """The numbers of articles, 4, 6 and 5 for the ids 37, 38 and 39, are no order."""
        adapter, _ = await play("ticket3_after")
        assert list(await read(adapter, "3")) == ["6", "7", "8", "37", "38", "39"]

    async def test_visibility(self, play):
        """The flag decides and not the channel: the channel Internal holds what customers see and what they do not."""
        adapter, _ = await play("ticket3_after")
        replies = await read(adapter, "3")
        internal = {key for key, reply in replies.items() if reply.visibility is Visibility.INTERNAL}
        assert internal == {"8", "38"}
        assert replies["39"].vendor_channel == replies["38"].vendor_channel == "Internal"

    async def test_authors(self, play):
        """A bare name is an agent's name; a customer's answer without From has the customer's login."""
        adapter, _ = await play("ticket_allarticles")
        replies = await read(adapter, "2")
        told = [(reply.author.kind, reply.author.name) for reply in replies.values()]
        assert told == [
            (AuthorKind.CUSTOMER, "Carla Customer"),
            (AuthorKind.AGENT, "Peter Meyer"),
            (AuthorKind.AGENT, "Peter Meyer"),
            (AuthorKind.CUSTOMER, "carla.customer"),
        ]

    async def test_forged_agent(self, play):
        """A customer who claims to be an agent is nobody known: only the user that created it tells."""
        adapter, _ = await play("ticket4_after")
        replies = await read(adapter, "4")
        assert replies["40"].author.kind is AuthorKind.UNKNOWN
        assert replies["10"].author.kind is AuthorKind.AGENT

    async def test_html(self, play):
        """The text is the plain one without the blank lines around it, and the file with its HTML is no attachment."""
        adapter, _ = await play("ticket_allarticles_html")
        reply = (await read(adapter, "2"))["3"]
        assert reply.body.text == "Hallo Carla,\nist der Drucker eingeschaltet?"
        assert (reply.attachments, reply.channel) == ((), Channel.EMAIL)

    async def test_without_articles(self, play):
        """A ticket whose answer has no key for articles has no replies."""
        adapter, _ = await play("ticket5_after_customer")
        assert await read(adapter, "5") == {}

    async def test_newest_first(self, play):
        """The newest articles come newest first, but only with a limit; either way the replies are in order."""
        for name, expected in (
            ("article_order_desc_alone", ["2", "3", "4", "5"]),
            ("ticket_articlelimit2", ["4", "5"]),
        ):
            adapter, _ = await play(name)
            assert list(await read(adapter, "2")) == expected

    async def test_as_customer(self, play):
        """To a customer's credentials the internal note is missing without a gap, and nothing else is."""
        adapter, _ = await play("ticket_as_customer")
        assert list(await read(adapter, "2")) == ["2", "3", "5"]


class TestFeed:
    """Searches as a real system answers them."""

    async def test_changed(self, play):
        """Tickets that a search tells as texts are read as numbers, and their replies are those of the tickets."""
        adapter, replay = await play("search_changed", *ARTICLES)
        (page,) = [page async for page in adapter.changes(BEGINNING)]
        assert page.ticket_ids == ("2", "3", "4")
        (search,) = [query for path, query in replay.requests if path.endswith("/Ticket")]
        assert (search["SortBy"], search["OrderBy"], search["Limit"]) == ("Changed", "Up", "500")
        # All their articles are new, so they are read one by one: the first of them may be cut off.
        assert page.replies == {}

    async def test_same_replies(self, play):
        """A reply that comes with the feed is the one that its ticket has."""
        adapter, _ = await play("search_changed", *ARTICLES)
        (first,) = [page async for page in adapter.changes(BEGINNING)]
        moved = datetime(2026, 11, 23, 1, 46, 40, tzinfo=UTC) + timedelta(minutes=5)
        adapter, replay = await play(*ARTICLES)
        replay.play_next("session_create", "search_changed")
        (page,) = [page async for page in adapter.changes(moved)]
        assert {key: [one.id for one in told] for key, told in page.replies.items()} == {
            "2": [],
            "3": ["37", "38", "39"],
            "4": ["40"],
        }
        for key, told in page.replies.items():
            assert set(told) <= set((await read(adapter, key)).values())
        assert first.cursor == page.cursor == Cursor('{"at":1795398402,"known":true}')

    @pytest.mark.parametrize(
        ("name", "order"),
        [("search_changed", "2 3 4"), ("search_changed_all", "11 8 9 10 5 6 7 3 4 2 1")],
    )
    async def test_orders(self, play, name, order):
        """Unasked, a search begins with the newest second, its ids ascending; in either order the feed goes equally on.

        Tickets that the search tells and that cannot be read are named, and do not hold it up.
        """
        adapter, replay = await play(*ARTICLES)
        replay.play_next("session_create", name)
        (page,) = [page async for page in adapter.changes(BEGINNING)]
        assert page.ticket_ids == tuple(order.split())
        assert page.cursor == Cursor('{"at":1795398402,"known":true}')

    @pytest.mark.parametrize("empty", ["search_none", "search_bad_date"])
    async def test_empty(self, play, empty):
        """{} is the answer to no hit and to nonsense alike: not believed where a ticket changed in that time."""
        adapter, replay = await play("ticket_allarticles")
        replay.play_next("session_create", empty, "ticket_by_number_ids")
        with pytest.raises(UnexpectedAnswer, match="leaves out ticket 2"):
            [page async for page in adapter.changes(BEGINNING)]

    async def test_quiet(self, play):
        """{} is believed where the newest ticket is older, and from its last change the feed goes on."""
        adapter, replay = await play("ticket_allarticles")
        replay.play_next("session_create", "search_none", "ticket_by_number_ids")
        (page,) = [page async for page in adapter.changes(datetime(2030, 1, 1, tzinfo=UTC))]
        assert page.cursor == Cursor(f'{{"at":{int(OVERNIGHT.timestamp())},"known":true}}')


class TestSigningIn:
    """Sessions, passwords, and errors with status 200."""

    async def test_check(self, play):
        """A check reads the newest ticket and its history; the clock of the system fits the zone."""
        adapter, replay = await play("ticket_allarticles", "history")
        replay.play_next("session_create", "ticket_by_number_ids")
        identity = await adapter.check()
        assert (identity.notes, identity.warnings) == (("web service GenericTicketConnectorREST",), ())

    async def test_zone(self, play):
        """An article's two times show that the zone of the options is not the system's."""
        adapter, replay = await play("ticket_allarticles", "history", zone="Europe/Berlin")
        replay.play_next("session_create", "ticket_by_number_ids")
        assert "-1 hours off" in (await adapter.check()).warnings[0]

    async def test_query(self, play):
        """User and password in the query of each request need no session."""
        adapter, replay = await play("ticket_allarticles", sign_in="query")
        assert len(await read(adapter, "2")) == 4
        assert replay.count("/Session") == 0

    @pytest.mark.parametrize("options", [{"sign_in": "query", "password": "no"}, {"password": "no"}])
    async def test_refused(self, play, options):
        """A wrong password, refused with status 200, pauses the system: by the query as when a session is opened."""
        adapter, _ = await play("ticket_allarticles", **options)
        with pytest.raises(PauseSystem):
            await read(adapter, "2")

    async def test_unread_headers(self, play):
        """A system that does not read the headers answers as to nobody, with status 200; the system pauses."""
        adapter, _ = await play("ticket_allarticles", sign_in="headers")
        with pytest.raises(PauseSystem, match="sign_in"):
            await read(adapter, "2")

    async def test_dead_session(self, play):
        """A session that is over is opened anew, once, and the request is sent again."""
        adapter, replay = await play("ticket_allarticles")
        await read(adapter, "2")
        replay.play_next("error_bad_session")
        assert len(await read(adapter, "2")) == 4
        assert replay.count("/Session") == 2

    async def test_unknown_route(self, play):
        """A route that the web service does not have is a 500 with words: the system pauses and names it."""
        adapter, replay = await play()
        replay.play_next("session_create", "unknown_route")
        with pytest.raises(PauseSystem, match=r"no route .*/Ticket"):
            await adapter.check()

    async def test_unknown_web_service(self, play):
        """A web service that is not there is a 500 without a word: a check pauses the system, a reading waits."""
        adapter, replay = await play()
        replay.play_next("session_create", "unknown_webservice")
        with pytest.raises(PauseSystem, match="web_service"):
            await adapter.check()
        replay.play_next("unknown_webservice")
        with pytest.raises(RetryLater, match="web_service"):
            await adapter.tickets(["2"])
